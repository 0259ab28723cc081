//! What DNS says of a partner must lead outside.

use std::net::IpAddr;

use net::resolve::ResolveError;
use topology::address::{Forbidden, may_dial};

use super::rig::{ip, with_dns};

const ONE: &str = "one.fabrikam.test";
const FABRIKAM: &str = "fabrikam.test";
/// An address of fedge's own, for the while.
const OWN: &str = "9.9.9.9";

fn guard(address: IpAddr) -> Result<(), Forbidden> {
    may_dial(address, &[ip(OWN)])
}

#[test]
fn only_outside() {
    for address in [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",
        "::1",
        "fd77::1",
        "fe80::1",
        "::ffff:127.0.0.1",
    ] {
        with_dns(async move |rig| {
            rig.address(ONE, &[address]);
            rig.dns.srv(FABRIKAM, &[(1, 0, 5269, ONE)]);
            let error = rig.guarded(&guard).await.expect_err("not outside");
            assert!(matches!(error, ResolveError::Forbidden { .. }), "{error}");
            let told = error.to_string();
            for word in [FABRIKAM, address, "next_hop"] {
                assert!(told.contains(word), "{word}: {told}");
            }
            assert!(error.is_lasting());
        });
    }
}

#[test]
fn not_ourselves() {
    with_dns(async |rig| {
        rig.address(ONE, &[OWN]);
        rig.dns.srv(FABRIKAM, &[(1, 0, 5269, ONE)]);
        let error = rig.guarded(&guard).await.expect_err("that's us").to_string();
        assert!(error.contains(OWN) && error.contains("fedge itself"), "{error}");
    });
}

#[test]
fn what_leads_outside_is_used() {
    with_dns(async |rig| {
        rig.address(ONE, &["127.0.0.1", "8.8.8.8", "::1"]);
        rig.dns.srv(FABRIKAM, &[(1, 0, 5269, ONE)]);
        assert_eq!(rig.guarded(&guard).await.expect("one of them"), ["one.fabrikam.test 8.8.8.8:5269"]);
    });
}
