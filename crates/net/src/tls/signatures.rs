//! Lets any chain through a handshake, but only if its owner holds the key: the judge comes later.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use x509_parser::asn1_rs::FromDer as _;
use x509_parser::certificate::X509Certificate;

/// Verifies the signatures of a handshake and nothing else, as server and as client. As server it is content with whoever
/// shows no certificate.
#[derive(Debug)]
pub struct SignaturesOnly(WebPkiSupportedAlgorithms);

impl SignaturesOnly {
    /// With what this provider verifies.
    pub fn new(provider: &CryptoProvider) -> SignaturesOnly {
        SignaturesOnly(provider.signature_verification_algorithms)
    }

    fn tls12(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match bare_key(certificate)? {
            None => verify_tls12_signature(message, certificate, signed, &self.0),
            Some(key) => self.tls12_with_bare_key(message, &key, signed),
        }
    }

    fn tls13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match bare_key(certificate)? {
            None => verify_tls13_signature(message, certificate, signed, &self.0),
            Some(key) => verify_tls13_signature_with_raw_key(message, &key, signed, &self.0),
        }
    }

    /// In TLS 1.2 a scheme leaves the curve open, so every algorithm of the scheme is tried, as rustls
    /// does for certificates.
    fn tls12_with_bare_key(
        &self,
        message: &[u8],
        key: &SubjectPublicKeyInfoDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let refused = || Error::InvalidCertificate(CertificateError::BadSignature);
        let key = webpki::RawPublicKeyEntity::try_from(key).map_err(|_| refused())?;
        let scheme = self.0.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
        let (_, algorithms) = scheme.ok_or_else(refused)?;
        if algorithms.iter().any(|algorithm| key.verify_signature(*algorithm, message, signed.signature()).is_ok()) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(refused())
        }
    }
}

/// The public key of a certificate that webpki won't even read. COMPAT(`openssl x509 -req` without
/// extensions): it makes X.509 version 1, which proves no domain, but must not stand in the way of
/// dialback.
fn bare_key(certificate: &CertificateDer<'_>) -> Result<Option<SubjectPublicKeyInfoDer<'static>>, Error> {
    if webpki::EndEntityCert::try_from(certificate).is_ok() {
        return Ok(None);
    }
    match X509Certificate::from_der(certificate) {
        Ok((_, parsed)) => Ok(Some(SubjectPublicKeyInfoDer::from(parsed.public_key().raw.to_vec()))),
        Err(_) => Err(Error::InvalidCertificate(CertificateError::BadEncoding)),
    }
}

impl ServerCertVerifier for SignaturesOnly {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

impl ClientCertVerifier for SignaturesOnly {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// Naming CAs would make peers keep back certificates that the judge might accept.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
