//! SCRAM, the client's side (RFC 5802, RFC 7677): the password itself never travels, and the server proves that it knows it.

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// More rounds than this are no protection but a burden; servers ask for some 10,000.
const MOST_ROUNDS: u32 = 5_000_000;
/// No channel binding, as the client knows none.
const GS2: &str = "n,,";

/// Which hash it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
}

impl Hash {
    fn hmac(self) -> hmac::Algorithm {
        match self {
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => hmac::HMAC_SHA256,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => &digest::SHA256,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Hash::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Hash::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        }
    }
}

/// Why an exchange can't go on; what it says of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its SCRAM message {0}")]
pub(super) struct ScramError(&'static str);

/// An exchange that has begun.
pub(super) struct Begun {
    hash: Hash,
    nonce: String,
    first_bare: String,
}

/// An exchange in which we have proven ourselves, and the server not yet.
pub(super) struct Proven {
    signature: Vec<u8>,
}

impl Begun {
    /// Begins with a nonce that was never used: printable ASCII without commas.
    pub(super) fn new(hash: Hash, user: &str, nonce: String) -> Begun {
        let user = prepared(user).replace('=', "=3D").replace(',', "=2C");
        let first_bare = format!("n={user},r={nonce}");
        Begun { hash, nonce, first_bare }
    }

    /// The first message.
    pub(super) fn first(&self) -> String {
        format!("{GS2}{}", self.first_bare)
    }

    /// The answer to the server's first message.
    ///
    /// # Errors
    /// When that isn't one, or isn't meant for this exchange.
    pub(super) fn answer(self, challenge: &[u8], password: &str) -> Result<(String, Proven), ScramError> {
        let challenge = std::str::from_utf8(challenge).map_err(|_| ScramError("is no text"))?;
        let (nonce, salt, rounds) = read(challenge)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(ScramError("has another exchange's nonce"));
        }
        let mut salted = vec![0; self.hash.digest().output_len()];
        pbkdf2::derive(self.hash.pbkdf2(), rounds, &salt, prepared(password).as_bytes(), &mut salted);
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(GS2));
        let all = format!("{},{challenge},{without_proof}", self.first_bare);
        let mac = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(self.hash.hmac(), key), text);
        let client_key = mac(&salted, b"Client Key");
        let stored = digest::digest(self.hash.digest(), client_key.as_ref());
        let proof = mac(stored.as_ref(), all.as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(proof.as_ref()).map(|(key, proof)| key ^ proof).collect();
        let signature = mac(mac(&salted, b"Server Key").as_ref(), all.as_bytes()).as_ref().to_vec();
        Ok((format!("{without_proof},p={}", STANDARD.encode(proof)), Proven { signature }))
    }
}

impl Proven {
    /// Whether the server's last message proves that it knows the password, too.
    pub(super) fn is_answered_by(&self, last: &[u8]) -> bool {
        let text = std::str::from_utf8(last).unwrap_or_default();
        let signature = text.split(',').next().and_then(|part| part.strip_prefix("v="));
        let signature = signature.and_then(|signature| STANDARD.decode(signature).ok()).unwrap_or_default();
        constant_time::verify_slices_are_equal(&signature, &self.signature).is_ok()
    }
}

/// Nonce, salt and rounds of the server's first message.
fn read(challenge: &str) -> Result<(&str, Vec<u8>, std::num::NonZeroU32), ScramError> {
    let mut parts = challenge.split(',');
    let mut part = |key: &str| parts.next().and_then(|part| part.strip_prefix(key));
    let (Some(nonce), Some(salt), Some(rounds)) = (part("r="), part("s="), part("i=")) else {
        return Err(ScramError("has no nonce, salt and number of rounds, in this order"));
    };
    let salt = STANDARD.decode(salt).map_err(|_| ScramError("has a salt that isn't Base64"))?;
    let rounds = rounds.parse().ok().filter(|rounds: &std::num::NonZeroU32| rounds.get() <= MOST_ROUNDS);
    Ok((nonce, salt, rounds.ok_or(ScramError("asks for no number of rounds that makes sense"))?))
}

/// As servers prepare what they compare with (RFC 4013); what that forbids stays as it is, and isn't found.
fn prepared(text: &str) -> std::borrow::Cow<'_, str> {
    stringprep::saslprep(text).unwrap_or(std::borrow::Cow::Borrowed(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5802 §5 and RFC 7677 §3: hash, nonce, challenge, answer, last message.
    const EXAMPLES: [(Hash, &str, &str, &str, &str); 2] = [
        (
            Hash::Sha1,
            "fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ),
        (
            Hash::Sha256,
            "rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ),
    ];

    #[test]
    fn the_examples_of_the_rfcs_come_out() {
        for (hash, nonce, challenge, answer, last) in EXAMPLES {
            let begun = Begun::new(hash, "user", nonce.to_owned());
            assert_eq!(begun.first(), format!("n,,n=user,r={nonce}"));
            let (said, proven) = begun.answer(challenge.as_bytes(), "pencil").expect("it is good");
            assert_eq!(said, answer);
            assert!(proven.is_answered_by(last.as_bytes()));
            for wrong in ["", "v=", "e=other-error", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="] {
                assert!(!proven.is_answered_by(wrong.as_bytes()), "{wrong}");
            }
        }
    }

    #[test]
    fn challenges_that_are_none_are_refused() {
        for challenge in [
            "",
            "r=abc,s=QQ==",
            "r=abc,s=QQ==,i=1",
            "r=xyzabc,s=QQ==,i=1",
            "r=abcd,s=!,i=1",
            "r=abcd,s=QQ==,i=0",
            "r=abcd,s=QQ==,i=-1",
            "r=abcd,s=QQ==,i=4000000000",
            "m=1,r=abcd,s=QQ==,i=1",
        ] {
            let begun = Begun::new(Hash::Sha256, "user", "abc".to_owned());
            assert!(begun.answer(challenge.as_bytes(), "pencil").is_err(), "{challenge}");
        }
    }

    #[test]
    fn names_are_written_so_that_they_end_where_they_end() {
        let begun = Begun::new(Hash::Sha1, "a=b,c", "abc".to_owned());
        assert_eq!(begun.first(), "n,,n=a=3Db=2Cc,r=abc");
    }
}
