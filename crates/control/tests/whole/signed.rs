//! A zone that is signed, moved and given another key as docs/dns-zones.md says, and validated by Debian's delv at each step.

use std::fs;
use std::time::{Duration, Instant};

use testkit::clock::{Clock, PACKAGES};
use testkit::fedge::Programs;
use testkit::lab::installation::{CONTROLLERS, Ground, Installation, NAMESERVERS, StoreKind, fqdn};
use testkit::lab::{FABRIKAM, Kind, LabPlan, Peer, Publisher};
use testkit::packages::Debian;
use testkit::place::Place;
use testkit::server::Authentication::External;

use crate::moves::route;

const SRV: &str = "_xmpp-server._tcp.contoso.test";
/// For what comes about by itself.
const PATIENCE: Duration = Duration::from_secs(60);
const PLAIN: &str = "publisher = \"embedded\"\n";
const SIGNED: &str = "publisher = \"embedded\"\nsigned = true\n";

/// Publishes the topology with its zone as it says here, and waits until everybody has it.
fn publish(lab: &Installation, before: &str, after: &str) {
    let file = lab.folder().join("topology.toml");
    let document = fs::read_to_string(&file).expect("the document");
    let changed = document.replace(before, after);
    assert_ne!(changed, document);
    fs::write(&file, changed).expect("written");
    let began = Instant::now();
    let told = lab.fedge(&["topology", "publish", &file.display().to_string()]).expect("it is published");
    let version = told.strip_prefix("version ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    lab.wait_for_version(version.expect("a number"), began).expect("all have it");
}

/// The zone's public key, by which the parent's administrator would know it; with the DS record before it.
fn told(lab: &Installation) -> (String, String) {
    let told = lab.fedge(&["dns", "ds", "contoso.test"]).expect("it is signed");
    let line = |kind: &str| {
        let begin = format!("contoso.test. 3600 IN {kind} ");
        let line = told.lines().find_map(|line| line.strip_prefix(&begin)).unwrap_or_else(|| panic!("{kind}: {told}"));
        line.to_owned()
    };
    (line("DS"), line("DNSKEY"))
}

/// What each name server answers, as delv judges it who trusts this DS record and nothing else.
fn judged(lab: &Installation, place: &Place, ds: &str) -> Vec<String> {
    let debian = Debian::unpack(&Debian::usual_folder(), &["bind9-dnsutils"], &mut |_| {}).expect("Debian's packages");
    let anchors = lab.folder().join("anchors");
    let (numbers, hash) = ds.rsplit_once(' ').expect("four words");
    let text = format!("trust-anchors {{ \"contoso.test\" static-ds {numbers} \"{hash}\"; }};\n");
    fs::write(&anchors, text).expect("written");
    let said = NAMESERVERS.map(|name| {
        let mut command = debian.command_with(place, "usr/bin/delv", &[debian.libraries("bind")]);
        command.arg("-a").arg(&anchors).arg("+root=contoso.test");
        command.arg(format!("@{}", lab.ground.machine(name).external)).args([SRV, "SRV"]);
        let said = command.output().expect("delv runs");
        String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr)
    });
    said.to_vec()
}

/// Both name servers' answers are good, and this pool is first.
fn is_validated(lab: &Installation, place: &Place, ds: &str, first: &str) {
    for said in judged(lab, place, ds) {
        assert!(said.starts_with("; fully validated"), "{said}");
        assert!(said.contains(&format!("SRV\t10 0 5269 {first}.")), "{first}: {said}");
    }
}

/// A name server that starts with a clock weeks behind signs what nobody believes any more. As soon as its clock is put right it
/// signs anew, whether controllers reach it or not.
fn its_clock_goes_wrong(lab: &mut Installation, place: &Place, ds: &str) {
    let debian = Debian::unpack(&Debian::usual_folder(), PACKAGES, &mut |_| {}).expect("Debian's packages");
    CONTROLLERS.iter().for_each(|controller| lab.kill(controller));
    let clock = Clock::new(&debian, &lab.folder().join(NAMESERVERS[0]).join("clock")).expect("a clock");
    clock.jump(-20 * 24 * 3600).expect("it is set");
    lab.kill(NAMESERVERS[0]);
    lab.clocks.insert(NAMESERVERS[0], clock.clone());
    lab.begin(NAMESERVERS[0]).expect("it starts from its disk");
    let said = judged(lab, place, ds);
    assert!(said[0].contains("expired") && !said[0].contains("validated"), "{}", said[0]);
    assert!(said[1].starts_with("; fully validated"), "the other's clock is right: {}", said[1]);
    clock.jump(0).expect("it is set");
    let daemon = lab.daemons.get_mut(NAMESERVERS[0]).expect("it runs");
    daemon.wait_for_line("signs zones anew", PATIENCE).expect("it looks at its clock");
    is_validated(lab, place, ds, &fqdn("pool2"));
    for controller in CONTROLLERS {
        lab.begin(controller).expect("it starts again");
    }
    lab.wait_until_well().expect("all is well again");
}

#[test]
fn a_zone_is_signed_moved_unsigned_and_gets_another_key() {
    let (place, folder) = (Place::isolated().expect("root"), tempfile::tempdir().expect("a folder"));
    let peer = Peer { kind: Kind::Prosody, authentication: External };
    let plan = LabPlan { publisher: Publisher::Embedded, ..LabPlan::new(peer, &[(FABRIKAM, peer)]) };
    let (ground, programs) = (Ground::loopback(place.clone()), Programs::built().expect("they are built"));
    let lab = Installation::lead(ground, &plan, StoreKind::Sqlite, programs, folder.path(), &mut |_| {});
    let mut lab = lab.expect("an installation");
    lab.wait_until_well().expect("all is well");
    let refused = lab.try_fedge(&["dns", "ds"]).expect("it runs");
    assert_eq!(refused.status.code(), Some(2), "nothing is signed: {refused:?}");

    publish(&lab, PLAIN, SIGNED);
    let (ds, key) = told(&lab);
    assert!(key.starts_with("257 3 13 "), "{key}");
    is_validated(&lab, &place, &ds, &fqdn("pool1"));
    let (status, said) = route(&lab, &["switchover", "--to", &fqdn("pool2"), "--accept", "next-hops"]);
    assert_eq!(status, Some(0), "{said}");
    is_validated(&lab, &place, &ds, &fqdn("pool2"));
    for name in NAMESERVERS {
        lab.kill(name);
        lab.begin(name).expect("it starts again");
    }
    lab.wait_until_well().expect("all is well");
    is_validated(&lab, &place, &ds, &fqdn("pool2"));

    let refused = lab.try_fedge(&["dns", "forget-key", "contoso.test"]).expect("it runs");
    assert_eq!(refused.status.code(), Some(2), "it is in use: {refused:?}");
    publish(&lab, SIGNED, PLAIN);
    for said in judged(&lab, &place, &ds) {
        assert!(!said.contains("validated"), "without signatures, a parent with a DS record is wrong: {said}");
    }
    publish(&lab, PLAIN, SIGNED);
    assert_eq!(told(&lab).0, ds, "the same key");
    is_validated(&lab, &place, &ds, &fqdn("pool2"));
    publish(&lab, SIGNED, PLAIN);
    lab.fedge(&["dns", "forget-key", "contoso.test", "--why", "a name server was stolen"]).expect("it isn't in use");
    publish(&lab, PLAIN, SIGNED);
    let (other, _) = told(&lab);
    assert_ne!(other, ds);
    is_validated(&lab, &place, &other, &fqdn("pool2"));
    its_clock_goes_wrong(&mut lab, &place, &other);
    lab.fedge(&["audit", "verify"]).expect("the trail is whole");
    lab.stop().expect("everything ends well");
}
