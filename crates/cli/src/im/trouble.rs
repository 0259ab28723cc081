//! Why an account isn't logged in: what was seen, the likeliest cause, and what to do.

use std::net::SocketAddr;

use rustls::CertificateError;
use serde::Serialize;

/// What is told of a trouble.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Told {
    /// What was seen.
    pub(crate) what: String,
    /// A guess, the likeliest one for it.
    pub(crate) cause: String,
    /// What to do.
    pub(crate) fix: String,
}

/// What a TLS handshake fails for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lacks {
    /// The certificate is by nobody who is trusted.
    Issuer,
    /// It isn't valid today.
    Time,
    /// It isn't for the domain.
    Name,
    /// Something else of it, or no certificate has come yet.
    Other,
}

impl Lacks {
    /// What a handshake that ended so failed for.
    pub(super) fn of(error: &std::io::Error) -> Lacks {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let Some(rustls::Error::InvalidCertificate(fault)) = inner else { return Lacks::Other };
        match fault {
            // A CA of the same name that isn't the same.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Lacks::Issuer,
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Lacks::Time,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Lacks::Name,
            _ => Lacks::Other,
        }
    }
}

/// Why an account isn't logged in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("it isn't known where the server for clients of {domain} is: {what}")]
    NoAddress { domain: String, what: String },
    #[error("{at} takes no connection ({what})")]
    Unreachable { at: String, what: String },
    #[error("the roots can't be used: {0}")]
    Roots(String),
    #[error("{0} offers clients no TLS")]
    NoTls(SocketAddr),
    #[error("TLS with {at} fails: {what}")]
    Tls { at: SocketAddr, what: String, lacks: Lacks },
    #[error("{at} speaks no XMPP to clients: {what}")]
    NotXmpp { at: SocketAddr, what: String },
    #[error("the server ends the stream with {condition}{text}")]
    Stream { condition: String, text: String },
    #[error("the connection broke ({0})")]
    Broken(String),
    #[error("the server offers [{0}], and this client knows SCRAM-SHA-256, SCRAM-SHA-1 and PLAIN")]
    NoMechanism(String),
    #[error("the server refuses the login with {condition}{text}")]
    Refused { condition: String, text: String },
    #[error("{0}: whoever answers doesn't know the password")]
    Unproven(String),
    #[error("the server refuses {step} with {condition}")]
    Step { step: &'static str, condition: String },
    #[error("the server doesn't go on for {0} s")]
    Silent(u64),
}

impl Trouble {
    /// All of it, in words for an administrator of `jid`.
    pub(super) fn told(&self, jid: &str) -> Told {
        let (cause, fix) = self.advice(jid);
        Told { what: self.to_string(), cause: cause.to_owned(), fix }
    }

    fn advice(&self, jid: &str) -> (&'static str, String) {
        let domain = xmpp::jid::domain_of(jid);
        let named = "name its server in the file of accounts: server = \"host:port\"";
        match self {
            Trouble::NoAddress { .. } => {
                ("DNS here tells nothing of clients: no SRV records, and no address of the domain", named.to_owned())
            }
            Trouble::Unreachable { .. } => (
                "the server is down, or a firewall lies between",
                format!("start the server of {domain}, or run this where users of {domain} connect from"),
            ),
            Trouble::Roots(_) => ("the file is missing or damaged", "see `trusted` in the file of accounts".to_owned()),
            Trouble::NoTls(_) => (
                "TLS for clients is switched off there, or it has no certificate",
                "switch STARTTLS on for clients; where only direct TLS is there, set tls = \"direct\" and its port. \
                 No password is sent without TLS"
                    .to_owned(),
            ),
            Trouble::Tls { lacks, .. } => of_tls(*lacks, domain),
            Trouble::NotXmpp { .. } => ("something else listens on that port", named.to_owned()),
            Trouble::Stream { condition, .. } if condition == "host-unknown" => {
                ("that server doesn't serve the domain", format!("correct `server` of {jid}, or the domain of its JID"))
            }
            Trouble::Stream { .. } | Trouble::Broken(_) | Trouble::Silent(_) => {
                ("the server is in trouble, or overloaded", format!("look into the log of the server of {domain}"))
            }
            Trouble::NoMechanism(_) => (
                "the server takes no passwords, or only hashes that this client doesn't know",
                format!("allow one of them for {jid}"),
            ),
            Trouble::Refused { condition, .. } => of_refusal(condition, jid),
            Trouble::Unproven(_) => (
                "somebody stands between, or the server's SCRAM is broken",
                "see who answers at that address before the password is used again".to_owned(),
            ),
            Trouble::Step { .. } => {
                ("the server's limits of sessions are reached", format!("look into the log of the server of {domain}"))
            }
        }
    }
}

fn of_tls(lacks: Lacks, domain: &str) -> (&'static str, String) {
    match lacks {
        Lacks::Issuer => (
            "its certificate is by a CA that isn't trusted here",
            "name the file of that CA in the file of accounts: trusted = \"FILE\"".to_owned(),
        ),
        Lacks::Time => ("its certificate isn't valid today", "renew it, and look at this machine's clock".to_owned()),
        Lacks::Name => {
            let fix =
                format!("have it show a certificate for {domain}; that of its host name alone isn't one (RFC 6120)");
            ("its certificate is for another name", fix)
        }
        Lacks::Other => (
            "it speaks no TLS there, or none of today's",
            "see what listens there; `tls` says how it begins".to_owned(),
        ),
    }
}

fn of_refusal(condition: &str, jid: &str) -> (&'static str, String) {
    match condition {
        "not-authorized" => (
            "the password is wrong, or there is no such user: servers don't say which",
            format!("correct the file of the password of {jid}, or create the user"),
        ),
        "account-disabled" | "credentials-expired" => ("the account is locked", format!("unlock {jid}")),
        "temporary-auth-failure" => (
            "the server can't ask whatever knows its passwords, or has seen too many failures",
            "try again in a while; look into its log".to_owned(),
        ),
        _ => ("the server's own rules", format!("look into the log of the server of {jid}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tls_fails_for_leads_to_its_cause() {
        use rustls::Error::{DecryptError, InvalidCertificate};
        for (error, expected) in [
            (InvalidCertificate(CertificateError::UnknownIssuer), "by a CA that isn't trusted"),
            (InvalidCertificate(CertificateError::BadSignature), "by a CA that isn't trusted"),
            (InvalidCertificate(CertificateError::Expired), "isn't valid today"),
            (InvalidCertificate(CertificateError::NotValidForName), "for another name"),
            (InvalidCertificate(CertificateError::BadEncoding), "it speaks no TLS there"),
            (DecryptError, "it speaks no TLS there"),
        ] {
            let lacks = Lacks::of(&std::io::Error::other(error));
            let at = "192.0.2.1:5222".parse().expect("good");
            let told = Trouble::Tls { at, what: "so".to_owned(), lacks }.told("ann@contoso.test");
            assert!(told.cause.contains(expected), "{told:?}");
            assert_eq!(told.what, "TLS with 192.0.2.1:5222 fails: so");
        }
    }
}
