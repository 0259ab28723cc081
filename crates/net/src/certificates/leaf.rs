//! What fedge reads in a certificate besides its key: the names in it and how long it is valid.

use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use x509_parser::asn1_rs::{Any, FromDer as _, Oid, Tag, TaggedExplicit};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::asn1_rs::oid;
use x509_parser::time::ASN1Time;
use xmpp::identity::Names;

/// id-on-dnsSRV (RFC 4985 §2).
const SRV_NAME: Oid<'static> = oid!(1.3.6.1.5.5.7.8.7);
/// id-on-xmppAddr (RFC 6120 §13.7.1.4).
const XMPP_ADDR: Oid<'static> = oid!(1.3.6.1.5.5.7.8.5);

/// A server's own certificate, as far as it concerns whom it speaks for and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The names in subjectAltName that can speak for a domain. Common names are not among them.
    pub names: Names,
    /// Before this moment the certificate is not valid yet.
    pub not_before: SystemTime,
    /// After this moment it is expired.
    pub not_after: SystemTime,
    /// Whether subject and issuer are the same: self-signed, unless somebody lies.
    pub self_issued: bool,
}

/// Something that is no X.509 certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not a well-formed X.509 certificate ({0})")]
pub struct Malformed(pub String);

impl Leaf {
    /// Reads one certificate (RFC 5280). Names that are no text, and forms that no XMPP server
    /// speaks by, are left out.
    ///
    /// # Errors
    /// When the certificate or its subjectAltName is malformed.
    pub fn parse(der: &CertificateDer<'_>) -> Result<Leaf, Malformed> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|error| Malformed(error.to_string()))?;
        if !rest.is_empty() {
            return Err(Malformed(format!("{} bytes follow it", rest.len())));
        }
        Ok(Leaf {
            names: names(&certificate)?,
            not_before: system_time(certificate.validity().not_before),
            not_after: system_time(certificate.validity().not_after),
            self_issued: certificate.subject().as_raw() == certificate.issuer().as_raw(),
        })
    }
}

fn names(certificate: &X509Certificate<'_>) -> Result<Names, Malformed> {
    let mut names = Names::default();
    let alternative = certificate.subject_alternative_name().map_err(|error| Malformed(error.to_string()))?;
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) if name.is_ascii() => names.dns.push((*name).to_owned()),
            GeneralName::OtherName(form, value) if *form == SRV_NAME => {
                names.srv.extend(text(value).filter(|name| name.is_ascii()));
            }
            GeneralName::OtherName(form, value) if *form == XMPP_ADDR => names.xmpp.extend(text(value)),
            _ => {}
        }
    }
    Ok(names)
}

/// The string in an otherName's `[0] EXPLICIT` value. SRVName is an IA5String and XmppAddr a
/// UTF8String; tools mix them up, and the text is the same.
fn text(value: &[u8]) -> Option<String> {
    let (rest, value) = TaggedExplicit::<Any<'_>, x509_parser::asn1_rs::Error, 0>::from_der(value).ok()?;
    let value = value.into_inner();
    if !rest.is_empty() || !matches!(value.tag(), Tag::Utf8String | Tag::Ia5String) {
        return None;
    }
    std::str::from_utf8(value.data).ok().map(str::to_owned)
}

/// Times before 1970 are as good as 1970: long ago.
pub(crate) fn system_time(time: ASN1Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
}

/// A moment as a person reads it in logs and errors: `2027-02-21 14:05:09 UTC`.
pub fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let Some(date) = i64::try_from(seconds).ok().and_then(|seconds| ASN1Time::from_timestamp(seconds).ok()) else {
        return format!("{seconds} seconds after 1970");
    };
    let date = date.to_datetime();
    let (hour, minute, second) = date.to_hms();
    format!("{}-{:02}-{:02} {hour:02}:{minute:02}:{second:02} UTC", date.year(), u8::from(date.month()), date.day())
}
