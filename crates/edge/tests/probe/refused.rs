//! Real servers that don't take our proof: a certificate for servers only, and a key that they can't verify.

use std::time::{Duration, Instant};

use api::probe::{Name, Verdict};
use testkit::lab::{CONTOSO, FABRIKAM, Kind, Lab, LabPlan, Peer, TAILSPIN};
use testkit::pki::Request;
use testkit::place::Place;
use testkit::server::Authentication::{Dialback, External};

use super::rig::{assert_went, of_lab, stage};

/// Longer than anything takes here that is to come at all.
const PATIENCE: Duration = Duration::from_secs(60);

fn lab(partners: &[(&'static str, Peer)], folder: &std::path::Path) -> (Place, Lab) {
    let place = Place::isolated().expect("a namespace");
    let inside = Peer { kind: Kind::Prosody, authentication: External };
    let lab = Lab::start(place.clone(), &LabPlan::new(inside, partners), folder, &mut |_| {}).expect("a laboratory");
    (place, lab)
}

#[test]
fn an_old_server_refuses_a_certificate_without_client_auth_and_a_new_one_does_not() {
    let by = |kind| Peer { kind, authentication: External };
    let folder = tempfile::tempdir().expect("a folder");
    let (place, lab) = lab(&[(FABRIKAM, by(Kind::Ejabberd)), (TAILSPIN, by(Kind::Prosody))], folder.path());
    place.run(move || async move {
        let before = of_lab(&lab, &[FABRIKAM]).await;
        assert!(before.reached, "{}", api::probe::table(&before));
        let made = lab.public_ca.issue(&Request::new(&[CONTOSO]).server_only()).expect("ASCII");
        made.write(&lab.folder().join("certificates"), "contoso").expect("written");
        let began = Instant::now();
        // It is read again by itself.
        let refused = loop {
            let probed = of_lab(&lab, &[FABRIKAM]).await;
            if !probed.reached {
                break probed;
            }
            assert!(began.elapsed() < PATIENCE, "{}", api::probe::table(&probed));
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let text = api::probe::table(&refused);
        let external = stage(&refused.targets[0].stages, Name::External);
        assert!(
            external.verdict == Verdict::Bad && external.seen.contains("unsupported certificate purpose"),
            "{text}"
        );
        assert!(external.cause.as_ref().is_some_and(|cause| cause.contains("clientAuth")), "{text}");
        assert!(external.fix.as_ref().is_some_and(|fix| fix.contains("dialback")), "{text}");
        let taken = of_lab(&lab, &[TAILSPIN]).await;
        assert_went(&taken.targets[0], &[(Name::External, Verdict::Good)]);
    });
}

#[test]
fn a_server_that_can_not_reach_us_to_verify_our_key_is_told_from_one_that_says_no() {
    let by = |kind| Peer { kind, authentication: Dialback };
    let folder = tempfile::tempdir().expect("a folder");
    let (place, lab) = lab(&[(FABRIKAM, by(Kind::Prosody)), (TAILSPIN, by(Kind::Ejabberd))], folder.path());
    place.run(move || async move {
        // Nobody is where DNS says that we are.
        lab.dns.addresses("edge.contoso.test", &["127.0.3.77".parse().expect("an address")]);
        for domain in [FABRIKAM, TAILSPIN] {
            let probed = of_lab(&lab, &[domain, "--within", "20"]).await;
            let text = api::probe::table(&probed);
            assert!(!probed.reached, "{text}");
            assert_went(
                &probed.targets[0],
                &[(Name::Certificate, Verdict::Warning), (Name::External, Verdict::Skipped)],
            );
            let dialback = stage(&probed.targets[0].stages, Name::Dialback);
            assert_eq!(dialback.verdict, Verdict::Bad, "{text}");
            assert!(dialback.cause.as_ref().is_some_and(|cause| cause.contains("contoso.test")), "{text}");
            assert!(dialback.fix.as_ref().is_some_and(|fix| fix.contains("port 5269 is open")), "{text}");
        }
    });
}
