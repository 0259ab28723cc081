//! Certificates of a laboratory: a CA that stands for the public ones, and leaves as good or as bad as a test needs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};
use yasna::models::ObjectIdentifier;
use yasna::{DERWriter, Tag};

#[cfg(test)]
mod tests;

/// subjectAltName, RFC 5280, 4.2.1.6.
const ALTERNATIVE_NAMES: &[u64] = &[2, 5, 29, 17];

/// RFC 4985: the name of a service at a domain, `_xmpp-server.contoso.test`.
const SRV_NAME: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 8, 7];
/// RFC 6120, 13.7.1.4.
const XMPP_ADDR: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 8, 5];

/// A CA that servers of the laboratory trust as servers outside trust the public ones. Its keys, and
/// all others here, are on P-256.
#[derive(Debug)]
pub struct LabCa {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl LabCa {
    /// A new one, with a key of its own.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new() -> anyhow::Result<LabCa> {
        let mut params = dated(now() - Duration::days(2), now() + Duration::days(3650));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "fedge laboratory, in place of a public CA");
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(LabCa { issuer: Issuer::new(params, key), pem })
    }

    /// Its certificate, which is what servers trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes its certificate into `folder` as `trusted.crt` and gives the path.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        write(folder, "trusted.crt", &self.pem)
    }

    /// Issues what `request` describes.
    ///
    /// # Errors
    /// When a name isn't ASCII.
    pub fn issue(&self, request: &Request) -> anyhow::Result<Issued> {
        let key = KeyPair::generate()?;
        let certificate = request.params()?.signed_by(&key, &self.issuer)?;
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// A server certificate to be made. As it begins, it is valid for its domains, today, for both ends
/// of a connection.
#[derive(Debug, Clone)]
pub struct Request {
    domains: Vec<String>,
    srv_names: Vec<String>,
    xmpp_addrs: Vec<String>,
    client: bool,
    /// Days from today.
    valid: (i64, i64),
}

impl Request {
    /// For `domains`, each a dNSName; the first is the subject's common name as well. There may be none.
    pub fn new(domains: &[&str]) -> Request {
        let domains = domains.iter().map(|&domain| domain.to_owned()).collect();
        Request { domains, srv_names: Vec::new(), xmpp_addrs: Vec::new(), client: true, valid: (-1, 90) }
    }

    /// Also, or only, by the name of its service: an SRVName `_xmpp-server.DOMAIN` (RFC 4985).
    #[must_use]
    pub fn srv_name(mut self, domain: &str) -> Request {
        self.srv_names.push(format!("_xmpp-server.{domain}"));
        self
    }

    /// Also, or only, by an XmppAddr (RFC 6120, 13.7.1.4).
    #[must_use]
    pub fn xmpp_addr(mut self, domain: &str) -> Request {
        self.xmpp_addrs.push(domain.to_owned());
        self
    }

    /// As today's public CAs issue them: usage serverAuth, without clientAuth.
    #[must_use]
    pub fn server_only(mut self) -> Request {
        self.client = false;
        self
    }

    /// It ended yesterday.
    #[must_use]
    pub fn expired(mut self) -> Request {
        self.valid = (-90, -1);
        self
    }

    /// It begins tomorrow.
    #[must_use]
    pub fn not_yet_valid(mut self) -> Request {
        self.valid = (1, 90);
        self
    }

    /// Makes it signed by itself, trusted by nobody.
    ///
    /// # Errors
    /// When a name isn't ASCII.
    pub fn self_signed(&self) -> anyhow::Result<Issued> {
        let key = KeyPair::generate()?;
        Ok(Issued { certificate: self.params()?.self_signed(&key)?.pem(), key: key.serialize_pem() })
    }

    fn params(&self) -> anyhow::Result<CertificateParams> {
        let (from, until) = self.valid;
        let mut params = dated(now() + Duration::days(from), now() + Duration::days(until));
        if let Some(domain) = self.domains.first() {
            params.distinguished_name.push(DnType::CommonName, domain.as_str());
        }
        params.custom_extensions.push(self.alternative_names()?);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        if self.client {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        Ok(params)
    }

    /// Written here because rcgen has no IA5String for otherNames, which RFC 4985 demands.
    fn alternative_names(&self) -> anyhow::Result<CustomExtension> {
        let mut ascii = self.domains.iter().chain(&self.srv_names);
        if let Some(name) = ascii.find(|name| !name.is_ascii()) {
            bail!("{name} isn't ASCII: certificates have the xn-- form");
        }
        let der = yasna::construct_der(|writer| {
            writer.write_sequence(|names| {
                for domain in &self.domains {
                    names.next().write_tagged_implicit(Tag::context(2), |writer| writer.write_ia5_string(domain));
                }
                for name in &self.srv_names {
                    other_name(names.next(), SRV_NAME, |writer| writer.write_ia5_string(name));
                }
                for name in &self.xmpp_addrs {
                    other_name(names.next(), XMPP_ADDR, |writer| writer.write_utf8_string(name));
                }
            });
        });
        Ok(CustomExtension::from_oid_content(ALTERNATIVE_NAMES, der))
    }
}

/// `otherName [0] { type-id, value [0] EXPLICIT }`
fn other_name(writer: DERWriter<'_>, form: &[u64], value: impl FnOnce(DERWriter<'_>)) {
    writer.write_tagged_implicit(Tag::context(0), |writer| {
        writer.write_sequence(|parts| {
            parts.next().write_oid(&ObjectIdentifier::from_slice(form));
            parts.next().write_tagged(Tag::context(0), value);
        });
    });
}

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Issued {
    /// PEM. No intermediate belongs to it.
    pub certificate: String,
    /// PEM, PKCS #8.
    pub key: String,
}

impl Issued {
    /// Writes both into one file of `folder`, `NAME.pem`, as each of our servers can read it, and gives the path.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
        write(folder, &format!("{name}.pem"), &format!("{}{}", self.certificate, self.key))
    }

    /// Writes them into two files of `folder`, `NAME.crt` and `NAME.key`, and gives the paths.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn write_apart(&self, folder: &Path, name: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
        let certificate = write(folder, &format!("{name}.crt"), &self.certificate)?;
        Ok((certificate, write(folder, &format!("{name}.key"), &self.key)?))
    }
}

fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    let path = folder.join(name);
    fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
    Ok(path)
}

fn dated(from: OffsetDateTime, until: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = from;
    params.not_after = until;
    params.distinguished_name = DistinguishedName::new();
    params
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
