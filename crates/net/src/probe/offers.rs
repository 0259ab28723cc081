//! What it means what a peer offers, and what it doesn't. No I/O, no clock.

use api::probe;
use xmpp::stream::{Need, Offers};

use super::facts::{Finding, Scene, Whose};

/// What it offers, as it is told.
pub(super) fn told(offers: &Offers, header_declares_dialback: bool) -> probe::Offers {
    let printable = |word: &String| word.chars().flat_map(char::escape_debug).collect();
    probe::Offers {
        mechanisms: offers.mechanisms.iter().map(printable).collect(),
        dialback: offers.dialback || header_declares_dialback,
        stream_management: offers.stream_management,
        max_bytes: offers.max_bytes,
        idle_seconds: offers.idle_seconds,
    }
}

/// What is said of them. `shown` says that it asked for our certificate and got one.
pub(super) fn finding(offers: &probe::Offers, shown: bool, scene: &Scene) -> Finding {
    let external = has_external(offers);
    let words: Vec<&str> = [(external, "EXTERNAL"), (offers.dialback, "dialback")]
        .into_iter()
        .filter(|(there, _)| *there)
        .map(|(_, word)| word)
        .collect();
    let seen = match words.as_slice() {
        [] => "it offers neither EXTERNAL nor dialback".to_owned(),
        words => format!("it offers {}", words.join(" and ")),
    };
    // Most offer EXTERNAL only to who shows a certificate.
    match (words.is_empty(), shown || !scene.looks) {
        (false, _) => Finding::good(seen),
        (true, false) => Finding::good(format!("{seen}: nobody in particular looked, and showed no certificate")),
        (true, true) => Finding::warning(seen)
            .because("it may not take our certificate, and dialback is switched off there or not declared")
            .mend(scene.have("switch on EXTERNAL or dialback for servers")),
    }
}

/// Why our certificate wasn't taken for a proof, where dialback did.
pub(super) fn why_not_external(offers: Option<&probe::Offers>, tls: Option<&probe::Tls>, scene: &Scene) -> Finding {
    let us = scene.us();
    match (tls, offers) {
        _ if scene.terms.external == Need::NotSupported => {
            Finding::skipped("its entry says `external = \"not-supported\"`")
        }
        (None, _) => Finding::skipped("there is no TLS, and so no certificate"),
        (Some(_), Some(offers)) if has_external(offers) => {
            Finding::warning(format!("we have no certificate for {us} to show"))
                .because("none is in the folder of certificates, or it wasn't asked for")
                .mend(format!("lay a certificate for {us} into the folder of certificates"))
        }
        (Some(tls), _) if tls.shown => Finding::warning("it doesn't offer EXTERNAL, although it got our certificate")
            .because("EXTERNAL is switched off there, or it doesn't take our certificate")
            .mend(scene.have("say whether they take certificates, and why not ours")),
        (Some(_), _) => Finding::skipped("it neither offers EXTERNAL nor got a certificate of ours"),
    }
}

/// There is no TLS, and that will do.
pub(super) fn no_tls(scene: &Scene) -> Finding {
    let entry = if scene.whose == Whose::NextHop { "[[local]]" } else { "[[partner]]" };
    match scene.terms.tls {
        Need::NotSupported => Finding::skipped(format!("its `{entry}` entry says `tls = \"not-supported\"`")),
        Need::Required | Need::Optional => Finding::warning("it offers no STARTTLS, so everything would go in clear")
            .because("TLS is switched off there, or its certificate is missing")
            .mend(scene.have("switch on STARTTLS between servers")),
    }
}

fn has_external(offers: &probe::Offers) -> bool {
    offers.mechanisms.iter().any(|mechanism| mechanism == "EXTERNAL")
}
