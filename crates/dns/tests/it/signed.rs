//! Signed zones as those see them who validate: Debian's delv, which asks by itself, and unbound, a resolver; at a clock that
//! stands where a test wants it, and through moves of the route.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use agent::zone_key::ZoneKey;
use api::agent::content::Secret;
use daemon::desk::unix;
use dns::listen::Listener;
use dns::zone::service::Authority;
use dns::zone::{Signing, Zones};
use hickory_proto::op::{Message, ResponseCode as Code};
use hickory_proto::rr::RecordType as T;
use testkit::packages::Debian;
use testkit::place::Place;
use tokio::runtime::Runtime;
use topology::document::Topology;
use topology::records::{Mark, Published};

use crate::clients::{Unbound, debian};
use crate::rig::{query, tcp, udp, with_edns};
use crate::zones::{DOCUMENT, Served, signed_snapshot};

const SRV: &str = "_xmpp-server._tcp.contoso.test.";
/// Seconds.
const DAY: u64 = 86400;

/// The topology with its zone signed.
fn signed() -> String {
    DOCUMENT.replace("publisher = \"embedded\"", "publisher = \"embedded\"\nsigned = true")
}

/// The same with another signed zone, in which the records are that the domain's are aliases of.
fn across() -> String {
    let other = "[names]\nalias = \"fed.adatum.test\"\n[[zone]]\nname = \"adatum.test\"\npublisher = \"embedded\"\nsigned = true\n";
    signed().replace("[[local]]", &format!("{other}[[local]]"))
}

fn drawn() -> BTreeMap<String, Secret> {
    ["contoso.test.", "adatum.test."].map(|zone| (zone.to_owned(), ZoneKey::draw().expect("randomness"))).into()
}

fn key(drawn: &BTreeMap<String, Secret>, zone: &str) -> ZoneKey {
    ZoneKey::read(&drawn[zone]).expect("a key")
}

fn now() -> u64 {
    unix(SystemTime::now())
}

/// The zones of a topology while the first pool has the route, signed at a moment.
fn zones(document: &str, drawn: &BTreeMap<String, Secret>, now: u64) -> Zones {
    let topology = Topology::read("topology", document).expect("no fault");
    let mark = Mark { owner: "a1b2".to_owned(), epoch: 1, topology: 1 };
    let keys = drawn.keys().map(|zone| (zone.clone(), key(drawn, zone))).collect();
    Zones::new(&Published::of(&topology), "pool1.contoso.test", &mark, &Signing { keys, now }).expect("they are good")
}

/// Answers from zones on this machine, in this process.
struct Here {
    authority: Arc<Authority>,
    listener: Listener,
    _runtime: Runtime,
}

impl Here {
    fn serve(zones: Zones) -> Here {
        let runtime = Runtime::new().expect("threads");
        let authority = Authority::new(Arc::default());
        authority.replace(zones);
        let address = "127.0.0.1:0".parse().expect("an address");
        let listener = runtime.block_on(Listener::open_zones(address, &authority)).expect("a port");
        Here { authority, listener, _runtime: runtime }
    }

    fn address(&self) -> SocketAddr {
        self.listener.address()
    }
}

/// What delv says who trusts the key of contoso.test and nothing else.
struct Delv {
    debian: Debian,
    server: SocketAddr,
    anchors: tempfile::NamedTempFile,
}

impl Delv {
    fn new(server: SocketAddr, key: &ZoneKey) -> Delv {
        let anchors = tempfile::NamedTempFile::new().expect("a file");
        let own = key.own();
        let (numbers, point) = own.rsplit_once(' ').expect("four words");
        let text = format!("trust-anchors {{ \"contoso.test\" static-key {numbers} \"{point}\"; }};\n");
        std::fs::write(anchors.path(), text).expect("written");
        Delv { debian: debian(), server, anchors }
    }

    fn ask(&self, name: &str, kind: &str) -> String {
        let (ip, port) = (self.server.ip(), self.server.port());
        let mut command = self.debian.command_with(&Place::here(), "usr/bin/delv", &[self.debian.libraries("bind")]);
        command.arg("-a").arg(self.anchors.path()).args([
            "+root=contoso.test",
            &format!("@{ip}"),
            "-p",
            &port.to_string(),
        ]);
        let said = command.args([name, kind]).output().expect("delv runs");
        String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr)
    }
}

#[test]
fn what_is_there_and_what_is_not_is_validated() {
    let drawn = drawn();
    let here = Here::serve(zones(&signed(), &drawn, now()));
    let delv = Delv::new(here.address(), &key(&drawn, "contoso.test."));
    for (name, kind) in [
        (SRV, "SRV"),
        ("pool1.contoso.test.", "A"),
        ("dns1.contoso.test.", "A"),
        ("contoso.test.", "NS"),
        ("contoso.test.", "SOA"),
        ("contoso.test.", "DNSKEY"),
        ("contoso.test.", "NSEC"),
        ("_epoch.contoso.test.", "TXT"),
        ("_EPOCH.Contoso.TEST.", "TXT"),
    ] {
        let said = delv.ask(name, kind);
        assert!(said.starts_with("; fully validated"), "{name} {kind}: {said}");
    }
    // No such type: where there are others, and where there are only names below.
    for (name, kind) in
        [("contoso.test.", "MX"), ("pool1.contoso.test.", "AAAA"), (SRV, "A"), ("_tcp.contoso.test.", "SRV")]
    {
        let said = delv.ask(name, kind);
        assert!(said.starts_with("; negative response, fully validated"), "{name} {kind}: {said}");
        assert!(said.contains("NXRRSET"), "{name} {kind}: {said}");
    }
    // No such name: before all, between, behind all, below one that is there and below one that has only names below.
    for name in ["\\000", "!", "a", "pool1a", "zz", "\\255", "x.y.pool1", "x._tcp", "*", "*._tcp", "a.b.c.d"] {
        let name = format!("{name}.contoso.test.");
        let said = delv.ask(&name, "A");
        assert!(said.starts_with("; negative response, fully validated"), "{name}: {said}");
        assert!(said.contains("NXDOMAIN"), "{name}: {said}");
    }
}

#[test]
fn signatures_hold_for_two_weeks_and_are_made_anew_before() {
    let (drawn, now) = (drawn(), now());
    let here = Here::serve(zones(&signed(), &drawn, now - 15 * DAY));
    let delv = Delv::new(here.address(), &key(&drawn, "contoso.test."));
    let said = delv.ask(SRV, "SRV");
    assert!(said.contains("expired") && !said.contains("validated"), "{said}");
    assert!(here.authority.is_due(now), "long ago");
    here.authority.replace(zones(&signed(), &drawn, now + 2 * 3600));
    let said = delv.ask(SRV, "SRV");
    assert!(!said.contains("; fully validated"), "of a clock that goes before: {said}");
    assert!(here.authority.is_due(now), "the clock was put right");
    for made in [now - 13 * DAY, now - 7 * DAY + 60, now, now + 1800] {
        here.authority.replace(zones(&signed(), &drawn, made));
        let said = delv.ask(SRV, "SRV");
        assert!(said.starts_with("; fully validated"), "{made} {now}: {said}");
        assert_eq!(here.authority.is_due(now + 60), made + 7 * DAY <= now + 60, "{made} {now}");
    }
}

#[test]
fn a_strangers_key_is_not_believed() {
    let (drawn, other) = (drawn(), drawn());
    let here = Here::serve(zones(&signed(), &drawn, now()));
    let said = Delv::new(here.address(), &key(&other, "contoso.test.")).ask(SRV, "SRV");
    assert!(!said.contains("validated"), "{said}");
}

fn wanting_signatures(name: &str, kind: T, size: u16) -> Message {
    let mut query = with_edns(query(name, kind), size);
    query.edns.as_mut().expect("it is there").set_dnssec_ok(true);
    query
}

#[test]
fn a_resolver_validates_aliases_that_lead_into_another_zone() {
    let (drawn, folder) = (drawn(), tempfile::tempdir().expect("a folder"));
    let here = Here::serve(zones(&across(), &drawn, now()));
    let anchor = |zone| Some(format!("{zone} DS {}", key(&drawn, zone).parents(zone)));
    let zones = [("contoso.test.", anchor("contoso.test.")), ("adatum.test.", anchor("adatum.test."))];
    let unbound = Unbound::validating(&debian(), &zones, here.address(), folder.path());
    let ask = |name: &str, kind| udp(unbound.address, &wanting_signatures(name, kind, 1232));
    let said = ask(SRV, T::SRV);
    assert_eq!((said.response_code, said.authentic_data), (Code::NoError, true), "{said:?}");
    let kinds: Vec<T> = said.answers.iter().map(hickory_proto::rr::Record::record_type).collect();
    assert_eq!(kinds, [T::CNAME, T::RRSIG, T::SRV, T::SRV, T::RRSIG], "{said:?}");
    // What it leads to has no such records; and whatever else isn't there in either zone.
    let said = ask(SRV, T::A);
    assert_eq!((said.response_code, said.authentic_data), (Code::NoError, true), "{said:?}");
    let labels = (0..200).map(|number: u32| {
        format!("{:x}.{}", number.wrapping_mul(0x9e37_79b9), ["contoso", "fed.adatum"][number as usize % 2])
    });
    for label in labels {
        let said = ask(&format!("{label}.test."), T::SRV);
        assert_eq!((said.response_code, said.authentic_data), (Code::NXDomain, true), "{label}: {said:?}");
    }
}

#[test]
fn who_wants_no_signatures_gets_none_and_what_there_was_without() {
    let (drawn, now) = (drawn(), now());
    for document in [signed(), across()] {
        let plain = Here::serve(zones(&document.replace("signed = true", "signed = false"), &drawn, now));
        let signed = Here::serve(zones(&document, &drawn, now));
        let names = [
            SRV,
            "contoso.test.",
            "pool1.contoso.test.",
            "_tcp.contoso.test.",
            "x.contoso.test.",
            "_epoch.adatum.test.",
        ];
        for (name, kind) in
            names.iter().flat_map(|name| [T::SRV, T::A, T::NS, T::TXT, T::ANY, T::MX].map(|kind| (name, kind)))
        {
            let query = with_edns(query(name, kind), 1232);
            assert_eq!(udp(plain.address(), &query), udp(signed.address(), &query), "{name} {kind}");
        }
        let wanting = wanting_signatures("contoso.test.", T::SOA, 1232);
        assert_eq!(udp(plain.address(), &wanting).answers.len(), 1, "there are none");
        let said = udp(signed.address(), &wanting);
        assert_eq!((said.answers.len(), said.authentic_data, said.checking_disabled), (2, false, false), "{said:?}");
    }
}

#[test]
fn what_is_asked_for_by_name_is_said_and_what_does_not_fit_by_tcp() {
    let drawn = drawn();
    let here = Here::serve(zones(&signed(), &drawn, now()));
    let said = udp(here.address(), &query("contoso.test.", T::DNSKEY));
    assert_eq!(said.answers.len(), 1, "without signatures, which nobody wanted: {said:?}");
    for name in ["contoso.test.", SRV] {
        for kind in [T::NSEC, T::RRSIG] {
            assert_eq!(udp(here.address(), &query(name, kind)).answers.len(), 1, "{name} {kind}");
        }
    }
    let everything = udp(here.address(), &wanting_signatures(SRV, T::ANY, 1232));
    assert_eq!(everything.answers.len(), 3, "one set and its signature: {everything:?}");
    let wanting = |size| wanting_signatures("x.contoso.test.", T::A, size);
    let cut = udp(here.address(), &wanting(512));
    assert_eq!((cut.truncation, cut.response_code, cut.authorities.len()), (true, Code::NXDomain, 0), "{cut:?}");
    let whole = &tcp(here.address(), &[wanting(512)])[0];
    // SOA, what proves that there is no such name, and that there is no wildcard; each signed.
    assert_eq!((whole.truncation, whole.authorities.len()), (false, 6), "{whole:?}");
    assert_eq!(whole.authorities, udp(here.address(), &wanting(1232)).authorities);
    let said = udp(here.address(), &wanting_signatures(SRV, T::SRV, 1232));
    let signatures = said.additionals.iter().filter(|record| record.record_type() == T::RRSIG).count();
    assert_eq!((said.answers.len(), signatures), (3, 2), "addresses come with theirs: {said:?}");
}

#[test]
fn a_zone_without_its_key_is_not_served() {
    let topology = Topology::read("topology", &signed()).expect("no fault");
    let mark = Mark { owner: "a1b2".to_owned(), epoch: 1, topology: 1 };
    let made = Zones::new(&Published::of(&topology), "pool1.contoso.test", &mark, &Signing::default());
    let why = made.expect_err("whoever validates would refuse it").to_string();
    assert_eq!(why, "the zone contoso.test. is to be signed, and has no key");
}

/// While the route moves to and fro, and after a start without anybody.
#[test]
fn a_resolver_validates_at_each_moment_of_a_move() {
    let (drawn, folder) = (drawn(), tempfile::tempdir().expect("a folder"));
    let mut served = Served::new(&signed_snapshot(&across(), 1, 1, &drawn));
    let anchor = |zone| Some(format!("{zone} DS {}", key(&drawn, zone).parents(zone)));
    let zones = [("contoso.test.", anchor("contoso.test.")), ("adatum.test.", anchor("adatum.test."))];
    let debian = debian();
    let unbound = Unbound::validating(&debian, &zones, served.daemon.address, folder.path());
    let (resolver, reading, moves) = (unbound.address, AtomicBool::new(true), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = std::collections::BTreeSet::new();
            let mut reads = 0;
            while reads < 500 || seen.len() < 2 || moves.load(Ordering::Relaxed) < 50 {
                for (name, kind, code) in [
                    (SRV, T::SRV, Code::NoError),
                    ("_epoch.adatum.test.", T::TXT, Code::NoError),
                    ("_tcp.contoso.test.", T::A, Code::NoError),
                    ("nobody.contoso.test.", T::A, Code::NXDomain),
                ] {
                    let said = udp(resolver, &wanting_signatures(name, kind, 1232));
                    assert_eq!((said.response_code, said.authentic_data), (code, true), "{said:?}");
                    if kind == T::SRV {
                        let services = said.answers.iter().filter(|record| record.record_type() == T::SRV);
                        let first = services.map(|record| record.data.to_string()).min();
                        seen.insert(first.expect("never an empty set"));
                    }
                    reads += 1;
                }
            }
            reading.store(false, Ordering::Relaxed);
        });
        served.lead(|| {
            let epoch = moves.fetch_add(1, Ordering::Relaxed) + 2;
            let going = reading.load(Ordering::Relaxed) && !reader.is_finished();
            going.then(|| signed_snapshot(&across(), 1, epoch, &drawn))
        });
    });
    served.again();
    let folder = tempfile::tempdir().expect("a folder");
    let unbound = Unbound::validating(&debian, &zones, served.daemon.address, folder.path());
    let said = udp(unbound.address, &wanting_signatures(SRV, T::SRV, 1232));
    assert_eq!((said.response_code, said.authentic_data), (Code::NoError, true), "{said:?}");
    let log = format!("{:?}", served.daemon.log());
    assert!(drawn.values().all(|secret| !log.contains(secret.reveal())), "a key is in the log");
}
