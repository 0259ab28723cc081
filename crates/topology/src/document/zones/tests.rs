//! Zones and names as administrators get them right and wrong.

use super::*;
use crate::document::{Topology, difference};
use crate::faults::Faults;

const EXAMPLE: &str = include_str!("../../../../../docs/examples/topology.toml");

/// The example, with this at its end; `[[dns]]` has external addresses.
fn with_zones(more: &str) -> Result<Topology, Faults> {
    let text = EXAMPLE.replacen(
        "internal = [\"10.0.0.11\"]",
        "internal = [\"10.0.0.11\"]
external = [\"192.0.2.53\"]",
        1,
    );
    Topology::read("topology.toml", &format!("{text}\n{more}"))
}

#[test]
fn each_publisher_is_told_what_it_needs() {
    let topology = with_zones(
        "[names]
        ttl = 20
        targets = 'edge'
        alias = 'fed.contoso.test'
        direct_tls_port = 5270
        resolvers = ['9.9.9.9', '[2620:fe::fe]:5353']
        ca = ['LetsEncrypt.org']
        [[zone]]
        name = 'fed.Contoso.test'
        publisher = 'embedded'
        [[zone]]
        name = 'contoso.test.'
        publisher = 'rfc2136'
        servers = ['192.0.2.1', '[2001:db8::1]:5353']
        key = 'Fedge-Key'
        [[zone]]
        name = '_tcp.conference.contoso.test'
        publisher = 'manual'
        servers = ['192.0.2.9']",
    )
    .expect("nothing is wrong");
    let sockets =
        |texts: &[&str]| texts.iter().map(|text| text.parse().expect("an address")).collect::<Vec<SocketAddr>>();
    assert_eq!(topology.resolvers, sockets(&["9.9.9.9:53", "[2620:fe::fe]:5353"]));
    assert_eq!(topology.ca, ["letsencrypt.org"]);
    assert_eq!(topology.zones[0].name, "fed.contoso.test.");
    assert_eq!(topology.zones[0].publisher.servers(), sockets(&["192.0.2.53:53"]));
    let servers = sockets(&["192.0.2.1:53", "[2001:db8::1]:5353"]);
    let rfc2136 = Publisher::Rfc2136 { primary: servers[0], servers, key: "fedge-key.".to_owned() };
    assert_eq!(topology.zones[1].publisher, rfc2136);
    let changes = difference(&with_zones("").expect("nothing is wrong"), &topology);
    for change in [
        "names in DNS: ttl 20 (was 30)",
        "names in DNS: alias fed.contoso.test (was none)",
        "names in DNS: ca letsencrypt.org (was nobody)",
        "zone contoso.test. comes",
    ] {
        assert!(changes.iter().any(|told| told == change), "{change}: {changes:?}");
    }
}

#[test]
fn a_dns_server_may_be_there_for_zones_alone() {
    let both = with_zones("").expect("nothing is wrong");
    let external = "external = [\"192.0.2.53\"]";
    let document =
        |keys: &str| EXAMPLE.replacen("internal = [\"10.0.0.11\"]", &format!("internal = [\"10.0.0.11\"]\n{keys}"), 1);
    let read = |keys: &str| Topology::read("topology.toml", &document(keys));
    let alone = read(&format!("{external}\nview = false")).expect("nothing is wrong");
    assert_eq!((both.dns[0].view, alone.dns[0].view), (true, false));
    assert_eq!(alone.nameservers, both.nameservers);
    assert_eq!(difference(&both, &alone), ["dns server dns1.contoso.test: view false (was true)"]);
    assert_eq!(read(&format!("{external}\nview = true")).expect("nothing is wrong"), both);
    for (keys, told) in [("view = false", "would answer nobody"), ("view = 'no'", "invalid type: string")] {
        let faults = read(keys).expect_err(keys).to_string();
        assert!(faults.contains(told), "{keys}: {faults}");
    }
}

#[test]
fn a_pool_may_say_by_which_certificates_it_is_known() {
    let read = |keys: &str| {
        let entry = "[[pool]]\nfqdn = \"pool1.contoso.test\"";
        Topology::read("topology.toml", &EXAMPLE.replacen(entry, &format!("{entry}\n{keys}"), 1))
    };
    let (one, two) = (format!("3 1 1 {}", "0f".repeat(32)), format!("2 0 2 {}", "A5".repeat(64)));
    let topology = read(&format!("tlsa = ['{one}', '{two}']")).expect("nothing is wrong");
    let told: Vec<String> = topology.pools[0].tlsa.iter().map(ToString::to_string).collect();
    assert_eq!(told, [one.clone(), two.to_lowercase()]);
    let (before, turned) = (read("").expect("nothing is wrong"), read(&format!("tlsa = ['{two}', '{one}']")));
    assert_eq!(difference(&topology, &turned.expect("nothing is wrong")), [""; 0]);
    let expected = format!("pool pool1.contoso.test: tlsa {}, {one} (was none)", two.to_lowercase());
    assert_eq!(difference(&before, &topology), [expected]);
    for (keys, told) in [
        (format!("tlsa = ['{one}', '{}']", one.to_uppercase()), "stands here twice"),
        ("tlsa = ['3 1 1 00']".to_owned(), "has 64 hexadecimal digits, and this one has 2"),
        (format!("tlsa = ['1{}']", &one[1..]), "the usage `1`"),
        (format!("tlsa = '{one}'"), "invalid type: string"),
    ] {
        let faults = read(&keys).expect_err(&keys).to_string();
        assert!(faults.contains(told), "{keys}: {faults}");
    }
}

#[test]
fn what_a_publisher_lacks_or_cannot_use_is_told() {
    for (more, told) in [
        ("[[zone]]\nname = 'contoso.test'", "there is no `publisher` here"),
        ("[[zone]]\nname = 'contoso.test'\npublisher = 'magic'", "`magic` is no publisher"),
        ("[[zone]]\nname = 'contoso.test'\npublisher = 'manual'", "there is no `servers` here"),
        ("[[zone]]\nname = 'contoso.test'\npublisher = 'rfc2136'\nservers = ['192.0.2.1']", "there is no `key` here"),
        ("[[zone]]\nname = 'contoso.test'\npublisher = 'embedded'\nkey = 'k'", "`key` means nothing"),
        (
            "[[zone]]\nname = 'contoso.test'\npublisher = 'manual'\nservers = ['192.0.2.1']\nsigned = true",
            "your own name server signs it",
        ),
        (
            "[[zone]]\nname = 'contoso.test'\npublisher = 'rfc2136'\nservers = ['192.0.2.1']\nkey = 'k'\nsigned = false",
            "your own name server signs it",
        ),
        ("[[zone]]\nname = 'a b'\npublisher = 'embedded'", "no zone's name"),
        ("[names]\nttl = 3600", "3600 s is no time"),
        ("[names]\nalias = 'fed.contoso.test'", "lies in no [[zone]]"),
        ("[names]\ntargets = 'site'", "no kind of target"),
        ("[names]\nresolvers = ['dns.test']", "no address of a name server"),
        ("[names]\nca = [\"Let's Encrypt\"]", "is no CA's name"),
        ("[names]\ndirect_tls_port = 0", "0 is no port"),
    ] {
        let faults = with_zones(more).expect_err(more).to_string();
        assert!(faults.contains(told), "{more}: {faults}");
    }
    let without = Topology::read("t", &format!("{EXAMPLE}\n[[zone]]\nname = 'contoso.test'\npublisher = 'embedded'"));
    let faults = without.expect_err("nobody publishes").to_string();
    assert!(faults.contains("no [[dns]] has `external`"), "{faults}");
}

#[test]
fn a_signed_zone_has_no_other_above_it_of_ours_or_below_it() {
    let zone = |name: &str, more: &str| format!("[[zone]]\nname = '{name}'\n{more}\n");
    let (signed, embedded) = ("publisher = 'embedded'\nsigned = true", "publisher = 'embedded'\nsigned = false");
    let manual = "publisher = 'manual'\nservers = ['192.0.2.1']";
    let both = |one: &str, other: &str| with_zones(&(zone("contoso.test", one) + &zone("fed.contoso.test", other)));
    for (one, other, told) in [
        (signed, signed, "contoso.test. is signed, and fed.contoso.test. is another zone below it"),
        (signed, embedded, "contoso.test. is signed, and fed.contoso.test. is another zone below it"),
        (signed, manual, "contoso.test. is signed, and fed.contoso.test. is another zone below it"),
        (embedded, signed, "fed.contoso.test. is signed, and contoso.test. is another zone above it"),
    ] {
        let faults = both(one, other).expect_err(told).to_string();
        assert!(faults.contains(told), "{faults}");
    }
    let topology = both(manual, signed).expect("where the parent is somebody else's, it can have the DS record");
    assert!(!topology.zones[0].is_signed() && topology.zones[1].is_signed());
    let changes = difference(&both(manual, embedded).expect("nothing is wrong"), &topology);
    assert_eq!(changes, ["zone fed.contoso.test.: publisher embedded, signed (was embedded)"]);
}
