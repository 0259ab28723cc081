//! Addresses: which domain one belongs to, and whether every server would take it.

/// The longest local part or resource, in bytes (RFC 7622 §3.3, §3.4).
const PART: usize = 1023;

/// Why a text is no address that every server would take. It doesn't quote the address, which is
/// a person's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JidError {
    /// `@contoso.test`.
    #[error("the address has an `@` and no local part before it")]
    EmptyLocal,
    /// `contoso.test/`.
    #[error("the address has a `/` and no resource behind it")]
    EmptyResource,
    /// Beyond 1023 bytes.
    #[error("a part of the address is longer than 1023 bytes")]
    TooLong,
    /// Refused by nodeprep (RFC 6122 appendix A).
    #[error("the local part holds a character that nodeprep forbids")]
    Local,
    /// Refused by resourceprep (RFC 6122 appendix B).
    #[error("the resource holds a character that resourceprep forbids")]
    Resource,
}

/// An address without its resource (RFC 7622 §3.1).
pub fn bare(jid: &str) -> &str {
    split(jid, b'/').map_or(jid, |(bare, _)| bare)
}

/// The domain in an address: what is left without resource and local part (RFC 7622 §3.2).
pub fn domain_of(jid: &str) -> &str {
    Parts::of(jid).domain
}

/// Checks local part and resource; the domain is checked by [`Domain::parse`].
///
/// # Errors
/// When a server that applies stringprep (they all do, or PRECIS, which takes less) would refuse it.
///
/// [`Domain::parse`]: crate::domain::Domain::parse
pub fn check(jid: &str) -> Result<(), JidError> {
    Parts::of(jid).check()
}

/// An address in its parts (RFC 7622 §3.1).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    local: Option<&'a str>,
    /// Whose address it is.
    pub(crate) domain: &'a str,
    resource: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// Takes it apart.
    pub(crate) fn of(jid: &'a str) -> Parts<'a> {
        let (bare, resource) = split(jid, b'/').map_or((jid, None), |(bare, resource)| (bare, Some(resource)));
        let (local, domain) = split(bare, b'@').map_or((None, bare), |(local, domain)| (Some(local), domain));
        Parts { local, domain, resource }
    }

    /// As [`check`].
    pub(crate) fn check(&self) -> Result<(), JidError> {
        self.local.map_or(Ok(()), check_local)?;
        self.resource.map_or(Ok(()), check_resource)
    }
}

/// What is before the first of these bytes, and what is behind it.
fn split(text: &str, at: u8) -> Option<(&str, &str)> {
    let at = memchr::memchr(at, text.as_bytes())?;
    Some((&text[..at], &text[at + 1..]))
}

fn check_local(local: &str) -> Result<(), JidError> {
    let plain =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'&' | b'\'' | b'/' | b':' | b'<' | b'>' | b'@');
    match local.len() {
        0 => Err(JidError::EmptyLocal),
        length if length > PART => Err(JidError::TooLong),
        _ if local.bytes().all(plain) => Ok(()),
        _ => prepared(stringprep::nodeprep(&assigned(local)), JidError::Local),
    }
}

fn check_resource(resource: &str) -> Result<(), JidError> {
    match resource.len() {
        0 => Err(JidError::EmptyResource),
        length if length > PART => Err(JidError::TooLong),
        _ if resource.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) => Ok(()),
        _ => prepared(stringprep::resourceprep(&assigned(resource)), JidError::Resource),
    }
}

/// Servers let characters pass that Unicode 3.2 didn't know (RFC 3454 §7, "queries"): emoji in
/// nicknames, scripts added since. For the check, something known and harmless takes their place.
fn assigned(text: &str) -> String {
    text.chars().map(|c| if stringprep::tables::unassigned_code_point(c) { '\u{2603}' } else { c }).collect()
}

fn prepared<E>(result: Result<std::borrow::Cow<'_, str>, E>, error: JidError) -> Result<(), JidError> {
    match result {
        Ok(text) if text.is_empty() => Err(error),
        Ok(text) if text.len() > PART => Err(JidError::TooLong),
        Ok(_) => Ok(()),
        Err(_) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_is_what_is_left() {
        for (jid, domain) in [
            ("contoso.test", "contoso.test"),
            ("ann@contoso.test", "contoso.test"),
            ("ann@contoso.test/at home", "contoso.test"),
            ("contoso.test/a@b/c", "contoso.test"),
            ("ann@contoso.test/a@b", "contoso.test"),
        ] {
            assert_eq!(domain_of(jid), domain);
            assert_eq!(check(jid), Ok(()), "{jid}");
        }
    }

    #[test]
    fn what_a_server_would_refuse_is_refused() {
        let long = format!("{}@contoso.test", "a".repeat(1024));
        for (jid, fault) in [
            ("@contoso.test", JidError::EmptyLocal),
            ("contoso.test/", JidError::EmptyResource),
            ("a b@contoso.test", JidError::Local),
            ("a\"b@contoso.test", JidError::Local),
            ("a\u{a0}b@contoso.test", JidError::Local),
            ("a\u{200b}\u{e000}@contoso.test", JidError::Local),
            ("\u{ad}@contoso.test", JidError::Local),
            ("contoso.test/a\tb", JidError::Resource),
            ("contoso.test/\u{e000}", JidError::Resource),
            (long.as_str(), JidError::TooLong),
        ] {
            assert_eq!(check(jid), Err(fault), "{jid:?}");
        }
    }

    #[test]
    fn other_scripts_pass() {
        assert_eq!(check("анна@contoso.test/дом"), Ok(()));
        assert_eq!(check("jürgen@contoso.test/büro 📱"), Ok(()));
    }
}
