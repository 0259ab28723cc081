//! What the intermediate may not certify: written into it, and read back to know what is worth minting.

use rcgen::CustomExtension;
use rustls_pki_types::CertificateDer;
use x509_parser::asn1_rs::FromDer as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, GeneralSubtree};
use xmpp::domain::Domain;
use yasna::models::ObjectIdentifier;
use yasna::{DERWriter, Tag};

use super::CaError;

/// id-ce-nameConstraints (RFC 5280 §4.2.1.10).
const NAME_CONSTRAINTS: [u64; 4] = [2, 5, 29, 30];
/// id-on-dnsSRV (RFC 4985 §2).
const SRV_NAME: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 8, 7];
/// id-on-xmppAddr (RFC 6120 §13.7.1.4).
const XMPP_ADDR: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 8, 5];

/// The dNSName constraints of a CA: a name stands for itself and everything below.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Constraints {
    permitted: Option<Vec<String>>,
    excluded: Vec<String>,
}

impl Constraints {
    /// Those of an intermediate that speaks as partners and never as a local domain.
    pub(super) fn new(local: &[Domain], partners: Option<&[Domain]>) -> Constraints {
        let names = |domains: &[Domain]| domains.iter().map(|domain| domain.to_ascii().to_owned()).collect();
        Constraints { permitted: partners.map(names), excluded: names(local) }
    }

    /// Reads what the CA's certificate says.
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Result<Constraints, String> {
        let (_, certificate) =
            X509Certificate::from_der(certificate).map_err(|error| format!("it is no X.509 certificate ({error})"))?;
        let basic = certificate.basic_constraints().ok().flatten();
        if !basic.is_some_and(|basic| basic.value.ca) {
            return Err("it is not the certificate of a CA".to_owned());
        }
        let found =
            certificate.name_constraints().map_err(|error| format!("its name constraints are broken ({error})"))?;
        let found = found.ok_or("it has no name constraints, so it could speak for local domains")?.value;
        Ok(Constraints {
            permitted: found.permitted_subtrees.as_deref().map(dns_names).filter(|names| !names.is_empty()),
            excluded: found.excluded_subtrees.as_deref().map(dns_names).unwrap_or_default(),
        })
    }

    pub(super) fn excludes(&self, domain: &Domain) -> bool {
        self.excluded.iter().any(|name| covers(name, domain))
    }

    /// Whether a certificate for `domain` is worth minting.
    pub(super) fn check(&self, domain: &Domain) -> Result<(), CaError> {
        if self.excludes(domain) {
            return Err(CaError::Excluded(domain.clone()));
        }
        match &self.permitted {
            Some(names) if !names.iter().any(|name| covers(name, domain)) => Err(CaError::NotPermitted(domain.clone())),
            _ => Ok(()),
        }
    }

    /// The extension, critical. rcgen has no words for otherName constraints, so all of it is
    /// written here. Their base is empty: whoever understands the form finds it excluded, and whoever
    /// doesn't has to refuse a certificate that holds a name of it.
    pub(super) fn extension(&self) -> CustomExtension {
        let der = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                if let Some(permitted) = &self.permitted {
                    writer.next().write_tagged_implicit(Tag::context(0), |writer| {
                        writer.write_sequence(|writer| {
                            permitted.iter().for_each(|name| write_dns(writer.next(), name));
                        });
                    });
                }
                writer.next().write_tagged_implicit(Tag::context(1), |writer| {
                    writer.write_sequence(|writer| {
                        self.excluded.iter().for_each(|name| write_dns(writer.next(), name));
                        write_other(writer.next(), &SRV_NAME, |value| value.write_ia5_string(""));
                        write_other(writer.next(), &XMPP_ADDR, |value| value.write_utf8_string(""));
                    });
                });
            });
        });
        let mut extension = CustomExtension::from_oid_content(&NAME_CONSTRAINTS, der);
        extension.set_criticality(true);
        extension
    }
}

/// `GeneralSubtree { base dNSName }`
fn write_dns(writer: DERWriter<'_>, name: &str) {
    writer.write_sequence(|writer| {
        writer.next().write_tagged_implicit(Tag::context(2), |writer| writer.write_ia5_string(name));
    });
}

/// `GeneralSubtree { base otherName { form, [0] EXPLICIT value } }`
fn write_other(writer: DERWriter<'_>, form: &[u64], value: impl FnOnce(DERWriter<'_>)) {
    writer.write_sequence(|writer| {
        writer.next().write_tagged_implicit(Tag::context(0), |writer| {
            writer.write_sequence(|writer| {
                writer.next().write_oid(&ObjectIdentifier::from_slice(form));
                writer.next().write_tagged(Tag::context(0), value);
            });
        });
    });
}

fn dns_names(subtrees: &[GeneralSubtree<'_>]) -> Vec<String> {
    let names = subtrees.iter().filter_map(|subtree| match subtree.base {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    names.collect()
}

fn covers(name: &str, domain: &Domain) -> bool {
    let front = domain.to_ascii().strip_suffix(name);
    front.is_some_and(|front| front.is_empty() || front.ends_with('.') || name.starts_with('.') || name.is_empty())
}
