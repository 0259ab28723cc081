//! Names of machines and pools.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A fully qualified host name, in small letters, without a dot at the end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fqdn(String);

/// It can't be a host's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a fully qualified host name, such as `edge1.contoso.test`")]
pub struct FqdnError(String);

impl Fqdn {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Fqdn {
    type Err = FqdnError;

    /// RFC 1123 §2.1: labels of letters, digits and hyphens, the last one no number; at least two of them.
    fn from_str(text: &str) -> Result<Fqdn, FqdnError> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let named = text.rsplit('.').next().is_some_and(|last| last.bytes().any(|byte| byte.is_ascii_alphabetic()));
        if text.len() <= 253 && text.contains('.') && named && text.split('.').all(label) {
            Ok(Fqdn(text.to_ascii_lowercase()))
        } else {
            Err(FqdnError(text.to_owned()))
        }
    }
}

impl fmt::Display for Fqdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Fqdn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Fqdn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fqdn, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_hosts() {
        let read: Result<Fqdn, _> = "Edge1.Contoso.TEST".parse();
        assert_eq!(read.map(|fqdn| fqdn.to_string()), Ok("edge1.contoso.test".to_owned()));
        let long = format!("{}.test", "a".repeat(64));
        for bad in
            ["", "edge1", "edge1.", ".test", "a..b", "-a.test", "a-.test", "a_b.test", "ä.test", "10.0.0.1", &long]
        {
            assert!(bad.parse::<Fqdn>().is_err(), "{bad}");
        }
    }
}
