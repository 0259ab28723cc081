//! Why a handshake failed, in sentences for the person who must find out which side is to blame.

use std::io;

use rustls::{AlertDescription, PeerIncompatible};
use xmpp::domain::Domain;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// We were asked for a domain that we have no certificate for.
    #[error(
        "there is no certificate to show as {0}: a local domain's belongs into the folder of certificates, a partner's \
         is made only for one that is listed"
    )]
    NoCertificate(String),
    /// What is dialed is no name that SNI can carry.
    #[error("`{0}` is no DNS name, so no TLS server can be asked for it")]
    NotInDns(Domain),
    /// The peer speaks TLS, but for another protocol than federation.
    #[error("the peer offered other protocols in ALPN than `xmpp-server`")]
    OtherProtocol,
    /// Something else than TLS came.
    #[error("what the peer sent is not TLS")]
    NotTls,
    /// The peer gave up and said why, in TLS' own words.
    #[error("the peer refused our TLS handshake with the alert {}", alert(*.0))]
    Refused(AlertDescription),
    /// There is no version, cipher suite, group or signature scheme that both know.
    #[error("the peer and we have no TLS in common: {}", incompatible(.0))]
    Incompatible(PeerIncompatible),
    /// The peer's certificate or its proof of holding the key is broken.
    #[error("the peer's certificate can't be used: {0}")]
    BadCertificate(String),
    /// Anything else that the peer did wrong.
    #[error("the TLS handshake failed: {0}")]
    Failed(rustls::Error),
    /// The connection under it.
    #[error("the connection broke in the TLS handshake: {}", broke(.0))]
    Io(io::Error),
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> TlsError {
        use rustls::Error as E;
        match error {
            E::AlertReceived(AlertDescription::NoApplicationProtocol) | E::NoApplicationProtocol => {
                TlsError::OtherProtocol
            }
            E::AlertReceived(alert) => TlsError::Refused(alert),
            E::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => TlsError::NotTls,
            E::PeerIncompatible(what) => TlsError::Incompatible(what),
            E::InvalidCertificate(rustls::CertificateError::BadSignature) => {
                TlsError::BadCertificate("it did not prove to hold the private key".to_owned())
            }
            E::InvalidCertificate(what) => TlsError::BadCertificate(what.to_string()),
            other => TlsError::Failed(other),
        }
    }
}

fn alert(description: AlertDescription) -> String {
    let name = description.as_str().unwrap_or("unknown");
    let hint = match description {
        AlertDescription::UnrecognisedName => " (it does not serve that domain)",
        AlertDescription::HandshakeFailure => " (often: no cipher suite or certificate type in common)",
        AlertDescription::ProtocolVersion => " (it speaks neither TLS 1.2 nor 1.3)",
        AlertDescription::UnknownCA => " (it does not trust the CA of our certificate)",
        AlertDescription::CertificateRequired => " (it demands a certificate that we don't have)",
        AlertDescription::UnsupportedCertificate => {
            " (it may demand the usage clientAuth, which public CAs no longer issue)"
        }
        _ => "",
    };
    format!("`{name}`{hint}")
}

fn incompatible(what: &PeerIncompatible) -> String {
    match what {
        PeerIncompatible::NoCipherSuitesInCommon => "no cipher suite".to_owned(),
        PeerIncompatible::NoKxGroupsInCommon => "no key exchange group".to_owned(),
        PeerIncompatible::NoSignatureSchemesInCommon => "no signature scheme for our certificate's key".to_owned(),
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => "no version, and 1.2 is the least".to_owned(),
        other => format!("{other:?}"),
    }
}

fn broke(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the peer closed it".to_owned(),
        _ => error.to_string(),
    }
}
