//! Dialback keys that any edge can verify without asking who made them (XEP-0220, XEP-0185).

use std::fmt::Write as _;

use crate::domain::DomainPair;

/// The namespace of `<db:result/>` and `<db:verify/>` (XEP-0220 §2).
pub const NAMESPACE: &str = "jabber:server:dialback";
/// The namespace of the stream feature (XEP-0220 §2.4.1).
pub const FEATURE: &str = "urn:xmpp:features:dialback";

/// The two functions that keys are made with; they come from the crypto provider.
pub trait Sha256 {
    /// SHA-256 of `data`.
    fn sha256(&self, data: &[u8]) -> [u8; 32];
    /// HMAC-SHA-256 of `data` under `key`.
    fn hmac_sha256(&self, key: &[u8], data: &[u8]) -> [u8; 32];
}

/// The secrets of one face, shared by all edges of all pools: the first makes keys, all of them
/// are accepted, so that a new one can be accepted everywhere before it is emitted anywhere.
#[derive(Clone)]
pub struct Secrets {
    /// Each as XEP-0185 uses it: the lower-case hex of its SHA-256.
    hashed: Vec<String>,
}

impl Secrets {
    /// Takes the secret that makes keys and, during a rotation, those that are accepted besides.
    pub fn new(sha: &impl Sha256, emitted: &[u8], accepted: &[&[u8]]) -> Secrets {
        let hashed = std::iter::once(&emitted).chain(accepted).map(|secret| hex(&sha.sha256(secret))).collect();
        Secrets { hashed }
    }

    /// The key that `pair.from` sends to `pair.to` on the stream whose id, given by `pair.to`, is
    /// `stream_id` (XEP-0185 §3).
    pub fn key(&self, sha: &impl Sha256, pair: &DomainPair, stream_id: &str) -> String {
        key(sha, &self.hashed[0], pair, stream_id)
    }

    /// Whether one of us made `claimed` for this pair and stream.
    pub fn made(&self, sha: &impl Sha256, pair: &DomainPair, stream_id: &str, claimed: &str) -> bool {
        self.hashed
            .iter()
            .fold(false, |made, secret| made | equal_in_constant_time(&key(sha, secret, pair, stream_id), claimed))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({} of them)", self.hashed.len())
    }
}

fn key(sha: &impl Sha256, hashed_secret: &str, pair: &DomainPair, stream_id: &str) -> String {
    let text = format!("{} {} {stream_id}", pair.to, pair.from);
    hex(&sha.hmac_sha256(hashed_secret.as_bytes(), text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Compares without telling by its duration how much of a forged key was right.
fn equal_in_constant_time(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Domain;

    struct AwsLc;

    impl Sha256 for AwsLc {
        fn sha256(&self, data: &[u8]) -> [u8; 32] {
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, data).as_ref().try_into().expect("32 bytes")
        }
        fn hmac_sha256(&self, key: &[u8], data: &[u8]) -> [u8; 32] {
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
            aws_lc_rs::hmac::sign(&key, data).as_ref().try_into().expect("32 bytes")
        }
    }

    fn pair() -> DomainPair {
        let domain = |text| Domain::parse(text).expect("a domain");
        DomainPair::new(domain("example.org"), domain("xmpp.example.com"))
    }

    #[test]
    fn the_example_of_xep_0185() {
        let secrets = Secrets::new(&AwsLc, b"s3cr3tf0rd14lb4ck", &[]);
        assert_eq!(
            secrets.key(&AwsLc, &pair(), "D60000229F"),
            "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643"
        );
    }

    #[test]
    fn a_rotation_accepts_both_and_a_forged_or_replayed_key_is_refused() {
        let old = Secrets::new(&AwsLc, b"old", &[]);
        let rotating = Secrets::new(&AwsLc, b"new", &[b"old"]);
        let key = old.key(&AwsLc, &pair(), "id-1");
        assert!(rotating.made(&AwsLc, &pair(), "id-1", &key));
        assert!(!rotating.made(&AwsLc, &pair(), "id-2", &key), "replayed on another stream");
        assert!(!rotating.made(&AwsLc, &pair().reversed(), "id-1", &key), "for another pair");
        assert!(!rotating.made(&AwsLc, &pair(), "id-1", ""), "empty");
        assert!(!old.made(&AwsLc, &pair(), "id-1", &rotating.key(&AwsLc, &pair(), "id-1")));
    }
}
