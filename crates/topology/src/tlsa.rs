//! TLSA records (RFC 6698): which certificate, or which CA in its chain, an edge server shows to partners that check DANE.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands in one record. It says nothing of who has put it there: it is declared, and never follows a certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tlsa {
    /// What it names: 3, the certificate itself (DANE-EE), or 2, a CA in the chain that is shown (DANE-TA).
    usage: u8,
    /// Of which part: 0, the whole certificate, or 1, its public key.
    selector: u8,
    /// By which hash: 1, SHA-256, or 2, SHA-512.
    matching: u8,
    /// The hash.
    hash: Vec<u8>,
}

/// Why a text is no TLSA record that could do any good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsaError {
    /// It hasn't the four parts.
    #[error(
        "`{0}` isn't a TLSA record, which has four parts: usage, selector, matching type, and a hash in hexadecimal"
    )]
    Form(String),
    /// RFC 7673 §3.2 leaves nothing else.
    #[error("the usage `{0}` isn't looked at between XMPP servers")]
    Usage(String),
    /// There is no such selector.
    #[error("there is no selector `{0}`")]
    Selector(String),
    /// The whole of a certificate is nothing for DNS (RFC 7671 §10.1.2).
    #[error("the matching type `{0}` is none that should be published")]
    Matching(String),
    /// The hash is of another length.
    #[error("a hash of the matching type {matching} has {expected} hexadecimal digits, and this one has {found}")]
    Length {
        /// The matching type.
        matching: u8,
        /// How many it has.
        expected: usize,
        /// How many are there.
        found: usize,
    },
    /// It isn't hexadecimal.
    #[error("`{0}` is not hexadecimal")]
    Digits(String),
}

impl TlsaError {
    /// What would put it right.
    pub fn remedy(&self) -> &'static str {
        match self {
            TlsaError::Form(_) => "write it as `fedge dns tlsa` prints it, such as `3 1 1 ` with 64 hexadecimal digits",
            TlsaError::Usage(_) => {
                "write 3, for the certificate itself, or 2, for a CA in the chain that is shown (RFC 7673)"
            }
            TlsaError::Selector(_) => "write 1, for the public key, or 0, for the whole certificate",
            TlsaError::Matching(_) => "write 1, for SHA-256, or 2, for SHA-512",
            TlsaError::Length { .. } | TlsaError::Digits(_) => {
                "copy it anew: `fedge dns tlsa` prints what is shown now"
            }
        }
    }
}

impl Tlsa {
    /// The selectors and matching types that there are, each with the length of its hash, the most usual first.
    pub const KINDS: [(u8, u8, usize); 4] = [(1, 1, 32), (0, 1, 32), (1, 2, 64), (0, 2, 64)];

    /// Of a hash; nothing where there is no such usage, selector or matching type, or the hash is of another length.
    pub fn new(usage: u8, selector: u8, matching: u8, hash: &[u8]) -> Option<Tlsa> {
        let is_one = (2..=3).contains(&usage) && Tlsa::KINDS.contains(&(selector, matching, hash.len()));
        is_one.then(|| Tlsa { usage, selector, matching, hash: hash.to_vec() })
    }

    /// As it travels (RFC 6698 §2.1).
    pub fn to_bytes(&self) -> Vec<u8> {
        [&[self.usage, self.selector, self.matching], &self.hash[..]].concat()
    }

    /// Whether it names the certificate itself. Such a record has to be changed with it.
    pub fn is_of_the_certificate(&self) -> bool {
        self.usage == 3
    }
}

impl FromStr for Tlsa {
    type Err = TlsaError;

    fn from_str(text: &str) -> Result<Tlsa, TlsaError> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        // A zone file may have the hash in several pieces.
        let [usage, selector, matching, ref hash @ ..] = words[..] else {
            return Err(TlsaError::Form(text.to_owned()));
        };
        let hash = hash.concat();
        if hash.is_empty() {
            return Err(TlsaError::Form(text.to_owned()));
        }
        let number =
            |word: &str, known: std::ops::RangeInclusive<u8>| word.parse().ok().filter(|one| known.contains(one));
        let usage = number(usage, 2..=3).ok_or_else(|| TlsaError::Usage(usage.to_owned()))?;
        let selector = number(selector, 0..=1).ok_or_else(|| TlsaError::Selector(selector.to_owned()))?;
        let matching = number(matching, 1..=2).ok_or_else(|| TlsaError::Matching(matching.to_owned()))?;
        let expected = if matching == 1 { 64 } else { 128 };
        let Some(digits) = hash.chars().map(|digit| digit.to_digit(16)).collect::<Option<Vec<u32>>>() else {
            return Err(TlsaError::Digits(hash));
        };
        if digits.len() != expected {
            return Err(TlsaError::Length { matching, expected, found: digits.len() });
        }
        let bytes = digits.chunks(2).filter_map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok());
        Ok(Tlsa { usage, selector, matching, hash: bytes.collect() })
    }
}

impl fmt::Display for Tlsa {
    /// As a zone file has it, in small letters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tlsa { usage, selector, matching, hash } = self;
        let mut text = format!("{usage} {selector} {matching} ");
        for byte in hash {
            write!(text, "{byte:02x}")?;
        }
        f.write_str(&text)
    }
}

impl Serialize for Tlsa {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Tlsa {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tlsa, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_partners_go_by_is_a_record() {
        let (short, long) = ("0f".repeat(32), "A5".repeat(64));
        for good in
            [format!("3 1 1 {short}"), format!("2 0 2 {long}"), format!(" 3  0 1 {} {}", &short[..20], &short[20..])]
        {
            assert!(good.parse::<Tlsa>().is_ok(), "{good}");
        }
        for (bad, told) in [
            (String::new(), "has four parts"),
            ("3 1 1".to_owned(), "has four parts"),
            (format!("1 1 1 {short}"), "the usage `1`"),
            (format!("-3 1 1 {short}"), "the usage `-3`"),
            (format!("3 2 1 {short}"), "no selector `2`"),
            (format!("3 1 0 {short}"), "the matching type `0`"),
            (format!("3 1 2 {short}"), "has 128 hexadecimal digits, and this one has 64"),
            (format!("3 1 1 {short}0"), "has 64 hexadecimal digits, and this one has 65"),
            (format!("3 1 1 {}", "zz".repeat(32)), "is not hexadecimal"),
        ] {
            let error = bad.parse::<Tlsa>().expect_err(&bad);
            assert!(error.to_string().contains(told) && !error.remedy().is_empty(), "{bad}: {error}");
        }
        assert_eq!(Tlsa::new(1, 1, 1, &[0; 32]), None);
        assert_eq!(Tlsa::new(3, 1, 1, &[0; 64]), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(usage in 2_u8..=3, kind in 0_usize..4, hash in any::<[u8; 64]>()) {
            let (selector, matching, length) = Tlsa::KINDS[kind];
            let record = Tlsa::new(usage, selector, matching, &hash[..length]).expect("a record");
            prop_assert_eq!(record.to_string().parse(), Ok(record.clone()));
            prop_assert_eq!(record.to_string().to_uppercase().parse(), Ok(record));
        }
    }
}
