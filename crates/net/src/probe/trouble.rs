//! What a failed stage means: what was seen, the most likely cause, and who can mend it how. No I/O, no clock.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use api::probe::{Name, Verdict};
use xmpp::stream::{Condition, End, StreamError};

use super::facts::{Finding, Scene, Trouble, Whose, error, protocol};
use super::handshake;

/// What is said of a stage at which a target failed.
pub(super) fn explain(stage: Name, trouble: &Trouble, scene: &Scene) -> Finding {
    match (stage, trouble) {
        (_, Trouble::Forbidden(why)) => Finding::bad(why.to_string()).mend(match scene.whose {
            Whose::Partner => "have its DNS lead to public addresses, or give the partner's entry a `next_hop`",
            Whose::Own | Whose::NextHop => "name an address by which other machines reach it",
        }),
        (_, Trouble::Own) => Finding::bad("the connection led back to this machine")
            .because(format!("DNS says that {} is where this edge server is", scene.to))
            .mend(scene.have("correct the SRV records, or the addresses of the hosts that they name")),
        (Name::Tcp, Trouble::Io(error)) => connecting(error, scene),
        (Name::Tcp, Trouble::Silent(span)) => {
            let seen = format!("nothing answered at {} within {}", scene.address, seconds(*span));
            Finding::bad(seen).because("a firewall drops packets on the way, or the host is down").mend(open(scene))
        }
        (_, Trouble::Tls(error)) => handshake::explain(error, scene),
        (_, Trouble::Io(error)) => broke(stage, &error.to_string(), scene),
        (_, Trouble::Silent(span)) => silent(stage, *span, scene),
        (_, Trouble::Ended(end, first)) => ended(stage, end, first, scene),
    }
}

fn connecting(error: &Error, scene: &Scene) -> Finding {
    let at = scene.address;
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            let finding = Finding::bad(format!("{at} refuses connections"));
            match scene.whose {
                Whose::Own => finding
                    .because(
                        "fedge-edge doesn't run there, its federation service is stopped, or no gateway is there that takes \
                         stanzas: it refuses then",
                    )
                    .mend(scene.have("look at `fedge-edge status`, and start what it says is missing")),
                Whose::Partner => finding
                    .because("no server listens on that port, or a firewall rejects the connection")
                    .mend(scene.have("start the server, or correct its SRV records")),
                Whose::NextHop => finding
                    .because("the server doesn't run, or listens elsewhere")
                    .mend(scene.have("start it, or correct `next_hop` in the domain's entry")),
            }
        }
        // It was there, for a moment.
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => broke(Name::Header, &error.to_string(), scene),
        ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable if at.is_ipv6() => {
            Finding::warning("this machine has no way to IPv6 addresses")
                .because("it has no IPv6 address of its own, or no route")
                .mend("nothing, as long as there is an IPv4 target as well; else give this machine IPv6")
        }
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => {
            Finding::bad(format!("the network says that {at} can't be reached ({error})"))
                .because("the host is down, or a router on the way knows no route, or rejects the connection")
                .mend(open(scene))
        }
        ErrorKind::PermissionDenied => Finding::bad(format!("this machine may not connect to {at} ({error})"))
            .because("a packet filter on this machine forbids it")
            .mend(format!("let this machine out to port {}", at.port())),
        ErrorKind::TimedOut => {
            Finding::bad(format!("nothing answered at {at}")).because("the host is down").mend(open(scene))
        }
        _ => Finding::bad(format!("no connection to {at}: {error}")).mend(open(scene)),
    }
}

/// How to get a connection through.
fn open(scene: &Scene) -> String {
    let port = scene.address.port();
    match scene.whose {
        Whose::Partner => format!(
            "see that your own firewall lets this machine out to port {port}; if it does, {}",
            scene.have(&format!("open port {port} to this machine"))
        ),
        Whose::Own => format!("open port {port} to the outside in the firewalls before {}", scene.address.ip()),
        Whose::NextHop => format!("open port {port} of the server to this machine, and see that the server runs"),
    }
}

fn broke(stage: Name, what: &str, scene: &Scene) -> Finding {
    let finding = Finding::bad(format!("the connection broke ({what}), {}", awaited(stage)));
    match stage {
        Name::Header => finding
            .because("a load balancer accepts for a server that isn't there, or the server bars this machine's address")
            .mend(scene.have("see that the server behind that port runs, and that it doesn't bar this machine")),
        _ => finding.because("the server ended it without a word").mend(scene.have("look into the server's log")),
    }
}

/// Seconds as a person says them, where a tenth of one may count.
fn seconds(span: Duration) -> String {
    let tenths = span.as_millis() / 100;
    if tenths >= 20 { format!("{} s", (tenths + 5) / 10) } else { format!("{}.{} s", tenths / 10, tenths % 10) }
}

/// What should have come at a stage.
fn awaited(stage: Name) -> &'static str {
    match stage {
        Name::Header => "before its stream header and features came",
        Name::Tls => "before TLS was up",
        Name::Features => "before it said what it offers behind TLS",
        Name::External => "before it said whether it takes our certificate",
        Name::Dialback => "before it said whether it takes our key",
        Name::Policy | Name::Resolve | Name::Tcp | Name::Certificate => "before anything was said",
    }
}

fn silent(stage: Name, span: Duration, scene: &Scene) -> Finding {
    let finding = Finding::bad(format!("nothing came for {}, {}", seconds(span), awaited(stage)));
    match stage {
        Name::Header => finding
            .because(
                "a load balancer or firewall accepts for a server that is dead, the server hangs, or that port takes direct \
                 TLS and waits for it",
            )
            .mend(scene.have("see that the server behind that port answers, and that the port takes STARTTLS")),
        Name::Dialback => finding
            .because(format!("it tries in vain to reach the server that DNS names for {}, to verify our key", scene.us()))
            .mend(reach_us(scene)),
        _ => finding
            .because("the server hangs, or waits for something itself")
            .mend(scene.have("look into the server's log")),
    }
}

/// What has to be so for a peer to verify our key.
fn reach_us(scene: &Scene) -> String {
    match scene.whose {
        Whose::NextHop => "see that the internal DNS view leads that server to the gateways".to_owned(),
        Whose::Partner | Whose::Own => format!(
            "probe {0} from outside: its SRV records must lead to edge servers of the routed pool, whose port 5269 is open \
             and whose federation service runs",
            scene.us()
        ),
    }
}

fn ended(stage: Name, end: &End, first: &[u8], scene: &Scene) -> Finding {
    if matches!(stage, Name::Header | Name::Features)
        && let Some(protocol) = protocol(first)
    {
        return other_protocol(protocol, scene);
    }
    match (error(end), stage) {
        (Some((error, true)), _) => by_peer(stage, error, scene),
        (Some((error, false)), _) => by_us(stage, error, scene),
        (None, Name::Header) if *end == End::Probe => {
            Finding::bad("it takes the connection and closes it without a word")
                .because(
                    "a load balancer accepts for a server that isn't there, or the server bars this machine's address",
                )
                .mend(scene.have("see that the server behind that port runs, and that it doesn't bar this machine"))
        }
        (None, _) => Finding::bad(format!("it closed the stream without saying why, {}", awaited(stage)))
            .because("its policy, or a fault in it")
            .mend(scene.have("look into the server's log")),
    }
}

fn other_protocol(protocol: &str, scene: &Scene) -> Finding {
    let port = scene.address.port();
    let finding = Finding::bad(format!("port {port} speaks {protocol}, and not XMPP between servers"));
    match protocol {
        "TLS" => finding
            .because("the port takes direct TLS, and STARTTLS was tried")
            .mend(scene.have("publish that port as `_xmpps-server`, or the port for STARTTLS as `_xmpp-server`")),
        "XMPP for clients" => finding
            .because("the SRV record, or the next hop, names the port for clients, which is 5222 as a rule")
            .mend(scene.have("name the port for servers, which is 5269 as a rule")),
        _ => finding
            .because("the SRV record names a wrong port or host, or there is none and the domain's own address is a web server")
            .mend(scene.have("publish SRV records that lead to the XMPP server")),
    }
}

fn quoted(error: &StreamError) -> String {
    if error.text.is_empty() { error.condition.to_string() } else { format!("{} ({})", error.condition, error.text) }
}

/// The peer said why it ended the stream.
fn by_peer(stage: Name, error: &StreamError, scene: &Scene) -> Finding {
    let (to, us) = (&scene.to, scene.us());
    let said = format!("it ends the stream with {}", quoted(error));
    let finding = |cause: String, fix: String| Finding::bad(said.clone()).because(cause).mend(fix);
    match error.condition {
        Condition::HostUnknown | Condition::ImproperAddressing => finding(
            format!("this server doesn't serve {to}"),
            scene.have(&match scene.whose {
                Whose::Own => {
                    format!("see by `fedge-edge status` that it goes by a configuration in which {to} is local")
                }
                _ => format!("add {to} to it, or lead {to} to the server that has it"),
            }),
        ),
        Condition::HostGone => {
            finding(format!("this server no longer serves {to}"), scene.have(&format!("correct the DNS of {to}")))
        }
        Condition::SystemShutdown => {
            let finding =
                finding("it is being shut down or restarted".to_owned(), "probe again in a minute".to_owned());
            // It passes by itself.
            Finding { verdict: Verdict::Warning, ..finding }
        }
        Condition::PolicyViolation | Condition::NotAuthorized if stage == Name::External => {
            refused_certificate(Finding::bad(said.clone()), &error.text, scene)
        }
        Condition::PolicyViolation | Condition::NotAuthorized if scene.from.is_none() => Finding::warning(said)
            .because("it lets nobody in who shows no certificate that it takes, as many servers do")
            .mend("name as whom to look with --from: a domain that it federates with"),
        Condition::PolicyViolation | Condition::NotAuthorized => finding(
            format!("its policy doesn't let {us} in: an allow-list, a block, or a demand on certificates"),
            scene.have(&format!("let {us} federate")),
        ),
        Condition::InvalidFrom => finding(
            format!("it doesn't believe that we are {us}"),
            format!("see that {us} is a domain of this installation, and {}", scene.have("say what it objects to")),
        ),
        Condition::RemoteConnectionFailed => {
            finding(format!("it couldn't reach the server that DNS names for {us}, to verify our key"), reach_us(scene))
        }
        Condition::ResourceConstraint => finding(
            "it has too much to do, or limits how often this machine may connect".to_owned(),
            format!("probe again later; if it stays so, {}", scene.have("raise its limits for this machine")),
        ),
        Condition::ConnectionTimeout => finding(
            "it lost its patience; it may have waited for an answer of others, such as DNS".to_owned(),
            scene.have("look into the server's log"),
        ),
        Condition::UnsupportedVersion | Condition::UnsupportedStanzaType | Condition::UnsupportedFeature => finding(
            "it lacks something that the way of setting up this stream needs".to_owned(),
            scene.have("bring its software up to date"),
        ),
        Condition::SeeOtherHost => finding(
            "it wants another host to be used, which SRV records are there for; fedge doesn't follow".to_owned(),
            scene.have("publish that host in the SRV records"),
        ),
        _ => finding(
            "a fault in it, or something that it takes for one".to_owned(),
            scene.have("look into the server's log"),
        ),
    }
}

/// We took offence at something.
fn by_us(stage: Name, error: &StreamError, scene: &Scene) -> Finding {
    let finding = Finding::bad(error.text.clone());
    match (stage, error.condition) {
        (Name::Header, Condition::PolicyViolation | Condition::UnsupportedVersion) => {
            let entry = if scene.whose == Whose::NextHop { "local" } else { "partner" };
            finding.because("TLS is switched off there, or its certificate is missing").mend(format!(
                "{}; else its `[[{entry}]]` entry must say `tls = \"optional\"`",
                scene.have("switch on STARTTLS between servers")
            ))
        }
        (Name::Tls, Condition::PolicyViolation) => finding
            .because("its certificate or key is missing, or somebody on the way interferes")
            .mend(scene.have("look into the server's log for what is wrong with its TLS")),
        (Name::External, Condition::PolicyViolation) => finding
            .because(no_proof(scene))
            .mend("allow dialback in the partner's entry, or mend what keeps EXTERNAL off"),
        (Name::External, _) => refused_certificate(finding, &error.text, scene),
        (Name::Dialback, Condition::NotAuthorized) => finding
            .because(format!(
                "the server that DNS names for {} is none of this installation, or has another dialback secret",
                scene.us()
            ))
            .mend("see that all edge servers have the same dialback secrets, and that the SRV records lead to them"),
        (Name::Dialback, Condition::RemoteConnectionFailed) => finding
            .because(format!("it couldn't reach the server that DNS names for {}", scene.us()))
            .mend(reach_us(scene)),
        (Name::Dialback, Condition::PolicyViolation) => {
            finding.because("it is old, or EXTERNAL is switched off there").mend("allow dialback in its entry")
        }
        _ => finding
            .because("what listens there is no XMPP server, or a faulty one")
            .mend(scene.have("see what listens on that port, and bring it up to date")),
    }
}

fn no_proof(scene: &Scene) -> String {
    format!("neither side's demands on proof fit the other's: only a certificate for {} would do", scene.us())
}

/// The peer doesn't take our certificate; `words` are its own.
pub(super) fn refused_certificate(finding: Finding, words: &str, scene: &Scene) -> Finding {
    let us = scene.us();
    let words = words.to_ascii_lowercase();
    let (cause, fix) = if words.contains("purpose") || words.contains("usage") {
        (
            "it demands the usage clientAuth, as ejabberd 23.01 does; public CAs no longer issue it".to_owned(),
            scene.have("allow dialback, or to bring its software up to date; or get a certificate with clientAuth"),
        )
    } else if words.contains("self")
        || words.contains("trust")
        || words.contains("issuer")
        || words.contains("unknown ca")
    {
        (
            format!("it doesn't trust the CA of our certificate for {us}"),
            scene.have("trust that CA for servers, or get the certificate from a CA that everybody trusts"),
        )
    } else if words.contains("expired") {
        (
            format!("our certificate for {us} has expired, or a clock is wrong"),
            "renew it; `fedge-edge status` shows it".to_owned(),
        )
    } else if words.contains("name") || words.contains("host") {
        (format!("our certificate isn't for {us} in its eyes"), format!("show a certificate that names {us}"))
    } else {
        (
            format!("it doesn't take our certificate for {us}"),
            scene.have("say in its log why it refuses it, or allow dialback"),
        )
    };
    finding.because(cause).mend(fix)
}
