//! The key of a signed zone: made by a controller, given to dns servers with their snapshots, and what they sign with. One key
//! signs all of a zone, itself included (RFC 6781 §3.1).

use api::agent::content::Secret;
use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// ECDSA with the curve P-256 and SHA-256 (RFC 6605).
pub const ALGORITHM: u8 = 13;
/// How a parent names the key: by SHA-256 (RFC 4509).
const DIGEST: u8 = 2;
/// A zone's key, at which trust may begin (RFC 4034 §2.1.1).
const FLAGS: u16 = 257;
/// There is but one (RFC 4034 §2.1.2).
const PROTOCOL: u8 = 3;
/// What stands before the two numbers of a point on the curve.
const UNCOMPRESSED: u8 = 4;
/// How long its records may be kept where they stand in a zone of ours, in seconds; so long for a parent's, too, unless it has
/// another rule.
pub const TTL: u32 = 3600;

/// A zone's key.
pub struct ZoneKey {
    pair: EcdsaKeyPair,
    /// The data of its DNSKEY record.
    record: Vec<u8>,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ZoneKeyError {
    /// None can be drawn, or nothing signed with it.
    #[error("the system gives no random bytes")]
    Random,
    /// It is no private key in PKCS #8, of the curve P-256, in base64.
    #[error("it is no private key for signatures of a zone")]
    Unreadable,
}

impl ZoneKey {
    /// Draws a new one, as it travels.
    ///
    /// # Errors
    /// Where there is no randomness.
    pub fn draw() -> Result<Secret, ZoneKeyError> {
        let drawn = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Ok(Secret::new(STANDARD.encode(drawn.map_err(|_| ZoneKeyError::Random)?)))
    }

    /// Reads what was drawn.
    ///
    /// # Errors
    /// Where it was damaged.
    pub fn read(drawn: &Secret) -> Result<ZoneKey, ZoneKeyError> {
        let bytes = STANDARD.decode(drawn.reveal()).map_err(|_| ZoneKeyError::Unreadable)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &bytes);
        let pair = pair.map_err(|_| ZoneKeyError::Unreadable)?;
        let point = pair.public_key().as_ref();
        let point = point.strip_prefix(&[UNCOMPRESSED]).ok_or(ZoneKeyError::Unreadable)?;
        let [high, low] = FLAGS.to_be_bytes();
        let record = [&[high, low, PROTOCOL, ALGORITHM], point].concat();
        Ok(ZoneKey { pair, record })
    }

    /// The data of its DNSKEY record (RFC 4034 §2.1).
    pub fn record(&self) -> &[u8] {
        &self.record
    }

    /// The number by which signatures name it (RFC 4034, appendix B).
    pub fn tag(&self) -> u16 {
        let weight = |(at, byte): (usize, &u8)| u32::from(*byte) << if at % 2 == 0 { 8 } else { 0 };
        let sum: u32 = self.record.iter().enumerate().map(weight).sum();
        let [_, _, high, low] = (sum + (sum >> 16)).to_be_bytes();
        u16::from_be_bytes([high, low])
    }

    /// Signs.
    ///
    /// # Errors
    /// Where there is no randomness.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, ZoneKeyError> {
        let signed = self.pair.sign(&SystemRandom::new(), bytes).map_err(|_| ZoneKeyError::Random)?;
        Ok(signed.as_ref().to_vec())
    }

    /// What stands after `DS` in the parent of `zone`, an absolute name, as a zone file has it (RFC 4034 §5).
    pub fn parents(&self, zone: &str) -> String {
        let mut bytes = Vec::new();
        for label in zone.trim_end_matches('.').split('.') {
            bytes.extend(u8::try_from(label.len()));
            bytes.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        bytes.push(0);
        bytes.extend(&self.record);
        let hash = digest::digest(&digest::SHA256, &bytes);
        let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        format!("{} {ALGORITHM} {DIGEST} {hash}", self.tag())
    }

    /// What stands after `DNSKEY` in the zone, as a zone file has it.
    pub fn own(&self) -> String {
        let (_, point) = self.record.split_at(4);
        format!("{FLAGS} {PROTOCOL} {ALGORITHM} {}", STANDARD.encode(point))
    }
}

impl std::fmt::Debug for ZoneKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ZoneKey({})", self.tag())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 6605 §6.1, with its public half as the RFC has it.
    #[test]
    fn a_key_is_named_as_the_rfc_names_it() {
        let [private, public] = [
            "GU6SnQ/Ou+xC5RumuIUIuJZteXT2z0O/ok1s38Et6mQ=",
            "GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==",
        ]
        .map(|text| STANDARD.decode(text).expect("base64"));
        let point = [&[UNCOMPRESSED], &public[..]].concat();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &private, &point);
        let drawn = pair.expect("a key").to_pkcs8v1().expect("as it travels");
        let key = ZoneKey::read(&Secret::new(STANDARD.encode(drawn))).expect("it can be read");
        assert_eq!(key.tag(), 55648);
        assert_eq!(
            key.parents("example.net."),
            "55648 13 2 B4C8C1FE2E7477127B27115656AD6256F424625BF5C1E2770CE6D6E37DF61D17"
        );
        assert_eq!(key.own(), format!("257 3 13 {}", STANDARD.encode(public)));
        assert_eq!(format!("{key:?}"), "ZoneKey(55648)", "and nothing of the private half");
    }

    #[test]
    fn what_was_drawn_can_be_read_and_signs() {
        let [one, other] = [(), ()].map(|()| ZoneKey::draw().expect("randomness"));
        assert!(one != other);
        assert_eq!(ZoneKey::read(&one).expect("a key").sign(b"text").expect("signed").len(), 64);
        for bad in ["", "AAAA", "not base64", &one.reveal()[4..]] {
            assert_eq!(ZoneKey::read(&Secret::new(bad.to_owned())).err(), Some(ZoneKeyError::Unreadable), "{bad}");
        }
    }
}
