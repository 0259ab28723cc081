//! Real servers that are as they should be: what is seen of them, by which proof, and next to the traffic.

use api::probe::{Name, Verdict};
use testkit::lab::{CONTOSO, FABRIKAM, Kind, Lab, LabPlan, Peer, TAILSPIN, WOODGROVE};
use testkit::place::Place;
use testkit::server::Authentication::{Dialback, External};
use tokio::task::JoinSet;

use super::rig::{assert_went, of_lab, stage};

const fn peer(kind: Kind, authentication: testkit::server::Authentication) -> Peer {
    Peer { kind, authentication }
}

fn lab(plan: &LabPlan, folder: &std::path::Path) -> (Place, Lab) {
    let place = Place::isolated().expect("a namespace");
    let lab = Lab::start(place.clone(), plan, folder, &mut |_| {}).expect("a laboratory");
    (place, lab)
}

#[test]
fn prosody_and_ejabberd_by_certificate_and_by_dialback() {
    let partners = [
        (FABRIKAM, peer(Kind::Prosody, External)),
        (TAILSPIN, peer(Kind::Ejabberd, External)),
        (WOODGROVE, peer(Kind::Prosody, Dialback)),
    ];
    let plan = LabPlan::new(peer(Kind::Prosody, External), &partners);
    let folder = tempfile::tempdir().expect("a folder");
    let (place, lab) = lab(&plan, folder.path());
    let lab = place.run(move || async move {
        for (domain, external) in [(FABRIKAM, true), (TAILSPIN, true), (WOODGROVE, false)] {
            let probed = of_lab(&lab, &[domain]).await;
            let text = api::probe::table(&probed);
            assert!(probed.reached && probed.targets.len() == 1, "{text}");
            assert_eq!((probed.from.as_deref(), probed.face.as_str()), (Some(CONTOSO), "external"));
            assert_went(&probed.targets[0], &[(Name::Tcp, Verdict::Good), (Name::Header, Verdict::Good)]);
            let target = &probed.targets[0];
            assert!(target.tls.as_ref().is_some_and(|tls| tls.version == "TLSv1.3"), "{text}");
            let certificate = target.certificate.as_ref().expect("it shows one");
            assert!(certificate.names.iter().any(|name| name == domain) && certificate.days > 80, "{text}");
            let offers = target.offers.as_ref().expect("it offers something");
            if external {
                assert_eq!((probed.verdict, certificate.fault.as_deref()), (Verdict::Good, None), "{text}");
                assert_went(target, &[(Name::Certificate, Verdict::Good), (Name::External, Verdict::Good)]);
                assert_went(target, &[(Name::Dialback, Verdict::Skipped)]);
                assert!(offers.mechanisms.iter().any(|mechanism| mechanism == "EXTERNAL"), "{text}");
            } else {
                assert_eq!(probed.verdict, Verdict::Warning, "{text}");
                assert!(stage(&target.stages, Name::Certificate).seen.contains("self-signed"), "{text}");
                assert_went(target, &[(Name::Certificate, Verdict::Warning), (Name::Dialback, Verdict::Good)]);
                assert!(offers.dialback, "{text}");
            }
            let resolved = stage(&probed.stages, Name::Resolve);
            assert_eq!(resolved.seen, format!("_xmpp-server 10 0 5269 xmpp.{domain}"), "{text}");
        }
        // Prosody counts stanzas once it knows us.
        let probed = of_lab(&lab, &[FABRIKAM]).await;
        assert!(probed.targets[0].offers.as_ref().is_some_and(|offers| offers.stream_management), "{probed:?}");

        // The next hop, which is looked at.
        let probed = of_lab(&lab, &[CONTOSO]).await;
        let text = api::probe::table(&probed);
        assert_eq!((probed.face.as_str(), probed.reached, probed.verdict), ("internal", true, Verdict::Good), "{text}");
        let hop = [Name::Tcp, Name::Header, Name::Tls, Name::Certificate, Name::Features];
        assert_went(&probed.targets[0], &hop.map(|name| (name, Verdict::Good)));
        assert_went(&probed.targets[0], &[(Name::External, Verdict::Skipped), (Name::Dialback, Verdict::Skipped)]);

        // Ourselves, as from outside; both ways of TLS on one port.
        let external = format!("{}:5269", lab.layout.external_face);
        for direct in [&[][..], &["--direct-tls"]] {
            let arguments = [&[CONTOSO, "--at", &external][..], direct].concat();
            let probed = of_lab(&lab, &arguments).await;
            let text = api::probe::table(&probed);
            assert!(probed.reached && probed.verdict == Verdict::Good && probed.from.is_none(), "{text}");
            assert_went(&probed.targets[0], &[(Name::Certificate, Verdict::Good), (Name::Features, Verdict::Good)]);
            let offers = probed.targets[0].offers.as_ref().expect("it offers something");
            assert!(offers.max_bytes == Some(262_144) && offers.idle_seconds == Some(3600), "{text}");
        }
        lab
    });
    // Nothing of it was a stanza.
    let status = lab.ask(&["status"]).expect("a status");
    assert_eq!(status.matches("0 = 0 taken + 0 returned + 0 failed + 0 in flight").count(), 2, "{status}");
    let log = std::fs::read_to_string(lab.fedge_edge.log()).expect("a log");
    assert!(log.contains("probed to=fabrikam.test") || log.contains("probed to=\"fabrikam.test\""), "{log}");
}

#[test]
fn direct_tls_and_several_at_once() {
    let partners = [(FABRIKAM, peer(Kind::Prosody, External)), (TAILSPIN, peer(Kind::Ejabberd, External))];
    let plan = LabPlan { direct_tls: true, ..LabPlan::new(peer(Kind::Prosody, External), &partners) };
    let folder = tempfile::tempdir().expect("a folder");
    let (place, lab) = lab(&plan, folder.path());
    place.run(move || async move {
        let lab = std::sync::Arc::new(lab);
        let mut asked = JoinSet::new();
        for domain in [FABRIKAM, TAILSPIN, FABRIKAM, TAILSPIN] {
            let lab = lab.clone();
            asked.spawn(async move { of_lab(&lab, &[domain, "--from", CONTOSO, "--within", "30"]).await });
        }
        for probed in asked.join_all().await {
            let text = api::probe::table(&probed);
            assert!(probed.reached && probed.verdict == Verdict::Good, "{text}");
            let target = &probed.targets[0];
            assert!(target.direct_tls && text.contains(", direct TLS: good"), "{text}");
            assert!(target.stages.iter().all(|stage| stage.name != Name::Header), "{text}");
            assert_went(target, &[(Name::Tls, Verdict::Good), (Name::External, Verdict::Good)]);
        }
    });
}
