//! What a configuration may say, and what is said of a faulty one.

use std::path::Path;

use super::Config;
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

fn faults(text: &str) -> String {
    Config::parse("edge.toml", text, Path::new("/etc/fedge")).expect_err("a fault").to_string()
}

#[test]
fn a_good_file_is_read() {
    let config = Config::parse("edge.toml", GOOD, Path::new("/etc/fedge")).expect("no fault");
    assert_eq!(config.certificates, Path::new("/etc/fedge/certificates"));
    assert_eq!(config.ca.as_deref(), Some(Path::new("/etc/fedge/ca")));
    assert_eq!(config.settings.stream.keep_alive.as_secs(), 300);
    let domain = |text| Domain::parse(text).expect("a domain");
    let permit = config.policy.admit(&DomainPair::new(domain("im.contoso.test"), domain("fabrikam.test")));
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
        ("[[partner]]\ndomains = [\"fabrikam.test\"]\ndialback = false", "", "nobody could be reached"),
    ] {
        assert!(GOOD.contains(good), "{good}");
        let text = faults(&GOOD.replace(good, bad));
        assert!(text.contains(told), "{told} is missing in:\n{text}");
    }
}
