//! What a failed TLS handshake means, and who can mend it how. No I/O, no clock.

use std::io::ErrorKind;

use rustls::AlertDescription as Alert;

use super::facts::{Finding, Scene};
use super::trouble::refused_certificate;
use crate::tls::TlsError;

/// What is said of a handshake that failed.
pub(super) fn explain(error: &TlsError, scene: &Scene) -> Finding {
    let finding = Finding::bad(error.to_string());
    match error {
        TlsError::NotTls if scene.direct_tls => finding
            .because("that port takes STARTTLS, and the SRV record `_xmpps-server` says direct TLS")
            .mend(scene.have("take that record away, or name a port in it that takes direct TLS")),
        TlsError::NotTls => finding
            .because("the server is faulty, or somebody on the way interferes with STARTTLS")
            .mend(scene.have("look into the server's log")),
        TlsError::OtherProtocol | TlsError::Refused(Alert::NoApplicationProtocol) => finding
            .because("that port is one for clients, or for the web, which share it by ALPN")
            .mend(scene.have("have its port take `xmpp-server` in ALPN, or name another port in its SRV records")),
        TlsError::Refused(alert) => refused(*alert, finding, scene),
        TlsError::Incompatible(_) => finding
            .because("its software or its settings are old: TLS 1.2 with forward secrecy is the least that fedge takes")
            .mend(scene.have("allow TLS 1.2 or 1.3 with common cipher suites")),
        TlsError::BadCertificate(_) => finding
            .because("certificate and key don't belong together, or the certificate is damaged")
            .mend(scene.have("install the certificate with the key that belongs to it")),
        TlsError::NotInDns(_) => finding
            .because("a name that DNS can't have")
            .mend("probe a domain, not an address or a name with an underscore"),
        TlsError::NoCertificate(_) => finding.mend("lay a certificate for it into the folder of certificates"),
        TlsError::Io(error)
            if error.kind() == ErrorKind::UnexpectedEof || error.kind() == ErrorKind::ConnectionReset =>
        {
            finding
                .because(if scene.direct_tls {
                    "that port doesn't take direct TLS, or its server has no certificate for the domain"
                } else {
                    "its server has no certificate for the domain, or doesn't like our hello"
                })
                .mend(scene.have(&format!("see that TLS works there for {}", scene.to)))
        }
        TlsError::Io(_) | TlsError::Failed(_) => {
            finding.because("a fault on the way, or in its TLS").mend(scene.have("look into the server's log"))
        }
    }
}

fn refused(alert: Alert, finding: Finding, scene: &Scene) -> Finding {
    match alert {
        Alert::UnrecognisedName => finding
            .because(format!("its server has no certificate for {}", scene.to))
            .mend(scene.have(&format!("install a certificate for {}, or correct the SRV records", scene.to))),
        Alert::ProtocolVersion => {
            finding.because("it speaks neither TLS 1.2 nor 1.3").mend(scene.have("allow TLS 1.2 or 1.3"))
        }
        Alert::HandshakeFailure | Alert::InsufficientSecurity => finding
            .because("no cipher suite, group or kind of certificate is common to both")
            .mend(scene.have("allow common cipher suites, and to show a certificate with an ECDSA or RSA key")),
        Alert::CertificateRequired => finding
            .because(format!("it demands a certificate, and we have none for {} to show", scene.us()))
            .mend(format!("lay a certificate for {} into the folder of certificates", scene.us())),
        Alert::UnknownCA => refused_certificate(finding, "unknown ca", scene),
        Alert::CertificateExpired => refused_certificate(finding, "expired", scene),
        Alert::UnsupportedCertificate => refused_certificate(finding, "purpose", scene),
        Alert::BadCertificate | Alert::CertificateUnknown | Alert::CertificateRevoked | Alert::AccessDenied => {
            refused_certificate(finding, "", scene)
        }
        Alert::InternalError => finding
            .because("a fault in its TLS, such as a certificate that it can't load")
            .mend(scene.have("look into the server's log")),
        _ => finding.because("something in our handshake").mend(scene.have("look into the server's log")),
    }
}
