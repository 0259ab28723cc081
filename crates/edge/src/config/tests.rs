//! What a configuration may say, and what is said of a faulty one.

use std::path::Path;

use super::{Config, Configured, File, Inward, check};
use xmpp::domain::{Domain, DomainPair};
use xmpp::stream::Need;

const GOOD: &str = r#"
[external]
listen = ["192.0.2.1:5269", "[2001:db8::1]:5269"]
certificates = "certificates"

[gateway]
listen = ["10.0.0.1:5269"]
ca = "ca"

[[local]]
domains = ["contoso.test", "*.contoso.test"]
next_hop = "10.0.0.2"
external = "not-supported"

[[partner]]
domains = ["fabrikam.test"]
dialback = false
"#;

fn parse(text: &str) -> Result<Config, topology::faults::Faults> {
    match configured(text)? {
        Configured::Edge(config) => Ok(*config),
        other => panic!("an edge server, not {other:?}"),
    }
}

fn configured(text: &str) -> Result<Configured, topology::faults::Faults> {
    let checked = daemon::settings::parse("edge.toml", text, Path::new("/etc/fedge"), |file: File, folder, faults| {
        check(&file, folder, faults)
    });
    Ok(checked?.expect("a fault was added"))
}

fn faults(text: &str) -> String {
    parse(text).expect_err("a fault").to_string()
}

#[test]
fn a_good_file_is_read() {
    let config = parse(GOOD).expect("no fault");
    assert_eq!(config.certificates, Path::new("/etc/fedge/certificates"));
    let Inward::Gateway { ca, .. } = &config.inward else { panic!("a gateway, not {:?}", config.inward) };
    assert_eq!(ca.as_deref(), Some(Path::new("/etc/fedge/ca")));
    assert_eq!(config.settings.stream.keep_alive.as_secs(), 300);
    let domain = |text| Domain::parse(text).expect("a domain");
    let policy = config.inward.policy().expect("the file says it");
    let permit = policy.admit(&DomainPair::new(domain("im.contoso.test"), domain("fabrikam.test")));
    let permit = permit.expect("allowed");
    assert_eq!(permit.local.terms.external, Need::NotSupported);
    assert_eq!((permit.partner.terms.external, permit.partner.terms.dialback), (Need::Optional, false));
}

#[test]
fn an_unknown_key_is_shown_in_its_place() {
    let text = GOOD.replace("ca = \"ca\"", "cq = \"ca\"");
    let told = faults(&text);
    assert!(told.starts_with("edge.toml:8:1: unknown field `cq`"), "{told}");
    assert!(told.contains("8 | cq = \"ca\"\n  | ^^"), "{told}");
}

#[test]
fn every_wrong_value_is_told_at_once() {
    let text = GOOD
        .replace("\"fabrikam.test\"", "\"fabrikam..test\", \"contoso.test\"")
        .replace("\"10.0.0.2\"", "\"10.0.0.1:5269\"")
        .replace("10.0.0.1:5269\"]", "192.0.2.1:5269\"]")
        + "[times]\nidle = 0\n[limits]\nstanza_bytes = 500\n";
    let told = faults(&text);
    for part in [
        "edge.toml:16:12: `fabrikam..test` is not a valid domain name",
        "edge.toml:16:30: contoso.test is named twice, first as a local domain, now as a partner",
        "the external face listens on 192.0.2.1:5269 too",
        "`idle` is 0 s",
        "stanzas could only have 500 bytes",
    ] {
        assert!(told.contains(part), "{part} is missing in:\n{told}");
    }
}

#[test]
fn what_cannot_work_is_refused() {
    for (good, bad, told) in [
        ("\"10.0.0.2\"", "\"10.0.0.1\"", "go round in circles"),
        ("dialback = false", "dialback = false\nexternal = \"not-supported\"", "nobody could prove anything"),
        ("dialback = false", "tls = \"not-supported\"\nexternal = \"required\"", "which need it"),
        ("dialback = false", "tls = \"maybe\"", "unknown variant `maybe`"),
        ("listen = [\"10.0.0.1:5269\"]", "listen = []", "the internal face listens nowhere"),
        ("listen = [\"10.0.0.1:5269\"]", "listen = [\"10.0.0.1\"]", "socket address"),
        ("\"10.0.0.2\"", "\"xmpp://x\"", "is not a next hop"),
        ("next_hop = \"10.0.0.2\"", "", "this local domain has no `next_hop`"),
        (
            "[gateway]\nlisten = [\"10.0.0.1:5269\"]\nca = \"ca\"",
            "",
            "there is no [gateway], no [trunk] and no [control]",
        ),
        ("[[partner]]\ndomains = [\"fabrikam.test\"]\ndialback = false", "", "nobody could be reached"),
    ] {
        assert!(GOOD.contains(good), "{good}");
        let text = faults(&GOOD.replace(good, bad));
        assert!(text.contains(told), "{told} is missing in:\n{text}");
    }
}

#[test]
fn an_edge_for_gateways_has_a_trunk_and_needs_no_next_hops() {
    let trunk = "[trunk]\nname = \"edge1.contoso.test\"\nlisten = [\"10.0.0.1:5270\"]\nca = \"trunk/ca.crt\"\n\
                 certificate = \"trunk/edge1.crt\"\nkey = \"trunk/edge1.key\"\ngateways = [\"gateway1.contoso.test\"]";
    let text = GOOD
        .replace("[gateway]\nlisten = [\"10.0.0.1:5269\"]\nca = \"ca\"", trunk)
        .replace("next_hop = \"10.0.0.2\"\n", "");
    let config = parse(&text).expect("no fault");
    assert!(matches!(config.inward, Inward::Trunk { .. }), "{:?}", config.inward);
    assert!(faults(&(GOOD.to_owned() + trunk)).contains("there are [gateway] and [trunk]"));
    assert!(faults(&text.replace("[\"gateway1.contoso.test\"]", "[]")).contains("no gateway may come"));
}

#[test]
fn an_edge_under_controllers_leaves_to_them_what_they_say() {
    let own = GOOD.split("[gateway]").next().expect("a beginning");
    let control = "[control]\nlisten = [\"10.0.0.1:5271\"]\nstate = \"state\"\n";
    let config = parse(&format!("{own}{control}")).expect("no fault");
    let Inward::Control(found) = &config.inward else { panic!("controllers, not {:?}", config.inward) };
    assert_eq!(found.state, Path::new("/etc/fedge/state"));
    let told = faults(&format!("{GOOD}{control}"));
    for part in ["there are [gateway] and [control]", "there are [[local]] and [control]", "there are [[partner]] and"]
    {
        assert!(told.contains(part), "{part} is missing in:\n{told}");
    }
    let same = faults(&format!("{own}{}", control.replace("10.0.0.1:5271", "192.0.2.1:5269")));
    assert!(same.contains("the external face listens on 192.0.2.1:5269 too"), "{same}");
}

#[test]
fn a_witness_has_no_face_and_is_led_by_controllers() {
    let control = "[control]\nlisten = [\"10.3.0.1:5271\"]\nstate = \"state\"\n";
    let own = "[witness]\ntrusted = \"roots.pem\"\nresolvers = [\"10.3.0.53:53\"]\n";
    let Configured::Witness(witness) = configured(&format!("{own}{control}")).expect("no fault") else {
        panic!("it is a witness")
    };
    assert!(witness.face.listen.is_empty() && !witness.private_targets);
    assert_eq!((witness.control.listen.len(), witness.face.resolvers.len()), (1, 1));
    let partner = "[[partner]]\ndomains = [\"fabrikam.test\"]\n";
    for (text, told) in [
        (own.to_owned(), "there is a [witness] and no [control]"),
        (control.to_owned(), "there is no [external] and no [witness]"),
        (format!("{own}{GOOD}{control}"), "there are [external] and [witness]"),
        (format!("{own}{control}{partner}"), "there are [[partner]] and [control]"),
        (format!("{own}certificates = \"certificates\"\n{control}"), "unknown field `certificates`"),
        (format!("{own}{}", control.replace("\"10.3.0.1:5271\"", "")), "listens nowhere"),
    ] {
        let faults = configured(&text).expect_err("a fault").to_string();
        assert!(faults.contains(told), "{told} is missing in:\n{faults}");
    }
}
