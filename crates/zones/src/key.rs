//! The key with which updates are signed (RFC 8945), in the file that BIND's `tsig-keygen` writes.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::rr::TSigner;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;

use crate::records;

/// How far our clock and the server's may be apart, in seconds (RFC 8945 §10).
pub const FUDGE: u16 = 300;
/// A shorter secret could be guessed.
const SHORTEST: usize = 16;

/// A key that can sign.
#[derive(Clone)]
pub struct Key {
    /// Its name, absolute, in small letters.
    pub name: String,
    signer: TSigner,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read.
    #[error("the key file {path} can't be read: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Everybody may read it.
    #[error("everybody on this machine may read {0}; make it `chmod 640`, owned by root and fedge's group")]
    Open(PathBuf),
    /// It is no such file.
    #[error("{path}: {what}; write it with `tsig-keygen -a hmac-sha256 NAME`")]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl Key {
    /// The keys in a file.
    ///
    /// # Errors
    /// When it can't be read, everybody may, or it says something else than keys of hmac-sha256 and up.
    pub fn read(path: &Path) -> Result<Vec<Key>, KeyError> {
        let failed = |error| KeyError::File { path: path.to_owned(), error };
        let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
        if mode & 0o007 != 0 {
            return Err(KeyError::Open(path.to_owned()));
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        Key::parse(&text).map_err(|what| KeyError::Content { path: path.to_owned(), what })
    }

    /// The keys in a file's text; or what is wrong with it, without showing a secret.
    pub(crate) fn parse(text: &str) -> Result<Vec<Key>, String> {
        let words = words(text);
        let mut words = words.iter().map(String::as_str);
        let mut keys = Vec::new();
        while let Some(word) = words.next() {
            if word != "key" {
                return Err(format!("where `key` should stand, something else does after {} keys", keys.len()));
            }
            let name = words.next().unwrap_or_default().to_owned();
            if words.next() != Some("{") {
                return Err(format!("after `key {name}` there is no `{{`"));
            }
            let (mut algorithm, mut secret) = (None, None);
            loop {
                match words.next() {
                    Some("algorithm") => algorithm = words.next(),
                    Some("secret") => secret = words.next(),
                    Some("}") => break,
                    Some(";") => continue,
                    Some(_) => return Err(format!("the key {name} says something else than `algorithm` and `secret`")),
                    None => return Err(format!("the key {name} isn't closed by `}}`")),
                }
            }
            if words.clone().next() == Some(";") {
                words.next();
            }
            let algorithm = algorithm.ok_or_else(|| format!("the key {name} has no `algorithm`"))?;
            let secret = secret.ok_or_else(|| format!("the key {name} has no `secret`"))?;
            keys.push(Key::new(&name, algorithm, secret)?);
        }
        if keys.is_empty() { Err("there is no key in it".to_owned()) } else { Ok(keys) }
    }

    /// A key of this name, with a secret in base64.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(name: &str, algorithm: &str, secret: &str) -> Result<Key, String> {
        let algorithm = match algorithm.to_ascii_lowercase().trim_end_matches('.') {
            "hmac-sha256" => TsigAlgorithm::HmacSha256,
            "hmac-sha384" => TsigAlgorithm::HmacSha384,
            "hmac-sha512" => TsigAlgorithm::HmacSha512,
            other => {
                return Err(format!("the key {name} is of `{other}`; only hmac-sha256, -sha384 and -sha512 are used"));
            }
        };
        let secret = STANDARD.decode(secret).map_err(|_| format!("the secret of the key {name} isn't base64"))?;
        if secret.len() < SHORTEST {
            return Err(format!("the secret of the key {name} is shorter than {SHORTEST} bytes"));
        }
        let wrong = || format!("`{name}` is no key's name");
        let absolute = records::name(name).map_err(|_| wrong())?.to_lowercase();
        let text = absolute.to_ascii();
        let signer = TSigner::new(secret, algorithm, absolute, FUDGE).map_err(|_| wrong())?;
        Ok(Key { name: text, signer })
    }

    pub(crate) fn signer(&self) -> &TSigner {
        &self.signer
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The words of a configuration of BIND's: braces and semicolons by themselves, quotes and comments left out.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let mut end = |word: &mut String| {
        if !word.is_empty() {
            words.push(std::mem::take(word));
        }
    };
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        match (sign, signs.peek()) {
            ('#', _) | ('/', Some('/')) => {
                end(&mut word);
                while signs.next_if(|sign| *sign != '\n').is_some() {}
            }
            ('/', Some('*')) => {
                end(&mut word);
                signs.next();
                let mut before = ' ';
                while let Some(sign) = signs.next().filter(|sign| !(before == '*' && *sign == '/')) {
                    before = sign;
                }
            }
            ('"', _) => {
                while let Some(sign) = signs.next().filter(|sign| *sign != '"') {
                    word.push(sign);
                }
            }
            ('{' | '}' | ';', _) => {
                end(&mut word);
                end(&mut sign.to_string());
            }
            (sign, _) if sign.is_whitespace() => end(&mut word),
            (sign, _) => word.push(sign),
        }
    }
    end(&mut word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0";

    #[test]
    fn a_file_of_tsig_keygen_is_read() {
        let text = format!(
            "# two /* keys\nkey \"Fedge-Key\" {{\n\talgorithm hmac-sha256; // usual\n\tsecret \"{SECRET}\";\n}};\n\
             key other. {{ /* short */ algorithm HMAC-SHA512.; secret \"{SECRET}\"; }};"
        );
        let keys = Key::parse(&text).expect("it is good");
        let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
        assert_eq!(names, ["fedge-key.", "other."]);
        assert!(!format!("{keys:?}").contains(SECRET));
    }

    #[test]
    fn what_is_wrong_is_told_without_the_secret() {
        for (text, told) in [
            (String::new(), "no key in it"),
            (format!("zone x {{ secret \"{SECRET}\"; }};"), "where `key` should stand"),
            (format!("key a {{ secret \"{SECRET}\"; }};"), "no `algorithm`"),
            ("key a { algorithm hmac-sha256; };".to_owned(), "no `secret`"),
            (format!("key a {{ algorithm hmac-md5; secret \"{SECRET}\"; }};"), "only hmac-sha256"),
            ("key a { algorithm hmac-sha256; secret \"short\"; };".to_owned(), "base64"),
            ("key a { algorithm hmac-sha256; secret \"c2hvcnQ=\"; };".to_owned(), "shorter than 16"),
            (format!("key a {{ algorithm hmac-sha256; secret \"{SECRET}\";"), "isn't closed"),
            (format!("key a {{ {SECRET}; }};"), "something else than"),
        ] {
            let what = Key::parse(&text).expect_err(&text);
            assert!(what.contains(told), "{text}: {what}");
            assert!(!what.contains(SECRET), "{what}");
        }
    }

    #[test]
    fn a_file_that_everybody_may_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("fedge.key");
        std::fs::write(&path, format!("key a {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};")).expect("written");
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
        mode(0o644);
        assert!(matches!(Key::read(&path), Err(KeyError::Open(_))));
        mode(0o640);
        assert_eq!(Key::read(&path).expect("it is read").len(), 1);
    }
}
