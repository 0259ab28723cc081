//! What a certificate that was shown is worth, and who can mend it how. No I/O, no clock.

use std::time::{Duration, SystemTime};

use api::probe::Certificate;
use rustls_pki_types::CertificateDer;

use super::facts::{Finding, Scene, Whose};
use crate::certificates::{Leaf, Shown, fitting, utc};
use crate::judge::CertificateFault;

/// A certificate that expires within this time is worth a word.
const SOON: Duration = Duration::from_secs(14 * DAY);
const DAY: u64 = 24 * 3600;
/// Names of a certificate that are told; a peer may show any number.
const NAMES: usize = 20;

/// What can be read in a chain; nothing where there is none, or no certificate in it.
pub(super) fn shown(
    chain: &[CertificateDer<'_>],
    judged: &Result<(), CertificateFault>,
    now: SystemTime,
) -> Option<Certificate> {
    let first = chain.first()?;
    let (leaf, shown) = (Leaf::parse(first).ok()?, Shown::parse(first).ok()?);
    let names = leaf.names.all().take(NAMES).map(|name| name.chars().flat_map(char::escape_debug).take(253).collect());
    Some(Certificate {
        names: names.collect(),
        issuer: shown.issuer,
        not_before: unix(leaf.not_before),
        not_after: unix(leaf.not_after),
        days: days(leaf.not_after, now),
        usages: shown.usages,
        chain: chain.len() as u64,
        fault: judged.as_ref().err().map(ToString::to_string),
        tlsa: fitting(chain),
    })
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Whole days from now; negative for what is over.
fn days(time: SystemTime, now: SystemTime) -> i64 {
    let whole = |span: Duration| i64::try_from(span.as_secs() / DAY).unwrap_or(i64::MAX);
    match time.duration_since(now) {
        Ok(span) => whole(span),
        Err(over) => -whole(over.duration()) - 1,
    }
}

/// What is said of it.
pub(super) fn finding(
    certificate: Option<&Certificate>,
    judged: &Result<(), CertificateFault>,
    scene: &Scene,
    now: SystemTime,
) -> Finding {
    match judged {
        Ok(()) => good(certificate, scene, now),
        Err(fault) => faulty(fault, scene),
    }
}

fn good(certificate: Option<&Certificate>, scene: &Scene, now: SystemTime) -> Finding {
    let to = &scene.to;
    let Some(certificate) = certificate else { return Finding::good(format!("it is for {to}")) };
    let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(certificate.not_after);
    let usages = &certificate.usages;
    let for_clients = usages.is_empty() || usages.iter().any(|usage| usage == "clientAuth" || usage == "any");
    let note = match (for_clients, scene.whose) {
        (true, _) => String::new(),
        (false, Whose::Own) => {
            "; without the usage clientAuth, which public CAs no longer issue: some old servers refuse it and use dialback"
                .to_owned()
        }
        (false, _) => "; without the usage clientAuth, which public CAs no longer issue: that is enough for fedge".to_owned(),
    };
    let seen = format!("it is for {to}, and expires in {} days{note}", certificate.days);
    if expires < now + SOON {
        return Finding::warning(seen)
            .because(format!("it expires on {}, and isn't renewed by itself, or late", utc(expires)))
            .mend(scene.have("renew the certificate"));
    }
    Finding::good(seen)
}

fn faulty(fault: &CertificateFault, scene: &Scene) -> Finding {
    let to = &scene.to;
    // Where dialback will do, a stream comes up nevertheless.
    let enough = scene.whose != Whose::Own && scene.terms.takes_dialback();
    let (finding, also) = if enough {
        (Finding::warning(fault.to_string()), "; until then, dialback has to prove who is who")
    } else {
        (Finding::bad(fault.to_string()), "")
    };
    let pin = match scene.whose {
        Whose::Own => "",
        Whose::Partner | Whose::NextHop => {
            "; or add the certificate to the file that `trusted` names, if you know whose it is"
        }
    };
    let (cause, fix) = match fault {
        CertificateFault::None => {
            ("the server has no certificate".to_owned(), scene.have(&format!("install one for {to}")))
        }
        CertificateFault::Expired(_) => (
            "it wasn't renewed, or the server wasn't told to read it again".to_owned(),
            scene.have("renew it and reload"),
        ),
        CertificateFault::NotYetValid(_) => (
            "a clock is wrong, here or where it was made".to_owned(),
            "set the clocks of both machines by NTP".to_owned(),
        ),
        CertificateFault::UnknownIssuer => (
            "its CA isn't trusted here, or the server doesn't send the intermediate certificates".to_owned(),
            format!("{}{pin}", scene.have("send the whole chain, of a CA that everybody trusts")),
        ),
        CertificateFault::SelfSigned => (
            "nobody has vouched for it: such a certificate comes with many servers".to_owned(),
            format!("{}{pin}", scene.have("get one from a CA that everybody trusts")),
        ),
        CertificateFault::Revoked => {
            ("its key was lost or stolen, or its issuer's".to_owned(), scene.have("get a new one with a new key"))
        }
        CertificateFault::OtherNames { .. } => (
            format!("the SRV records lead to another server, or its certificate was made without {to}"),
            scene.have(&format!("have a certificate that names {to} itself: the name of the host isn't enough")),
        ),
        CertificateFault::WrongUsage => {
            ("it was made for something else".to_owned(), scene.have("get one with the usage serverAuth"))
        }
        CertificateFault::Constrained(_) => {
            ("its CA isn't allowed to issue such a certificate".to_owned(), scene.have("get one from another CA"))
        }
        CertificateFault::Untrusted(_) => (
            "its CA was made anew or isn't the one that it looks like, or the certificate is unusual".to_owned(),
            format!("{}{pin}", scene.have("get a certificate from a CA that everybody trusts")),
        ),
        CertificateFault::Malformed(_) | CertificateFault::TooBig { .. } => (
            "what the server shows is damaged, or unusual".to_owned(),
            scene.have("show its certificate and the intermediate ones, and nothing else"),
        ),
    };
    finding.because(cause).mend(format!("{fix}{also}"))
}
