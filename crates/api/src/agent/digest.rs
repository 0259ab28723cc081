//! A SHA-256 hash, as content and keys are named by it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A SHA-256 hash. People see it in groups of four hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

/// Why a text is no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no SHA-256 fingerprint; copy all 64 hexadecimal digits, with or without the dashes between them")]
pub struct DigestError(String);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pair) in self.0.chunks(2).enumerate() {
            let dash = if index == 0 { "" } else { "-" };
            write!(f, "{dash}{:02x}{:02x}", pair[0], pair[1])?;
        }
        Ok(())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    /// Takes either case, and dashes, colons or spaces between digits, as other tools write them.
    fn from_str(text: &str) -> Result<Digest, DigestError> {
        let wrong = || DigestError(text.to_owned());
        let digits = text.chars().filter(|c| !matches!(c, '-' | ':' | ' '));
        let digits = digits.map(|c| c.to_digit(16)).collect::<Option<Vec<u32>>>().ok_or_else(wrong)?;
        if digits.len() != 64 {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = u8::try_from(pair[0] << 4 | pair[1]).map_err(|_| wrong())?;
        }
        Ok(Digest(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Digest, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_people_copy_it() {
        let digest = Digest(std::array::from_fn(|index| u8::try_from(7 * index).expect("below 256")));
        let text = digest.to_string();
        assert!(text.starts_with("0007-0e15-") && text.len() == 79, "{text}");
        for text in [text.clone(), text.replace('-', ""), text.to_uppercase().replace('-', ":"), text.replace('-', " ")]
        {
            assert_eq!(text.parse(), Ok(digest));
        }
        for text in [&text[1..], &format!("{text}0"), "", &text.replace('e', "g"), &text.replace('e', "é")] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
