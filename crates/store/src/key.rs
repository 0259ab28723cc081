//! Keys: words with slashes between them.

use std::fmt;
use std::str::FromStr;

/// The longest key, in bytes.
const LONGEST: usize = 512;

/// Where something lies: words of letters, digits, `.`, `-`, `_`, with slashes between them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

/// Which keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// This one.
    One(Key),
    /// All that begin with this one and a slash.
    Under(Key),
    /// All there are.
    All,
}

/// Something can't be a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` can't be a key: words of letters, digits, `.`, `-` and `_`, with slashes between them, at most 512 bytes"
)]
pub struct KeyError(String);

impl Key {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key `word` below this one.
    ///
    /// # Errors
    /// When that can't be a key.
    pub fn below(&self, word: &str) -> Result<Key, KeyError> {
        format!("{self}/{word}").parse()
    }

    /// What stands after the last slash.
    pub fn last(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Key, KeyError> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let good = text.split('/').all(|word| !word.is_empty() && word.bytes().all(letter));
        if good && text.len() <= LONGEST { Ok(Key(text.to_owned())) } else { Err(KeyError(text.to_owned())) }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Keys {
    /// Whether this key is one of them.
    pub fn contain(&self, key: &Key) -> bool {
        match self {
            Keys::One(one) => one == key,
            Keys::Under(prefix) => key.0.strip_prefix(&prefix.0).is_some_and(|rest| rest.starts_with('/')),
            Keys::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        text.parse().expect("a key")
    }

    #[test]
    fn keys_are_words_with_slashes_between() {
        for good in ["topology/head", "member/edge1.contoso.test", "a", "a/b/c-d_e"] {
            assert_eq!(key(good).as_str(), good);
        }
        for bad in ["", "/a", "a/", "a//b", "a b", "ä", "a\0", &"x".repeat(513)] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
        assert_eq!(key("member").below("edge1").map(|key| key.last().to_owned()), Ok("edge1".to_owned()));
        assert!(key("member").below("").is_err());
    }

    #[test]
    fn what_is_below_a_key_is_not_what_begins_like_it() {
        let under = Keys::Under(key("topology"));
        assert!(under.contain(&key("topology/1")));
        assert!(!under.contain(&key("topology")));
        assert!(!under.contain(&key("topology2/1")));
        assert!(Keys::One(key("a")).contain(&key("a")) && !Keys::One(key("a")).contain(&key("a/b")));
    }
}
