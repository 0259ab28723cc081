//! The one crypto provider, and what the protocol needs of it: hashes for dialback keys, ids that can't be guessed.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use aws_lc_rs::{digest, hmac, rand};
use rustls::crypto::CryptoProvider;

/// The provider that every TLS configuration, key and certificate check of fedge uses.
///
/// It is handed around instead of installed for the whole process, so that no other provider that a
/// dependency brings along can ever take its place.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    PROVIDER.clone()
}

/// SHA-256 and HMAC-SHA-256 of the provider, for dialback keys (XEP-0185).
#[derive(Debug, Clone, Copy, Default)]
pub struct Sha2;

impl xmpp::dialback::Sha256 for Sha2 {
    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        thirty_two(digest::digest(&digest::SHA256, data).as_ref())
    }

    fn hmac_sha256(&self, key: &[u8], data: &[u8]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        thirty_two(hmac::sign(&key, data).as_ref())
    }
}

fn thirty_two(hash: &[u8]) -> [u8; 32] {
    hash.try_into().expect("SHA-256 makes 32 bytes")
}

/// An id that nobody can guess, for a stream: 160 random bits as lower-case hex (RFC 6120 §4.7.3
/// demands unpredictability, since dialback keys hang on it).
pub fn random_id() -> String {
    let mut bits = [0_u8; 20];
    rand::fill(&mut bits).expect("the system's source of randomness works; without it no TLS would either");
    bits.iter().fold(String::with_capacity(2 * bits.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A random number below `bound`, which must not be 0; for choices where a slight bias does no harm.
pub fn random_below(bound: u32) -> u32 {
    let mut bits = [0_u8; 8];
    rand::fill(&mut bits).expect("the system's source of randomness works; without it no TLS would either");
    u32::try_from(u64::from_ne_bytes(bits) % u64::from(bound)).expect("it is below a u32")
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmpp::dialback::Secrets;
    use xmpp::domain::{Domain, DomainPair};

    #[test]
    fn keys_are_those_of_xep_0185() {
        let domain = |text| Domain::parse(text).expect("a domain");
        let pair = DomainPair::new(domain("example.org"), domain("xmpp.example.com"));
        let key = Secrets::new(&Sha2, b"s3cr3tf0rd14lb4ck", &[]).key(&Sha2, &pair, "D60000229F");
        assert_eq!(key, "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643");
    }

    #[test]
    fn ids_are_long_and_never_the_same() {
        let ids: std::collections::HashSet<String> = (0..1000).map(|_| random_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 40));
    }
}
