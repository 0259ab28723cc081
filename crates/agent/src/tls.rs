//! TLS between controllers and agents: 1.3 only, both ends with a certificate, each in its role.

use std::sync::Arc;

use api::agent::{Credentials, Digest, Issued, Role};
use net::crypto;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::certificate::{Shown, fingerprint};
use crate::credentials::{CredentialsError, Own, certificates, roots};

/// For an enrolled member: takes controllers of the CA that it was enrolled with.
///
/// # Errors
/// When the certificates can't be used.
pub fn accepting(own: &Own, issued: &Issued) -> Result<ServerConfig, CredentialsError> {
    let what = "the agent's certificate";
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(&issued.ca)?.into(), crypto::provider());
    let verifier =
        verifier.build().map_err(|error| CredentialsError::Untrusted(what, Error::General(error.to_string())))?;
    server(own, certificates(what, &issued.certificate)?, verifier)
}

/// For a member that waits to be enrolled: takes controllers of the CA with that fingerprint.
///
/// # Errors
/// When its name can't stand in a certificate.
pub fn waiting(own: &Own, ca: Digest) -> Result<ServerConfig, CredentialsError> {
    server(own, vec![own.self_signed()?], Arc::new(OfCa(ca)))
}

fn server(
    own: &Own,
    chain: Vec<CertificateDer<'static>>,
    verifier: Arc<dyn ClientCertVerifier>,
) -> Result<ServerConfig, CredentialsError> {
    let mut config = ServerConfig::builder_with_provider(crypto::provider())
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has cipher suites for TLS 1.3")
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, own.secret())
        .map_err(|error| CredentialsError::Untrusted("the agent's certificate", error))?;
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Whom a controller expects where it dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Who was enrolled, by a certificate of our CA.
    Enrolled,
    /// Who waits for it, by the fingerprint that it shows.
    Waiting(Digest),
}

/// For a controller.
///
/// # Errors
/// When its certificates can't be used.
pub fn dialing(own: &Own, credentials: &Credentials, expect: Expect) -> Result<ClientConfig, CredentialsError> {
    let what = "the controller's certificate";
    let verifier: Arc<dyn ServerCertVerifier> = match expect {
        Expect::Enrolled => {
            WebPkiServerVerifier::builder_with_provider(roots(&credentials.agent.ca)?.into(), crypto::provider())
                .build()
                .map_err(|error| CredentialsError::Untrusted(what, Error::General(error.to_string())))?
        }
        Expect::Waiting(key) => Arc::new(WithKey(key)),
    };
    // The CA goes along: who waits to be enrolled knows no more of it than its fingerprint.
    let chain = [&credentials.agent.certificate, &credentials.agent.ca];
    let chain = chain.map(|pem| certificates(what, pem));
    let [certificate, ca] = chain;
    let mut config = ClientConfig::builder_with_provider(crypto::provider())
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has cipher suites for TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert([certificate?, ca?].concat(), own.secret())
        .map_err(|error| CredentialsError::Untrusted(what, error))?;
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Why who is there isn't who may be there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stranger {
    /// No certificate, or none of a control plane.
    #[error("it shows no certificate of a control plane")]
    Nobody,
    /// Another name or role.
    #[error("the {} {} is there, and the {role} {fqdn} was expected; look at the addresses of both in the topology", seen.role, seen.fqdn)]
    Another {
        /// Who is there.
        seen: Box<Shown>,
        /// Who should be.
        fqdn: String,
        /// As what.
        role: Role,
    },
    /// Not a controller.
    #[error("the {} {} is there, and only controllers may be", .0.role, .0.fqdn)]
    NoController(Box<Shown>),
    /// Another key than the enrolled one.
    #[error("its key is {seen}, and {enrolled} is enrolled; if the machine was set up anew, enrol it anew")]
    Key {
        /// The key that is there.
        seen: Digest,
        /// The key that should be.
        enrolled: Digest,
    },
}

/// The controller at the other end, after the handshake.
///
/// # Errors
/// When it is none.
pub fn controller(chain: Option<&[CertificateDer<'_>]>) -> Result<Shown, Stranger> {
    let shown = shown(chain)?;
    if shown.role == Role::Controller { Ok(shown) } else { Err(Stranger::NoController(Box::new(shown))) }
}

/// The member at the other end, after the handshake.
///
/// # Errors
/// When it is another.
pub fn member(
    chain: Option<&[CertificateDer<'_>]>,
    fqdn: &str,
    role: Role,
    enrolled: Digest,
) -> Result<Shown, Stranger> {
    let seen = shown(chain)?;
    if seen.fqdn != fqdn || seen.role != role {
        return Err(Stranger::Another { seen: Box::new(seen), fqdn: fqdn.to_owned(), role });
    }
    if seen.fingerprint != enrolled {
        return Err(Stranger::Key { seen: seen.fingerprint, enrolled });
    }
    Ok(seen)
}

fn shown(chain: Option<&[CertificateDer<'_>]>) -> Result<Shown, Stranger> {
    let leaf = chain.and_then(<[_]>::first).ok_or(Stranger::Nobody)?;
    Shown::parse(leaf).map_err(|_| Stranger::Nobody)
}

/// Takes whoever has a certificate of the CA with this fingerprint, and brings the CA's own along.
#[derive(Debug)]
struct OfCa(Digest);

/// Takes whoever has the key with this fingerprint, whatever its certificate says.
#[derive(Debug)]
struct WithKey(Digest);

impl ClientCertVerifier for OfCa {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let ca = intermediates.iter().find(|one| fingerprint(one) == Ok(self.0));
        let ca = ca.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), crypto::provider()).build();
        let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &crypto::provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &crypto::provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        crypto::provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for WithKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if fingerprint(end_entity) == Ok(self.0) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &crypto::provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &crypto::provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        crypto::provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
