//! What a person wants to know of a certificate that somebody shows, besides what decides about it.

use rustls_pki_types::CertificateDer;
use x509_parser::asn1_rs::FromDer as _;
use x509_parser::certificate::X509Certificate;

use super::Malformed;

/// The longest issuer that is shown, in characters; it is whatever a peer's certificate says.
const ISSUER: usize = 200;

/// Who issued a certificate, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The issuer's distinguished name.
    pub issuer: String,
    /// Extended key usages: `serverAuth`, `clientAuth`, others by number. None where it says nothing, which is any use.
    pub usages: Vec<String>,
}

impl Shown {
    /// Reads one certificate.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn parse(der: &CertificateDer<'_>) -> Result<Shown, Malformed> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| Malformed(error.to_string()))?;
        let usage = certificate.extended_key_usage().map_err(|error| Malformed(error.to_string()))?;
        let mut usages = Vec::new();
        if let Some(usage) = usage.map(|extension| extension.value) {
            let known = [(usage.server_auth, "serverAuth"), (usage.client_auth, "clientAuth"), (usage.any, "any")];
            usages.extend(known.into_iter().filter(|(there, _)| *there).map(|(_, word)| word.to_owned()));
            usages.extend(usage.other.iter().map(ToString::to_string));
            if usages.is_empty() {
                usages.push("something else".to_owned());
            }
        }
        let issuer = certificate.issuer().to_string();
        let issuer = issuer.chars().map(|c| if c.is_control() { ' ' } else { c }).take(ISSUER).collect();
        Ok(Shown { issuer, usages })
    }

    /// Whether it may be shown by who is connected to.
    pub fn is_for_servers(&self) -> bool {
        self.is_for("serverAuth")
    }

    /// Whether it may be shown by who connects.
    pub fn is_for_clients(&self) -> bool {
        self.is_for("clientAuth")
    }

    fn is_for(&self, word: &str) -> bool {
        self.usages.is_empty() || self.usages.iter().any(|usage| usage == word || usage == "any")
    }
}
