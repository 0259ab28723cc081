//! Where the next token ends: looks at each byte once, however small the pieces it comes in.

use memchr::{memchr, memchr3, memmem};

use super::XmlError;

/// A piece of XML between which nothing needs to be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// Everything up to the next `<`.
    Text,
    /// `<a …>` or `<a …/>`.
    Start,
    /// `</a>`.
    End,
    /// `<![CDATA[…]]>`.
    CData,
    /// `<?…?>`.
    Declaration,
}

const CDATA: &[u8] = b"<![CDATA[";

/// Finds one token's end, resuming where it stopped.
#[derive(Debug, Default)]
pub(super) struct Finder {
    /// Bytes of the token that need not be looked at again.
    looked: usize,
    /// Inside a start tag: the quote that will end the attribute value.
    quote: Option<u8>,
}

impl Finder {
    /// Whether it hasn't looked at anything of this token yet.
    pub(super) fn is_new(&self) -> bool {
        self.looked == 0
    }

    /// The kind and length of the token that `bytes` begin with, or nothing if they don't hold its
    /// end. `open_text`: text counts as ended where the bytes end.
    pub(super) fn find(&mut self, bytes: &[u8], open_text: bool) -> Result<Option<(Token, usize)>, XmlError> {
        let found = match bytes {
            [] => None,
            [b'<'] => None,
            [b'<', b'/', ..] => self.byte(bytes, b'>').map(|end| (Token::End, end + 1)),
            [b'<', b'?', ..] => self.needle(bytes, b"?>").map(|end| (Token::Declaration, end)),
            [b'<', b'!', ..] => {
                let known = bytes.len().min(CDATA.len());
                if bytes[..known] != CDATA[..known] {
                    return Err(XmlError::Restricted { what: "comments and document type declarations" });
                }
                self.looked = self.looked.max(known);
                self.needle(bytes, b"]]>").map(|end| (Token::CData, end))
            }
            [b'<', ..] => self.start(bytes).map(|end| (Token::Start, end)),
            _ => match self.byte(bytes, b'<') {
                None if open_text => Some((Token::Text, bytes.len())),
                end => end.map(|end| (Token::Text, end)),
            },
        };
        if found.is_some() {
            *self = Finder::default();
        }
        Ok(found)
    }

    fn byte(&mut self, bytes: &[u8], wanted: u8) -> Option<usize> {
        let from = self.looked;
        self.looked = bytes.len();
        memchr(wanted, &bytes[from..]).map(|at| from + at)
    }

    /// The end of the first `needle` in what comes after the opening, which is at least two bytes.
    fn needle(&mut self, bytes: &[u8], needle: &[u8]) -> Option<usize> {
        let opening = if bytes[1] == b'!' { CDATA.len() } else { 2 };
        if bytes.len() < opening {
            return None;
        }
        // The needle may lie across what was looked at and what is new.
        let from = self.looked.saturating_sub(needle.len() - 1).max(opening);
        self.looked = bytes.len();
        memmem::find(&bytes[from..], needle).map(|at| from + at + needle.len())
    }

    /// A `>` in quotes doesn't end the tag.
    fn start(&mut self, bytes: &[u8]) -> Option<usize> {
        while self.looked < bytes.len() {
            let rest = &bytes[self.looked..];
            let at = match self.quote {
                Some(quote) => memchr(quote, rest),
                None => memchr3(b'>', b'"', b'\'', rest),
            };
            let Some(at) = at else { break };
            self.looked += at + 1;
            match (self.quote, rest[at]) {
                (Some(_), _) => self.quote = None,
                (None, b'>') => return Some(self.looked),
                (None, quote) => self.quote = Some(quote),
            }
        }
        self.looked = bytes.len();
        None
    }
}
