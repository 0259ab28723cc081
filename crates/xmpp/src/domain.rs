//! Domains: the names that streams, stanzas and policies speak of, normalised once.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

/// Partners choose their names: none may know which ones fall together in our tables.
static HASHES: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A domain that may stand in a stream header or an address, normalised: lower case, U-labels,
/// no trailing dot. Two domains are the same exactly when they compare equal.
///
/// A domain whose IDNA2008 and nameprep forms differ is refused: the servers behind us disagree
/// about which domain it is, so one would check what another delivers to.
#[derive(Clone)]
pub struct Domain(Arc<Forms>);

struct Forms {
    unicode: Box<str>,
    /// The same in another form, so it has no say in comparisons; nothing where the two are alike.
    ascii: Option<Box<str>>,
    /// Of the first form; made once, as each stanza is looked up by its domains several times.
    hash: u64,
}

impl PartialEq for Domain {
    fn eq(&self, other: &Domain) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.hash == other.0.hash && self.0.unicode == other.0.unicode
    }
}

impl Eq for Domain {}

impl Hash for Domain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl PartialOrd for Domain {
    fn partial_cmp(&self, other: &Domain) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Domain {
    fn cmp(&self, other: &Domain) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        self.0.unicode.cmp(&other.0.unicode)
    }
}

/// Why a text is no domain that fedge speaks of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// Nothing was there.
    #[error("the domain is empty")]
    Empty,
    /// The A-label form exceeds what DNS carries.
    #[error("the domain is {0} bytes long in its DNS form; 253 is the most that DNS carries")]
    TooLong(usize),
    /// An address rather than a domain. It isn't quoted, as it is a person's.
    #[error("an address with `@` or `/` stands where a domain was expected")]
    Address,
    /// A label is empty, too long, or holds a character that no domain may hold.
    #[error("`{0}` is not a valid domain name")]
    Invalid(String),
    /// IDNA2008 and nameprep make different domains of it.
    #[error(
        "`{0}` is refused: IDNA2008 and nameprep make different domains of it, and servers disagree which one is meant"
    )]
    Ambiguous(String),
    /// An IP address literal: no DNS name, no certificate name, no policy can stand on it.
    #[error("`{0}` is an IP address; fedge federates between domain names only")]
    IpLiteral(String),
}

impl Domain {
    /// Normalises `text` (RFC 7622 §3.2, RFC 5891).
    ///
    /// # Errors
    /// When it is empty, too long for DNS, malformed, an IP literal, or ambiguous between
    /// IDNA2008 and the nameprep that older servers still apply.
    pub fn parse(text: &str) -> Result<Domain, DomainError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(DomainError::Empty);
        }
        if text.contains(['@', '/']) {
            return Err(DomainError::Address);
        }
        if text.len() > 1023 {
            return Err(DomainError::TooLong(text.len()));
        }
        // Before IDNA, to which a long label is dear.
        if text.split('.').any(|label| label.len() > 63 && label.is_ascii()) {
            return Err(DomainError::Invalid(text.to_owned()));
        }
        if text.starts_with('[') || text.parse::<std::net::Ipv4Addr>().is_ok() {
            return Err(DomainError::IpLiteral(text.to_owned()));
        }
        if let Some(plain) = plain_ascii(text) {
            return Domain::from_ascii(plain);
        }
        Domain::from_unicode(text)
    }

    fn from_ascii(lower: String) -> Result<Domain, DomainError> {
        if lower.len() > 253 {
            return Err(DomainError::TooLong(lower.len()));
        }
        Ok(Domain::new(lower, None))
    }

    /// The road for everything that isn't plain ASCII: U-labels, A-labels, odd characters.
    fn from_unicode(text: &str) -> Result<Domain, DomainError> {
        let invalid = || DomainError::Invalid(text.to_owned());
        let ascii = idna::domain_to_ascii_strict(text).map_err(|_| invalid())?;
        if ascii.len() > 253 {
            return Err(DomainError::TooLong(ascii.len()));
        }
        let (unicode, faults) = idna::domain_to_unicode(&ascii);
        faults.map_err(|_| invalid())?;
        // What arrived must be the form itself, but for case: full width, ideographic full stops and
        // the like map to something else under one set of rules or the other.
        let typed_lower = text.to_lowercase();
        let as_typed = typed_lower == unicode || typed_lower == ascii;
        let prepared = stringprep::nameprep(&unicode).map_err(|_| invalid())?;
        // Cherokee's lower case becomes upper case there: such a name would not be its own form.
        let stable = unicode.to_lowercase() == unicode;
        if !as_typed || !stable || prepared != unicode {
            return Err(DomainError::Ambiguous(text.to_owned()));
        }
        let other = (ascii != unicode).then_some(ascii);
        Ok(Domain::new(unicode, other))
    }

    fn new(unicode: String, ascii: Option<String>) -> Domain {
        let hash = HASHES.hash_one(&*unicode);
        let forms = Forms { unicode: unicode.into(), ascii: ascii.map(String::into), hash };
        Domain(Arc::new(forms))
    }

    /// The normalised form as it stands in stream headers and addresses.
    pub fn as_str(&self) -> &str {
        &self.0.unicode
    }

    /// Whether `text` is the normalised form, but for upper case.
    pub(crate) fn is_written(&self, text: &str) -> bool {
        text.eq_ignore_ascii_case(self.as_str()) || text.to_lowercase() == self.as_str()
    }

    /// The A-label form, for DNS, SNI and certificates.
    pub fn to_ascii(&self) -> &str {
        self.0.ascii.as_deref().unwrap_or(&self.0.unicode)
    }

    /// Whether this domain is a subdomain of `other`, at any depth, and not `other` itself.
    pub fn is_below(&self, other: &Domain) -> bool {
        self.to_ascii().strip_suffix(other.to_ascii()).is_some_and(|front| front.ends_with('.'))
    }
}

/// Lower-cases `text` if it is a plain host name: letters, digits, inner hyphens (an underscore is
/// tolerated inside), no A-label.
fn plain_ascii(text: &str) -> Option<String> {
    let plain_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.as_bytes().get(2..4) != Some(b"--")
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.split('.').all(plain_label).then(|| text.to_ascii_lowercase())
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.as_str())
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Domain, DomainError> {
        Domain::parse(text)
    }
}

/// A domain pair: who speaks to whom. Its two directions are different pairs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainPair {
    /// The domain that sends.
    pub from: Domain,
    /// The domain that receives.
    pub to: Domain,
}

impl DomainPair {
    /// The pair of `from` speaking to `to`.
    pub fn new(from: Domain, to: Domain) -> DomainPair {
        DomainPair { from, to }
    }

    /// The way back.
    pub fn reversed(&self) -> DomainPair {
        DomainPair { from: self.to.clone(), to: self.from.clone() }
    }
}

impl fmt::Display for DomainPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).expect("a domain")
    }

    #[test]
    fn case_and_trailing_dot_do_not_matter() {
        assert_eq!(domain("Contoso.TEST."), domain("contoso.test"));
        assert_eq!(domain("localhost").as_str(), "localhost");
    }

    #[test]
    fn both_label_forms_are_one_domain() {
        let typed = domain("Bücher.example");
        assert_eq!(typed, domain("xn--bcher-kva.example"));
        assert_eq!(typed.as_str(), "bücher.example");
        assert_eq!(typed.to_ascii(), "xn--bcher-kva.example");
    }

    #[test]
    fn domains_that_servers_read_differently_are_refused() {
        for text in [
            "straße.example",
            "xn--strae-oqa.example",
            "βόλος.example",
            "ｃontoso.example",
            "contoso。example",
            "a\u{200d}b.example",
            "a\u{200c}b.example",
            "Ꭰ.example",
            "xn--58d.example",
        ] {
            assert!(Domain::parse(text).is_err(), "{text} must be refused");
        }
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for text in
            ["", ".", "a..b", "-a.test", "a b.test", "user@a.test", "a.test/x", "192.0.2.1", "[::1]", "a\0b", "<a>"]
        {
            assert!(Domain::parse(text).is_err(), "{text:?} must be refused");
        }
        assert!(Domain::parse(&"a.".repeat(200)).is_err());
        assert!(Domain::parse(&"a".repeat(64)).is_err());
    }

    #[test]
    fn addresses_are_not_quoted() {
        for text in ["user@a.test", "a.test/x", "user@a.test/x"] {
            assert_eq!(Domain::parse(text), Err(DomainError::Address));
        }
        assert!(!DomainError::Address.to_string().contains("user"));
    }

    #[test]
    fn below_means_strictly_below() {
        assert!(domain("conference.contoso.test").is_below(&domain("contoso.test")));
        assert!(!domain("contoso.test").is_below(&domain("contoso.test")));
        assert!(!domain("notcontoso.test").is_below(&domain("contoso.test")));
    }
}
