//! Two targets, the first of them bad in some way: each is told for itself, with its cause, and the second is reached.

use std::net::SocketAddr;

use api::probe::{Name, Verdict};
use testkit::lab::target::BadTarget;
use testkit::lab::{FABRIKAM, Kind, Lab, LabPlan, Peer};
use testkit::place::Place;
use testkit::server::Authentication::External;

use super::rig::{of_lab, stage};

const PROSODY: Peer = Peer { kind: Kind::Prosody, authentication: External };

/// Where it fails, what is seen, and what is taken for the cause.
fn expected(target: BadTarget) -> (Name, &'static str, &'static str) {
    match target {
        BadTarget::Refused => (Name::Tcp, "refuses connections", "no server listens"),
        BadTarget::Dropped => (Name::Tcp, "nothing answered", "a firewall drops packets"),
        BadTarget::Silent => (Name::Header, "nothing came for", "server that is dead"),
        BadTarget::SilentAfterTls => (Name::Features, "nothing came for", "the server hangs"),
        // With what we say unread, closing is a reset; which of the two it is, is chance.
        BadTarget::Closes => (Name::Header, "", "load balancer"),
        BadTarget::Resets => (Name::Header, "the connection broke", "load balancer"),
        BadTarget::DirectTlsCloses => {
            (Name::Tls, "the connection broke in the TLS handshake", "doesn't take direct TLS")
        }
        BadTarget::DirectTlsGarbage => (Name::Tls, "is not TLS", "takes STARTTLS"),
        BadTarget::DirectTlsSilent => (Name::Tls, "nothing came for", "the server hangs"),
        BadTarget::WrongCertificate => (Name::Certificate, "speaks for impostor.test", "SRV records lead to another"),
        BadTarget::HostUnknown => (Name::Header, "host-unknown", "doesn't serve fabrikam.test"),
        BadTarget::SystemShutdown => (Name::Header, "system-shutdown", "being shut down"),
    }
}

#[test]
fn each_of_them_is_told_with_its_cause_and_the_second_is_reached() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::isolated().expect("a namespace");
    let plan = LabPlan::new(PROSODY, &[(FABRIKAM, PROSODY)]);
    let lab = Lab::start(place.clone(), &plan, folder.path(), &mut |_| {}).expect("a laboratory");
    place.run(move || async move {
        let good = SocketAddr::new(lab.layout.server(FABRIKAM).address, 5269);
        for (index, target) in BadTarget::ALL.into_iter().enumerate() {
            let host = u8::try_from(index).expect("few") + 10;
            let bad = SocketAddr::from(([127, 0, 4, host], 5269));
            lab.dns.direct_tls_srv(FABRIKAM, &[]);
            let _standing = target.put_up(&lab.workshop(), FABRIKAM, bad, good).expect("a bad target");
            let probed = of_lab(&lab, &[FABRIKAM, "--within", "30"]).await;
            let text = api::probe::table(&probed);
            assert_eq!(probed.targets.len(), 2, "{target:?}\n{text}");
            let (mut name, seen, cause) = expected(target);
            let (first, second) = (&probed.targets[0], &probed.targets[1]);
            // The reset may come with the connection.
            if target == BadTarget::Resets && stage(&first.stages, Name::Tcp).verdict == Verdict::Bad {
                name = Name::Tcp;
            }
            assert_eq!(first.address, bad.to_string(), "{target:?}\n{text}");
            let failed = stage(&first.stages, name);
            assert!(failed.verdict >= Verdict::Warning && failed.seen.contains(seen), "{target:?}\n{text}");
            assert!(failed.cause.as_ref().is_some_and(|told| told.contains(cause)), "{target:?}\n{text}");
            assert!(failed.fix.is_some(), "{target:?}\n{text}");
            assert!(second.reached && second.verdict == Verdict::Good && probed.reached, "{target:?}\n{text}");
            let after = first.stages.iter().filter(|stage| stage.name > name);
            if target != BadTarget::WrongCertificate {
                assert!(!first.reached, "{target:?}\n{text}");
                for stage in after {
                    assert_eq!(stage.verdict, Verdict::Skipped, "{target:?}\n{text}");
                }
            }
        }
    });
}
