//! Configurations, good and bad, and how the bad ones are drawn.

use std::net::IpAddr;

use daemon::log::{Format, Level};
use topology::faults::Faults;
use topology::partner::NextHop;

use super::*;

const GOOD: &str = r#"
[log]
level = "debug"
format = "json"

[view]
listen = ["127.0.9.2:53", "::1"]
forward = ["127.0.9.1:53", "127.0.9.3"]
ttl = 7
clients = ["127.0.0.0/8", "2001:db8::1"]
cache = 100
direct_tls = false

[[gateway]]
name = "gateway1.contoso.test"
addresses = ["127.0.2.1", "2001:db8::1"]
port = 5270
priority = 1
weight = 2

[[local]]
domains = ["contoso.test", "*.contoso.test"]
next_hop = "127.0.1.1:5269"

[[local]]
domains = ["Direct.Contoso.test"]
next_hop = "xmpp.contoso.test"
direct_tls = true
"#;

fn parse(text: &str) -> Result<Config, Faults> {
    daemon::settings::parse("dns.toml", text, Path::new(""), |file: file::File, folder, faults| {
        check::check(file, folder, faults)
    })
}

fn said(text: &str) -> String {
    parse(text).expect_err("something is wrong").to_string()
}

#[test]
fn everything_can_be_set() {
    let config = parse(GOOD).expect("a good configuration");
    assert_eq!(config.log, Log { level: Level::Debug, format: Format::Json });
    assert_eq!(config.listen.iter().map(ToString::to_string).collect::<Vec<_>>(), ["127.0.9.2:53", "[::1]:53"]);
    assert_eq!(config.forward.iter().map(ToString::to_string).collect::<Vec<_>>(), ["127.0.9.1:53", "127.0.9.3:53"]);
    assert_eq!(config.clients.iter().map(ToString::to_string).collect::<Vec<_>>(), ["127.0.0.0/8", "2001:db8::1/128"]);
    assert_eq!(config.cache, 100);
    let view = config.view;
    assert_eq!((view.ttl, view.direct_tls), (7, false));
    let gateway = &view.gateways[0];
    assert_eq!((gateway.port, gateway.priority, gateway.weight, gateway.addresses.len()), (5270, 1, 2, 2));
    let locals: Vec<_> = view.locals.iter().map(|local| (local.pattern.to_string(), local.next_hop.clone())).collect();
    let hop = |host: &str, direct_tls| NextHop { host: host.to_owned(), port: 5269, direct_tls };
    let expected = [
        ("contoso.test".to_owned(), hop("127.0.1.1", false)),
        ("*.contoso.test".to_owned(), hop("127.0.1.1", false)),
        ("direct.contoso.test".to_owned(), hop("xmpp.contoso.test", true)),
    ];
    assert_eq!(locals, expected);
}

const LEAST: &str = r#"
[view]
listen = ["127.0.9.2"]
forward = ["127.0.9.1"]
[[gateway]]
name = "gateway1.contoso.test"
addresses = ["127.0.2.1"]
"#;

#[test]
fn what_may_be_left_out_has_a_default() {
    let config = parse(LEAST).expect("a good configuration");
    assert_eq!(config.log, Log { level: Level::Info, format: Format::Text });
    assert_eq!((config.cache, config.view.ttl, config.view.direct_tls), (10_000, 5, true));
    let allowed = |text: &str| {
        let client: IpAddr = text.parse().expect("an address");
        config.clients.iter().any(|network| network.contains(&client))
    };
    for client in ["127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.9.9", "169.254.1.1", "::1", "fd00::1", "fe80::1"] {
        assert!(allowed(client), "{client}");
    }
    for client in ["11.0.0.1", "172.32.0.1", "192.169.0.1", "2001:db8::1", "0.0.0.0"] {
        assert!(!allowed(client), "{client}");
    }
    let gateway = &config.view.gateways[0];
    assert_eq!((gateway.port, gateway.priority, gateway.weight), (5269, 10, 10));
}

#[test]
fn faults_are_drawn_where_they_are() {
    let text = GOOD.replace("\"::1\"", "\"häh\", \"::\"");
    let expected = "\
dns.toml:7:27: `häh` is no address
  |
7 | listen = [\"127.0.9.2:53\", \"häh\", \"::\"]
  |                           ^^^^^
  = write `address`, `address:port` or `[address]:port`
dns.toml:7:34: `::` stands for all addresses
  |
7 | listen = [\"127.0.9.2:53\", \"häh\", \"::\"]
  |                                  ^^^^
  = write each address to listen on: a reply must come from the one that was asked";
    assert_eq!(said(&text), expected);
    let unknown = "\
dns.toml:12:1: unknown field `directtls`, expected one of `listen`, `forward`, `ttl`, `clients`, `cache`, `direct_tls`
   |
12 | directtls = false
   | ^^^^^^^^^
   = docs/configuration.md names every key and its values";
    assert_eq!(said(&GOOD.replacen("direct_tls", "directtls", 1)), unknown);
}

#[test]
fn every_fault_is_said_with_its_line() {
    for (from, to, line, words) in [
        ("[view]", "[view", 6, ""),
        ("ttl = 7", "ttl = \"7\"", 9, "expected u32"),
        ("ttl = 7", "ttl = 0", 9, "from 1 to 86400"),
        ("ttl = 7", "ttl = -1", 9, "-1"),
        ("ttl = 7", "ttl = 7\nttl = 8", 10, "duplicate key"),
        ("cache = 100", "cache = 100000000", 11, "from 0 to 1000000"),
        ("level = \"debug\"", "level = \"loud\"", 3, "unknown variant `loud`"),
        ("format = \"json\"", "colour = true", 4, "unknown field `colour`"),
        ("[log]", "[logs]", 2, "unknown field `logs`"),
        ("listen = [\"127.0.9.2:53\", \"::1\"]", "listen = []", 7, "the list is empty"),
        ("\"::1\"]", "\"0.0.0.0:53\"]", 7, "write each address"),
        ("\"::1\"]", "\"[::]:53\"]", 7, "write each address"),
        ("\"::1\"]", "\"224.0.0.1\"]", 7, "multicast"),
        ("\"::1\"]", "\"127.0.9.2\"]", 7, "twice"),
        ("\"127.0.9.3\"", "\"127.0.9.2\"", 8, "itself"),
        ("\"127.0.9.3\"", "\"127.0.9.1\"", 8, "twice"),
        ("\"127.0.9.3\"", "\"127.0.9.3:0\"", 8, "no resolver"),
        ("\"127.0.9.3\"", "\"0.0.0.0\"", 8, "no resolver"),
        ("127.0.0.0/8", "127.0.0.1/8", 10, "in the network `127.0.0.0/8`"),
        ("127.0.0.0/8", "127.0.0.0/33", 10, "no network"),
        ("clients = [\"127.0.0.0/8\", \"2001:db8::1\"]", "clients = []", 10, "the list is empty"),
        ("gateway1.contoso.test", "gateway1..test", 15, "not a valid domain name"),
        ("gateway1.contoso.test", "127.0.2.1", 15, "IP address"),
        ("\"127.0.2.1\", ", "\"gateway\", ", 16, "no IP address"),
        ("\"127.0.2.1\", ", "\"0.0.0.0\", ", 16, "no gateway can be reached"),
        ("\"127.0.2.1\", ", "\"2001:db8::1\", ", 16, "twice"),
        ("port = 5270", "port = 0", 17, "nonzero"),
        ("port = 5270", "port = 70000", 17, "70000"),
        ("weight = 2", "weight = 2.5", 19, "2.5"),
        ("\"*.contoso.test\"", "\"*.*.test\"", 22, "not a valid domain name"),
        ("\"*.contoso.test\"", "\"straße.test\"", 22, "nameprep"),
        ("\"*.contoso.test\"", "\"contoso.test\"", 22, "twice"),
        ("[\"Direct.Contoso.test\"]", "[\"contoso.test\"]", 26, "another next hop already, 127.0.1.1:5269"),
        ("127.0.1.1:5269", "127.0.1.1:0", 23, "is not a next hop"),
        ("127.0.1.1:5269", "127.0.1.256:5269", 23, "no server can be reached"),
        ("127.0.1.1:5269", "a..b", 23, "no server can be reached"),
        ("127.0.1.1:5269", "0.0.0.0:5269", 23, "no server can be reached"),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let said = said(&GOOD.replacen(from, to, 1));
        assert!(said.starts_with(&format!("dns.toml:{line}:")) && said.contains(words), "{to}:\n{said}");
    }
}

#[test]
fn what_is_missing_is_named() {
    for (line, words) in [
        ("listen = [\"127.0.9.2\"]\n", "missing field `listen`"),
        ("forward = [\"127.0.9.1\"]\n", "missing field `forward`"),
        ("name = \"gateway1.contoso.test\"\n", "missing field `name`"),
        ("addresses = [\"127.0.2.1\"]\n", "missing field `addresses`"),
        ("[[gateway]]\nname = \"gateway1.contoso.test\"\naddresses = [\"127.0.2.1\"]\n", "there is no gateway"),
    ] {
        let said = said(&LEAST.replace(line, ""));
        assert!(said.contains(words) && said.contains('^'), "{said}");
    }
    assert!(said("").contains("there is neither [view] nor [zones], so nothing to answer"));
}

#[test]
fn several_gateways_need_several_names() {
    let again = format!("{LEAST}[[gateway]]\nname = \"GATEWAY1.contoso.test\"\naddresses = [\"127.0.2.2\"]\n");
    assert!(said(&again).contains("another gateway called gateway1.contoso.test"));
    let long = format!("{}.test", vec!["a".repeat(60); 4].join("."));
    assert!(said(&LEAST.replace("gateway1.contoso.test", &long)).contains("too long"));
}

#[test]
fn all_faults_come_at_once_in_the_order_of_the_file() {
    let text = GOOD.replace("127.0.9.3", "x").replace("127.0.2.1", "y").replace("xmpp.contoso.test", "z z");
    let said = said(&text.replace("ttl = 7", "ttl = 0"));
    let lines: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("dns.toml:")).collect();
    let numbers: Vec<&str> = lines.iter().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(numbers, ["8", "9", "16", "27"], "{said}");
}

const CONTROLLED: &str = r#"
[control]
listen = ["127.0.0.1:5271"]
state = "state"
[view]
listen = ["127.0.9.2:53"]
forward = ["127.0.9.1:53"]
"#;

#[test]
fn under_controllers_names_lead_where_they_say() {
    let config = parse(CONTROLLED).expect("a good configuration");
    assert_eq!(config.control.as_ref().map(|control| control.state.clone()), Some("state".into()));
    let content =
        GOOD.split_once("[[local]]").expect("it has some").1.replace("Direct.Contoso.test", "direct.contoso.test");
    let content = format!(
        "[[gateway]]\nfqdn = 'gateway1.contoso.test'\naddresses = ['127.0.2.1', 'fd00::1']\npriority = 3\n[[local]]{content}"
    );
    let leads = Leads::read(&content).expect("a good snapshot");
    let config = config.leading(leads);
    assert_eq!((config.view.gateways[0].priority, config.view.gateways[0].port), (3, 5269));
    assert_eq!(config.view.locals.len(), 3);
    assert!(config.view.locals[2].next_hop.direct_tls);

    let faulty = content.replace("127.0.2.1", "0.0.0.0").replace("xmpp.contoso.test", "0.0.0.0");
    assert_eq!(Leads::read(&faulty).expect_err("two faults").list().len(), 2);
    let nothing =
        Leads::read("gateway = []\n[[local]]\ndomains = ['contoso.test']").expect_err("two faults").to_string();
    assert!(nothing.contains("there is no gateway") && nothing.contains("no `next_hop`"), "{nothing}");
}

#[test]
fn under_controllers_the_file_leads_nowhere() {
    let (_, own) = GOOD.split_once("[[gateway]]").expect("it has one");
    let drawn = said(&format!("{CONTROLLED}[[gateway]]{own}"));
    assert_eq!(drawn.matches("controllers say where names lead").count(), 3, "{drawn}");
    assert!(said(&CONTROLLED.replace("\"127.0.0.1:5271\"", "")).contains("no controller could come"));
}

#[test]
fn zones_are_answered_for_under_controllers_only_and_at_addresses_of_their_own() {
    let zones = "[control]\nlisten = [\"10.0.0.11:5271\"]\nstate = \"state\"\n[zones]\nlisten = [\"192.0.2.53\"]\n";
    let config = parse(zones).expect("no view is needed");
    assert_eq!(config.zones.listen, ["192.0.2.53:53".parse().expect("an address")]);
    assert_eq!((config.zones.responses_per_second, config.listen.len()), (200, 0));
    let limited = format!("{zones}responses_per_second = 0\n");
    assert_eq!(parse(&limited).expect("no limit").zones.responses_per_second, 0);
    let alone = said(&zones[zones.find("[zones]").expect("it is there")..]);
    assert!(alone.contains("nobody says what is in the zones: there is no [control]"), "{alone}");
    let both = |address: &str| format!("{zones}[view]\nlisten = [\"{address}\"]\nforward = [\"10.0.0.3\"]\n");
    assert!(parse(&both("10.0.0.11")).is_ok());
    assert!(said(&both("192.0.2.53:53")).contains("[zones] listens on `192.0.2.53:53` too"));
    assert!(said(&zones.replace("192.0.2.53", "0.0.0.0")).contains("`0.0.0.0` stands for all addresses"));
    assert!(said(&limited.replace("= 0", "= 1000001")).contains("write a number from 0 to 1000000"));
}
