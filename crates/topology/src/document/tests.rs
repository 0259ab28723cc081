//! Topologies as administrators get them right and wrong.

use super::*;

/// A document with two sites, which is good.
const GOOD: &str = r#"
[installation]
name = "Contoso"

[[site]]
name = "Site1"

[[site]]
name = "Site2"

[[pool]]
fqdn = "pool1.contoso.test"
site = "Site1"

[[pool]]
fqdn = "edge3.contoso.test"
site = "site2"

[[edge]]
fqdn = "edge1.contoso.test"
pool = "pool1.contoso.test"
external = ["203.0.113.1", "2001:db8::1"]
internal = ["10.1.0.1"]

[[edge]]
fqdn = "edge2.contoso.test"
pool = "Pool1.contoso.test"
external = ["203.0.113.2"]
internal = ["10.1.0.2"]

[[edge]]
fqdn = "edge3.contoso.test"
pool = "edge3.contoso.test"
external = ["198.51.100.3"]
internal = ["10.2.0.3"]
trunk_port = 5280

[[gateway]]
fqdn = "gateway1.contoso.test"
site = "Site1"
internal = ["10.0.0.1"]

[[controller]]
fqdn = "ctl1.contoso.test"
site = "Site1"
internal = ["10.0.0.1"]
agent_port = 5281

[route]
pools = ["pool1.contoso.test", "edge3.contoso.test"]

[[local]]
domains = ["contoso.test", "conference.contoso.test"]
next_hop = "10.0.0.2"

[[partner]]
domains = ["fabrikam.test"]
tls = "optional"
"#;

fn good() -> Topology {
    Topology::read("topology.toml", GOOD).expect("it is good")
}

fn changed(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

fn faults(text: &str) -> Vec<String> {
    let faults = Topology::read("topology.toml", text).expect_err("faults");
    assert!(faults.list().iter().all(|fault| !fault.remedy.is_empty()));
    faults.list().iter().map(|fault| fault.what.clone()).collect()
}

#[test]
fn a_good_one_is_read() {
    let topology = good();
    assert_eq!(topology.pools.iter().map(|pool| pool.edges.len()).collect::<Vec<_>>(), [2, 1]);
    let edge3 = &topology.pools[1].edges[0];
    assert_eq!((edge3.member.site.as_str(), edge3.trunk_port, edge3.member.agent_port), ("Site2", 5280, 5271));
    assert_eq!(topology.members().count(), 5);
    assert_eq!(topology.entries.partner.len(), 1);
    assert_eq!(topology.policy.locals().len(), 2);
}

#[test]
fn each_fault_is_found() {
    for (from, to, expected) in [
        ("name = \"Site2\"", "name = \"SITE1\"", "there are two sites SITE1"),
        ("site = \"site2\"", "site = \"Site3\"", "there is no [[site]] Site3"),
        ("fqdn = \"edge1.contoso.test\"", "fqdn = \"edge1\"", "`edge1` is not a fully qualified host name"),
        ("fqdn = \"edge1.contoso.test\"", "fqdn = \"EDGE2.contoso.test\"", "edge2.contoso.test is there twice"),
        ("fqdn = \"edge1.contoso.test\"", "fqdn = \"pool1.contoso.test\"", "is a pool, and a server's name too"),
        ("fqdn = \"edge2.contoso.test\"\n", "", "there is no `fqdn` here"),
        (
            "pool = \"edge3.contoso.test\"",
            "pool = \"pool1.contoso.test\"",
            "the pool edge3.contoso.test has no edge server",
        ),
        ("pool = \"edge3.contoso.test\"", "pool = \"pool9.contoso.test\"", "there is no [[pool]] pool9.contoso.test"),
        ("[\"203.0.113.2\"]", "[\"203.0.113.1\"]", "203.0.113.1 is an external address already"),
        ("[\"203.0.113.2\"]", "[]", "there is no address"),
        ("[\"203.0.113.2\"]", "[\"0.0.0.0\"]", "0.0.0.0 is no machine's address"),
        ("[\"203.0.113.2\"]", "[\"fe80::2\"]", "fe80::2 means something on its own network only"),
        ("[\"203.0.113.2\"]", "[\"169.254.0.2\"]", "169.254.0.2 means something on its own network only"),
        ("[\"203.0.113.2\"]", "[\"edge2\"]", "invalid IP address syntax"),
        ("agent_port = 5281\n", "", "10.0.0.1:5271 is somebody's already"),
        ("trunk_port = 5280", "trunk_port = 0", "0 is no port"),
        (", \"edge3.contoso.test\"]", "]", "edge3.contoso.test has no place in the route's order"),
        (", \"edge3.contoso.test\"]", ", \"pool1.contoso.test\"]", "is in the route's order twice"),
        ("next_hop = \"10.0.0.2\"", "next_hop = \"10.0.0.1\"", "fedge itself listens on 10.0.0.1:5269"),
        ("next_hop = \"10.0.0.2\"\n", "", "this local domain has no `next_hop`"),
        ("domains = [\"fabrikam.test\"]\n", "", "no domain is named"),
        ("tls = \"optional\"", "tls = \"perhaps\"", "unknown variant `perhaps`"),
        ("tls = \"optional\"", "tsl = \"optional\"", "unknown field `tsl`"),
        ("[[controller]]", "[[kontroller]]", "nobody knows `kontroller`"),
        ("[route]", "[[route]]", "`route` is of the type array"),
        ("[[gateway]]", "[gateway]", "there may be several `gateway`"),
    ] {
        let text = changed(from, to);
        let told = faults(&text);
        assert!(told.iter().any(|fault| fault.contains(expected)), "{from} -> {to}: {told:#?}");
    }
}

/// Two witnesses behind one address, and one that doesn't say from where it looks.
const WITNESSES: &str = r#"
[[witness]]
fqdn = "witness1.contoso.test"
site = "Site2"
external = ["192.0.2.99"]
internal = ["10.3.0.1"]

[[witness]]
fqdn = "witness2.contoso.test"
site = "Site2"
external = ["192.0.2.99"]
internal = ["10.3.0.2"]
agent_port = 5299

[[witness]]
fqdn = "witness3.contoso.test"
site = "Site2"
external = []
internal = ["10.3.0.3"]
"#;

#[test]
fn witnesses_look_from_elsewhere() {
    let text = GOOD.to_owned() + WITNESSES;
    let topology = Topology::read("topology.toml", &text).expect("it is good");
    let told: Vec<_> =
        topology.witnesses.iter().map(|witness| (witness.member.agent_port, witness.external.len())).collect();
    assert_eq!(told, [(5271, 1), (5299, 1), (5271, 0)]);
    assert_eq!(topology.members().filter(|member| member.role == Role::Witness).count(), 3);
    for (from, to, expected) in [
        ("192.0.2.99", "203.0.113.2", "203.0.113.2 is an edge server's external address, and a witness looks from"),
        ("witness1.contoso.test", "edge1.contoso.test", "edge1.contoso.test is there twice"),
        ("10.3.0.1", "10.3.0.3", "10.3.0.3:5271 is somebody's already"),
        ("site = \"Site2\"\nexternal", "external", "there is no `site` here"),
        ("internal = [\"10.3.0.1\"]", "", "there is no `internal` here"),
        ("agent_port = 5299", "trunk_port = 5299", "unknown field `trunk_port`"),
    ] {
        let told = faults(&(GOOD.to_owned() + &WITNESSES.replacen(from, to, 1)));
        assert!(told.iter().any(|fault| fault.contains(expected)), "{from} -> {to}: {told:#?}");
    }
    let moved = text.replacen("[\"192.0.2.99\"]", "[\"192.0.2.98\"]", 1).replace("10.3.0.3", "10.3.0.4");
    let moved = Topology::read("topology.toml", &moved).expect("it is good");
    let told = difference(&topology, &moved);
    let expected = [
        "witness witness1.contoso.test: external 192.0.2.98 (was 192.0.2.99)",
        "witness witness3.contoso.test: internal 10.3.0.4 (was 10.3.0.3)",
    ];
    assert_eq!(told, expected);
    assert_eq!(difference(&topology, &good()).len(), 3);
}

#[test]
fn all_faults_are_told_at_once() {
    let text =
        changed("external = [\"203.0.113.2\"]", "external = [\"203.0.113.2.\"]\nextrenal = 1\ntrunk_port = \"x\"")
            .replace("tls = \"optional\"", "tls = 1")
            .replace("site = \"site2\"", "site = \"nowhere\"");
    let told = faults(&text);
    for expected in ["IP address", "`extrenal`", "u16", "nowhere"] {
        assert!(told.iter().any(|fault| fault.contains(expected)), "{expected}: {told:#?}");
    }
    assert!(told.len() >= 5, "{told:#?}");
}

#[test]
fn twenty_faults_are_twenty() {
    let mut text = GOOD.to_owned();
    let mut expected = Vec::new();
    for number in 1..=4 {
        text += &format!("\n[[partner]]\ndomains = [\"no domain {number}\"]\n");
        text += &format!("\n[[site]]\nname = \"Site {number}\"\n[[site]]\nname = \"SITE {number}\"\n");
        text += &format!(
            "\n[[gateway]]\nfqdn = \"gateway{number}0.contoso.test\"\nsite = \"Nowhere {number}\"\ninternal = [\"10.0.3.{number}\"]\n"
        );
        text += &format!(
            "\n[[edge]]\nfqdn = \"edge{number}0.contoso.test\"\npool = \"pool1.contoso.test\"\nexternal = [\"address {number}\"]\n\
             internal = [\"10.0.4.{number}\"]\n"
        );
        expected.extend([format!("`no domain {number}`"), format!("two sites SITE {number}")]);
        expected.push(format!("there is no [[site]] Nowhere {number}"));
        // Its address is none, so it has none.
        expected.extend(["invalid IP address syntax", "there is no `external` here"].map(str::to_owned));
    }
    let told = faults(&text);
    assert_eq!(told.len(), 20, "{told:#?}");
    for expected in expected {
        assert!(told.iter().any(|fault| fault.contains(&expected)), "{expected}: {told:#?}");
    }
}

#[test]
fn nothing_at_all_is_a_list_of_what_there_should_be() {
    let told = faults("");
    for expected in ["[installation]", "[[site]]", "[[pool]]", "[[gateway]]", "[route]", "[[local]]", "[[partner]]"] {
        assert!(told.iter().any(|fault| fault.contains(expected)), "{expected}: {told:#?}");
    }
}

#[test]
fn the_difference_is_told_in_sentences() {
    assert!(difference(&good(), &good()).is_empty());
    let text = changed("fqdn = \"edge2.contoso.test\"", "fqdn = \"edge4.contoso.test\"")
        .replace("tls = \"optional\"", "tls = \"required\"")
        .replace("next_hop = \"10.0.0.2\"", "next_hop = \"10.0.0.3\"")
        .replace("[\"pool1.contoso.test\", \"edge3", "[\"edge3")
        .replace("edge3.contoso.test\"]", "edge3.contoso.test\", \"pool1.contoso.test\"]")
        .replace("internal = [\"10.2.0.3\"]", "internal = [\"10.2.0.4\"]");
    let new = Topology::read("topology.toml", &text).expect("it is good");
    assert_eq!(
        difference(&good(), &new),
        [
            "edge server edge3.contoso.test: internal 10.2.0.4 (was 10.2.0.3)",
            "edge server edge4.contoso.test comes",
            "edge server edge2.contoso.test goes",
            "pools stand by in the order edge3.contoso.test, pool1.contoso.test (was pool1.contoso.test, edge3.contoso.test)",
            "local domain conference.contoso.test: next hop 10.0.0.3:5269 (was 10.0.0.2:5269)",
            "local domain contoso.test: next hop 10.0.0.3:5269 (was 10.0.0.2:5269)",
            "partner fabrikam.test: tls required (was optional)",
        ]
    );
}

#[test]
fn a_first_one_is_good() {
    let name = |text: &str| text.parse().expect("a name");
    let address = |text: &str| text.parse().expect("an address");
    let told = First {
        installation: "Contoso \"Ltd\" \u{7f}'s".to_owned(),
        site: "Site1".to_owned(),
        pool: name("pool1.contoso.test"),
        edge: (name("edge1.contoso.test"), address("203.0.113.10"), address("10.1.0.10")),
        gateway: (name("gateway1.contoso.test"), address("fd00::5")),
        local: ("contoso.test".parse().expect("a domain"), "10.0.0.2".parse().expect("a next hop")),
        partner: "fabrikam.test".parse().expect("a domain"),
    };
    let topology = Topology::read("topology.toml", &first(&told)).expect("it is good");
    assert_eq!(topology.installation, "Contoso \"Ltd\" \u{7f}'s");
    assert_eq!(topology.members().count(), 2);
}

mod random {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// However a document is damaged, it is read, or its faults are told; and their drawing doesn't panic.
        #[test]
        fn damage_is_told(cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..40, "[\\[\\]=\",a-z0-9é\n]{0,6}"), 1..5)) {
            let mut text = GOOD.to_owned();
            for (at, length, instead) in cuts {
                let boundary = |mut at: usize| {
                    while !text.is_char_boundary(at) {
                        at -= 1;
                    }
                    at
                };
                let (from, to) = (boundary(at.index(text.len())), at.index(text.len()) + length);
                let to = boundary(to.min(text.len()));
                text.replace_range(from..to.max(from), &instead);
            }
            if let Err(faults) = Topology::read("topology.toml", &text) {
                prop_assert!(!faults.list().is_empty());
                prop_assert!(faults.to_string().contains("topology.toml"));
                for fault in faults.list() {
                    // At the end of the text, a mark may stand behind it.
                    prop_assert!(fault.place.start <= text.len() && fault.place.start <= fault.place.end, "{fault:?}");
                }
            }
        }

        /// What is declared is what is read, in whichever order it is written; and order alone is no difference.
        #[test]
        fn what_is_declared_is_read(pools in proptest::collection::vec((1..4_usize, 0..3_usize), 1..5), partners in 1..20_usize, turned: bool) {
            let document = |turned: bool| {
                let mut sections: Vec<String> = (0..3).map(|site| format!("[[site]]\nname = \"Site{site}\"\n")).collect();
                for (pool, (edges, site)) in pools.iter().enumerate() {
                    sections.push(format!("[[pool]]\nfqdn = \"pool{pool}.contoso.test\"\nsite = \"Site{site}\"\n"));
                    sections.extend((0..*edges).map(|edge| format!(
                        "[[edge]]\nfqdn = \"edge{edge}.pool{pool}.contoso.test\"\npool = \"pool{pool}.contoso.test\"\n\
                         external = [\"198.51.{pool}.{edge}\", \"2001:db8:{pool}::{edge}\"]\ninternal = [\"10.1.{pool}.{edge}\"]\n"
                    )));
                }
                sections.extend((0..partners).map(|partner| format!("[[partner]]\ndomains = [\"partner{partner}.test\"]\n")));
                if turned {
                    sections.reverse();
                }
                let order: Vec<String> = (0..pools.len()).map(|pool| format!("\"pool{pool}.contoso.test\"")).collect();
                let rest = "[installation]\nname = \"Contoso\"\n[[gateway]]\nfqdn = \"gw.contoso.test\"\nsite = \"Site0\"\n\
                    internal = [\"10.0.0.1\"]\n[[local]]\ndomains = [\"contoso.test\"]\nnext_hop = \"10.0.0.2\"\n";
                format!("{rest}[route]\npools = [{}]\n{}", order.join(", "), sections.concat())
            };
            let read = |text: String| Topology::read("topology.toml", &text).map_err(|faults| TestCaseError::fail(faults.to_string()));
            let topology = read(document(turned))?;
            prop_assert_eq!(topology.pools.len(), pools.len());
            for (number, (edges, site)) in pools.iter().enumerate() {
                let pool = topology.pool(&topology.route[number]).expect("it is declared");
                prop_assert_eq!(pool.fqdn.as_str(), format!("pool{number}.contoso.test"));
                prop_assert_eq!((pool.edges.len(), &pool.site), (*edges, &format!("Site{site}")));
                for edge in &pool.edges {
                    prop_assert_eq!(&edge.member.site, &pool.site);
                    prop_assert_eq!((edge.external.len(), edge.member.internal.len()), (2, 1));
                }
            }
            prop_assert_eq!(topology.policy.partners().len(), partners);
            prop_assert_eq!(difference(&topology, &read(document(!turned))?), Vec::<String>::new());
        }
    }
}
