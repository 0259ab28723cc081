//! What DNS says rightly: priorities, weights, both services, addresses of both families, and that there is nothing.

use std::collections::HashMap;
use std::time::Duration;

use super::rig::{ip, with_dns};
use net::resolve::ResolveError;

const ONE: &str = "one.fabrikam.test";
const TWO: &str = "two.fabrikam.test";
const FABRIKAM: &str = "fabrikam.test";

#[test]
fn priorities_order_both_services_as_one() {
    with_dns(async |rig| {
        rig.address(ONE, &["127.0.4.1"]);
        rig.address(TWO, &["127.0.4.2"]);
        rig.dns.srv(FABRIKAM, &[(30, 0, 5269, TWO), (10, 0, 5269, ONE)]);
        rig.dns.direct_tls_srv(FABRIKAM, &[(20, 0, 443, ONE), (40, 0, 5270, TWO)]);
        let expected = [
            "one.fabrikam.test 127.0.4.1:5269",
            "one.fabrikam.test 127.0.4.1:443+",
            "two.fabrikam.test 127.0.4.2:5269",
            "two.fabrikam.test 127.0.4.2:5270+",
        ];
        assert_eq!(rig.targets().await, expected);
    });
}

#[test]
fn weights_are_chances() {
    with_dns(async |rig| {
        rig.address(ONE, &["127.0.4.1"]);
        rig.address(TWO, &["127.0.4.2"]);
        rig.dns.srv(FABRIKAM, &[(10, 100, 5269, ONE), (10, 300, 5269, TWO)]);
        let mut first = HashMap::new();
        for _ in 0..400 {
            let targets = rig.targets().await;
            assert_eq!(targets.len(), 2);
            *first.entry(targets[0].clone()).or_insert(0_u32) += 1;
        }
        let two = first["two.fabrikam.test 127.0.4.2:5269"];
        assert!((250..350).contains(&two), "{first:?}");
    });
}

#[test]
fn a_service_that_is_not_offered() {
    // STARTTLS, direct TLS, and what is tried then.
    type Case<'a> = (&'a [(u16, u16, u16, &'a str)], &'a [(u16, u16, u16, &'a str)], Option<&'a str>);
    let cases: [Case<'static>; 8] = [
        (&[], &[], Some("fabrikam.test 127.0.4.9:5269")),
        (&[], &[(0, 0, 0, ".")], Some("fabrikam.test 127.0.4.9:5269")),
        (&[(0, 0, 0, ".")], &[], None),
        (&[(0, 0, 0, ".")], &[(0, 0, 0, ".")], None),
        (&[(1, 0, 5269, ONE)], &[(0, 0, 0, ".")], Some("one.fabrikam.test 127.0.4.1:5269")),
        (&[(0, 0, 0, ".")], &[(1, 0, 443, ONE)], Some("one.fabrikam.test 127.0.4.1:443+")),
        (&[(1, 0, 5269, ONE)], &[], Some("one.fabrikam.test 127.0.4.1:5269")),
        (&[], &[(1, 0, 443, ONE)], Some("one.fabrikam.test 127.0.4.1:443+")),
    ];
    for (starttls, direct, expected) in cases {
        with_dns(async move |rig| {
            rig.address(ONE, &["127.0.4.1"]);
            rig.address(FABRIKAM, &["127.0.4.9"]);
            rig.dns.srv(FABRIKAM, starttls);
            rig.dns.direct_tls_srv(FABRIKAM, direct);
            match expected {
                Some(target) => assert_eq!(rig.targets().await, [target], "{starttls:?} {direct:?}"),
                None => {
                    let error = rig.error().await;
                    assert!(matches!(error, ResolveError::NotOffered(_)), "{error}");
                    assert!(error.is_lasting() && error.to_string().contains(FABRIKAM), "{error}");
                }
            }
        });
    }
}

#[test]
fn both_families_alternate() {
    with_dns(async |rig| {
        // One host may have as many as it likes; four are tried.
        rig.address(ONE, &["127.0.4.1", "127.0.4.2", "127.0.4.3", "fd77::1", "fd77::2"]);
        rig.dns.srv(FABRIKAM, &[(1, 0, 5269, ONE)]);
        let targets = rig.targets().await;
        let six: Vec<bool> = targets.iter().map(|target| target.contains('[')).collect();
        assert_eq!(six, [true, false, true, false], "{targets:?}");
    });
}

#[test]
fn aliases() {
    with_dns(async |rig| {
        rig.address(ONE, &["127.0.4.1", "fd77::1"]);
        // Against RFC 2782, and seen.
        rig.dns.alias("alias.fabrikam.test", ONE);
        rig.dns.srv(FABRIKAM, &[(1, 0, 5269, "alias.fabrikam.test")]);
        let expected = ["alias.fabrikam.test [fd77::1]:5269", "alias.fabrikam.test 127.0.4.1:5269"];
        assert_eq!(rig.targets().await, expected);
    });
    with_dns(async |rig| {
        // Many domains that one provider hosts.
        rig.address(ONE, &["127.0.4.1"]);
        rig.dns.srv("hosted.test", &[(1, 0, 5269, ONE)]);
        rig.dns.alias("_xmpp-server._tcp.fabrikam.test", "_xmpp-server._tcp.hosted.test");
        assert_eq!(rig.targets().await, ["one.fabrikam.test 127.0.4.1:5269"]);
    });
}

#[test]
fn nothing_in_both_ways() {
    // No such name at all (NXDOMAIN); names, but not these records (NODATA).
    for exists in [false, true] {
        with_dns(async move |rig| {
            if exists {
                rig.dns.set("_xmpp-server._tcp.fabrikam.test", vec![ip("127.0.4.1").into()]);
                rig.dns.srv("below.fabrikam.test", &[(1, 0, 5269, ONE)]);
            }
            let error = rig.error().await;
            assert!(matches!(error, ResolveError::NoServer(_)), "{error}");
            assert!(error.is_lasting(), "{error}");
            assert!(error.to_string().contains(FABRIKAM), "{error}");
        });
    }
    with_dns(async |rig| {
        // Records, so the domain's own address is no substitute (RFC 6120 §3.2.1).
        rig.address(FABRIKAM, &["127.0.4.9"]);
        rig.dns.srv(FABRIKAM, &[(1, 0, 5269, ONE)]);
        let error = rig.error().await;
        assert!(matches!(error, ResolveError::NoAddress { .. }), "{error}");
        assert!(error.to_string().contains(ONE), "{error}");
        // As soon as there is one.
        rig.address(ONE, &["127.0.4.1"]);
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(rig.targets().await, ["one.fabrikam.test 127.0.4.1:5269"]);
    });
}

#[test]
fn more_records_than_anybody_needs() {
    with_dns(async |rig| {
        let hosts: Vec<String> = (0..60).map(|number| format!("host{number}.fabrikam.test")).collect();
        for host in &hosts {
            rig.address(host, &["127.0.4.1"]);
        }
        // The best come last in the answer.
        let records: Vec<_> =
            (0..60).map(|number| (100 - number, 0, 5269, hosts[usize::from(number)].as_str())).collect();
        rig.dns.srv(FABRIKAM, &records);
        let targets = rig.targets().await;
        let expected: Vec<_> =
            (44..60).rev().map(|number| format!("host{number}.fabrikam.test 127.0.4.1:5269")).collect();
        assert_eq!(targets, expected);
    });
    with_dns(async |rig| {
        // One host with more addresses than are tried doesn't hide the next host.
        let many: Vec<String> = (1..=100).map(|number| format!("127.0.5.{number}")).collect();
        rig.address(ONE, &many.iter().map(String::as_str).collect::<Vec<_>>());
        rig.address(TWO, &["127.0.4.2"]);
        rig.dns.srv(FABRIKAM, &[(1, 0, 5269, ONE), (2, 0, 5269, TWO)]);
        let targets = rig.targets().await;
        assert!(targets.len() <= 16, "{}", targets.len());
        assert_eq!(targets.last().map(String::as_str), Some("two.fabrikam.test 127.0.4.2:5269"));
    });
}

#[test]
fn absurd_ports() {
    with_dns(async |rig| {
        rig.address(ONE, &["127.0.4.1"]);
        rig.dns.srv(FABRIKAM, &[(1, 0, 0, ONE), (2, 0, 65535, ONE), (3, 0, 1, ONE)]);
        assert_eq!(rig.targets().await, ["one.fabrikam.test 127.0.4.1:65535", "one.fabrikam.test 127.0.4.1:1"]);
    });
    with_dns(async |rig| {
        rig.address(FABRIKAM, &["127.0.4.9"]);
        rig.address(ONE, &["127.0.4.1"]);
        rig.dns.srv(FABRIKAM, &[(1, 0, 0, ONE)]);
        let error = rig.error().await;
        assert!(error.is_lasting() && error.to_string().contains("port 0"), "{error}");
    });
}
