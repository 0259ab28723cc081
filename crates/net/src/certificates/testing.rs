//! A small certificate authority for tests.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use xmpp::domain::Domain;

use super::Certificates;
use crate::crypto;

pub(crate) fn domain(text: &str) -> Domain {
    Domain::parse(text).expect("a domain")
}

/// A moment at which all that these tests make is valid, unless they say otherwise.
pub(crate) fn noon(year: i32) -> SystemTime {
    SystemTime::from(rcgen::date_time_ymd(year, 6, 1))
}

pub(crate) struct Ca {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
pub(crate) struct Issued {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
}

pub(crate) fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = called(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}

pub(crate) fn leaf_params(dns: &[&str]) -> CertificateParams {
    let names: Vec<String> = dns.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name = called("a leaf");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    params
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

impl Ca {
    pub(crate) fn root(name: &str) -> Ca {
        let key = KeyPair::generate().expect("a key");
        let params = ca_params(name);
        let certificate = params.self_signed(&key).expect("a root");
        Ca { certificate: certificate.der().clone(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// A CA below this one.
    pub(crate) fn below(&self, params: CertificateParams) -> Ca {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("an intermediate");
        Ca { certificate: certificate.der().clone(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a leaf");
        Issued { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
    }

    pub(crate) fn leaf(&self, dns: &[&str]) -> Issued {
        self.issue(&leaf_params(dns))
    }
}

impl Issued {
    pub(crate) fn self_signed(params: &CertificateParams) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Issued { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
    }

    pub(crate) fn with(mut self, issuer: &Ca) -> Issued {
        self.chain.push(issuer.certificate.clone());
        self.pem.push_str(&issuer.pem);
        self
    }

    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key");
        Arc::new(CertifiedKey::from_der(self.chain.clone(), key, &crypto::provider()).expect("they match"))
    }

    /// Writes `NAME.crt` and `NAME.key`.
    pub(crate) fn write(&self, folder: &Path, name: &str) {
        std::fs::write(folder.join(format!("{name}.crt")), &self.pem).expect("written");
        std::fs::write(folder.join(format!("{name}.key")), self.key.serialize_pem()).expect("written");
    }
}

/// Certificates by domain, without files.
#[derive(Default)]
pub(crate) struct Few(pub(crate) Vec<(Domain, Arc<CertifiedKey>)>);

impl Certificates for Few {
    fn certificate(&self, domain: &Domain) -> Option<Arc<CertifiedKey>> {
        self.0.iter().find(|(name, _)| name == domain).map(|(_, key)| key.clone())
    }
}
