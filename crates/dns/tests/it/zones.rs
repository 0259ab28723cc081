//! Zones as a real `fedge-dns` serves them under controllers: what comes with a snapshot, over both transports, through moves
//! of the route and starts without anybody.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use agent::state::Kept;
use api::agent::content::{Content as _, Dns, Secret};
use api::agent::view::Secrets;
use api::agent::{Digest, Route};
use hickory_proto::op::{Message, ResponseCode as Code};
use hickory_proto::rr::RecordType as T;
use nix::sys::signal::Signal;
use topology::document::Topology;

use crate::controlled::Site;
use crate::rig::{Daemon, ask, query, tcp};

const FQDN: &str = "dns1.contoso.test";
const SRV: &str = "_xmpp-server._tcp.contoso.test.";
const MARK: &str = "_epoch.contoso.test.";
const POOLS: [&str; 2] = ["pool1.contoso.test", "pool2.contoso.test"];

pub(crate) const DOCUMENT: &str = r#"
[installation]
name = "Contoso"
[[site]]
name = "Site1"
[[pool]]
fqdn = "pool1.contoso.test"
site = "Site1"
[[pool]]
fqdn = "pool2.contoso.test"
site = "Site1"
[[edge]]
fqdn = "edge1.contoso.test"
pool = "pool1.contoso.test"
external = ["203.0.113.1"]
internal = ["10.1.0.1"]
[[edge]]
fqdn = "edge2.contoso.test"
pool = "pool2.contoso.test"
external = ["203.0.113.2"]
internal = ["10.1.0.2"]
[[gateway]]
fqdn = "gateway1.contoso.test"
site = "Site1"
internal = ["10.0.0.7"]
[[dns]]
fqdn = "dns1.contoso.test"
site = "Site1"
internal = ["10.0.0.11"]
external = ["192.0.2.53"]
[[dns]]
fqdn = "dns2.contoso.test"
site = "Site1"
internal = ["10.0.0.12"]
[[controller]]
fqdn = "control1.contoso.test"
site = "Site1"
internal = ["10.0.0.9"]
[route]
pools = ["pool1.contoso.test", "pool2.contoso.test"]
[[zone]]
name = "contoso.test"
publisher = "embedded"
[[local]]
domains = ["contoso.test"]
next_hop = "10.0.0.20"
[[partner]]
domains = ["fabrikam.test"]
"#;

/// What a controller sends in that epoch: each moves the route to the other pool.
pub(crate) fn snapshot(document: &str, version: u64, epoch: u64) -> Kept {
    signed_snapshot(document, version, epoch, &BTreeMap::new())
}

/// The same with these keys of zones.
pub(crate) fn signed_snapshot(document: &str, version: u64, epoch: u64, zones: &BTreeMap<String, Secret>) -> Kept {
    let topology = Topology::read("topology", document).expect("no fault");
    let secrets = Secrets { zones, ..Secrets::NONE };
    let content = api::agent::view::view(&topology, &secrets, &FQDN.parse().expect("a name")).expect("a member");
    let route = Route { epoch, pool: routed(epoch).to_owned() };
    Kept::new("a1b2", FQDN, (version, document), route, content)
}

/// The pool with the route.
fn routed(epoch: u64) -> &'static str {
    POOLS[usize::try_from((epoch + 1) % 2).expect("0 or 1")]
}

fn config(site: &Site, most: u32) -> String {
    let state = site.folder.path().join("state");
    format!(
        "[log]\nlevel = 'info'\nformat = 'json'\n[control]\nlisten = ['127.0.0.1:0']\nstate = {state:?}\n\
         [zones]\nlisten = ['127.0.0.1:0']\nresponses_per_second = {most}\n"
    )
}

/// A server that is enrolled, with its first snapshot, and nobody there yet.
fn enrolled(most: u32) -> (Site, Digest) {
    let site = Site::new();
    let key = site.enrol_by(&config(&site, most), &snapshot(DOCUMENT, 1, 1));
    (site, key)
}

/// A server at work, without a controller and without a limit.
pub(crate) struct Served {
    pub(crate) daemon: Daemon,
    key: Digest,
    site: Site,
}

impl Served {
    pub(crate) fn new(first: &Kept) -> Served {
        let site = Site::new();
        let key = site.enrol_by(&config(&site, 0), first);
        Served { daemon: start(&site, 0), key, site }
    }

    /// Has a controller send it snapshots, for as long as there is another.
    pub(crate) fn lead(&self, mut next: impl FnMut() -> Option<Kept>) {
        let mut connection = self.site.dial(&self.daemon, self.key).expect("a controller");
        while let Some(snapshot) = next() {
            self.site.runtime.block_on(connection.snapshot(&snapshot)).expect("taken");
        }
    }

    /// Kills it, and starts it again with nobody there.
    pub(crate) fn again(&mut self) {
        self.daemon.signal(Signal::SIGKILL);
        self.daemon.ended();
        self.daemon = start(&self.site, 0);
    }
}

fn start(site: &Site, most: u32) -> Daemon {
    Daemon::start_saying(&config(site, most), None, "serves zones")
}

/// The pool that is first, and the epoch that a mark tells.
fn first(said: &Message) -> String {
    assert_eq!((said.response_code, said.authoritative, said.answers.len()), (Code::NoError, true, 2), "{said:?}");
    let values: Vec<String> = said.answers.iter().map(|record| record.data.to_string()).collect();
    let first = values[0].strip_prefix("10 0 5269 ").and_then(|target| target.strip_suffix('.'));
    let first = first.unwrap_or_else(|| panic!("{values:?}"));
    let other = POOLS.iter().find(|pool| **pool != first).expect("another");
    assert_eq!(values[1], format!("20 0 5269 {other}."));
    first.to_owned()
}

fn epoch(said: &Message) -> u64 {
    assert_eq!((said.response_code, said.authoritative, said.answers.len()), (Code::NoError, true, 1), "{said:?}");
    let text = said.answers[0].data.to_string();
    text.parse::<topology::records::Mark>().unwrap_or_else(|error| panic!("{error}")).epoch
}

#[test]
fn it_serves_zones_as_controllers_say_and_starts_without_them() {
    let (site, key) = enrolled(0);
    let mut daemon = start(&site, 0);
    let zone = daemon.address;
    assert_eq!(first(&ask(zone, SRV, T::SRV)), "pool1.contoso.test");
    let mut connection = site.dial(&daemon, key).expect("a controller");
    site.runtime.block_on(async {
        connection.snapshot(&snapshot(DOCUMENT, 1, 2)).await.expect("taken");
    });
    assert_eq!(first(&ask(zone, SRV, T::SRV)), "pool2.contoso.test", "from the moment on that it says so");
    assert_eq!(epoch(&ask(zone, MARK, T::TXT)), 2);
    let by_tcp = tcp(zone, &[query(SRV, T::SRV), query("pool2.contoso.test.", T::A), query("contoso.test.", T::AXFR)]);
    assert_eq!(first(&by_tcp[0]), "pool2.contoso.test");
    assert_eq!(by_tcp[1].answers[0].data.to_string(), "203.0.113.2");
    assert_eq!((by_tcp[2].response_code, by_tcp[2].answers.len()), (Code::Refused, 0));

    // A version that adds a domain; and one in which the pool with the route is missing.
    let more = DOCUMENT.replace("[\"contoso.test\"]", "[\"contoso.test\", \"chat.contoso.test\"]");
    let mut lost = snapshot(&more, 3, 2);
    lost.content = lost.content.replace("pool2.contoso.test", "pool3.contoso.test");
    lost.head.content = agent::sha256(lost.content.as_bytes());
    site.runtime.block_on(async {
        connection.snapshot(&snapshot(&more, 2, 2)).await.expect("taken");
        let refused = connection.snapshot(&lost).await.expect_err("no such pool").to_string();
        assert!(refused.contains("pool2.contoso.test, which isn't among the pools that are published"), "{refused}");
    });
    assert_eq!(first(&ask(zone, "_xmpp-server._tcp.chat.contoso.test.", T::SRV)), "pool2.contoso.test");

    daemon.signal(Signal::SIGKILL);
    daemon.ended();
    let daemon = start(&site, 0);
    assert_eq!(first(&ask(daemon.address, SRV, T::SRV)), "pool2.contoso.test");
    assert_eq!(ask(daemon.address, "fabrikam.test.", T::A).response_code, Code::Refused);
}

#[test]
fn a_server_that_partners_do_not_reach_gets_no_zone() {
    let topology = Topology::read("topology", DOCUMENT).expect("no fault");
    let published = |fqdn: &str| {
        let content =
            api::agent::view::view(&topology, &Secrets::NONE, &fqdn.parse().expect("a name")).expect("a member");
        Dns::read(&content).expect("it can be read").published
    };
    assert!(published("dns1.contoso.test").is_some() && published("dns2.contoso.test").is_none());
}

/// With the view and without it; what is on the disk in each case is what the server needs.
#[test]
fn a_server_of_zones_alone_knows_nothing_of_the_inside() {
    const INSIDE: [&str; 3] = ["10.", "gateway1", "next_hop"];
    let alone = DOCUMENT.replace("external = [\"192.0.2.53\"]", "external = [\"192.0.2.53\"]\nview = false");
    let site = Site::new();
    let config = format!("{}[view]\nlisten = ['127.0.0.1:0']\nforward = ['127.0.0.1:9']\n", config(&site, 0));
    let key = site.enrol_by(&config, &snapshot(DOCUMENT, 1, 1));
    let on_disk = || std::fs::read_to_string(site.folder.path().join("state/snapshot")).expect("there is one");
    assert!(INSIDE.iter().all(|inside| on_disk().contains(inside)), "{}", on_disk());
    let daemon = Daemon::start(&config, None);
    let (view, zone) = (daemon.address, daemon.addresses("serves zones")[0]);
    let partner = |address| ask(address, "_xmpp-server._tcp.fabrikam.test.", T::SRV);
    assert_eq!(partner(view).answers.len(), 1);

    let mut connection = site.dial(&daemon, key).expect("a controller");
    site.runtime.block_on(connection.snapshot(&snapshot(&alone, 2, 1))).expect("taken");
    assert!(INSIDE.iter().all(|inside| !on_disk().contains(inside)), "{}", on_disk());
    daemon.line("[view] is there, and the topology has this server answer for zones only");
    let refused = std::net::TcpStream::connect(view).expect_err("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(first(&ask(zone, SRV, T::SRV)), "pool1.contoso.test");
    assert_eq!(partner(zone).response_code, Code::Refused);

    site.runtime.block_on(connection.snapshot(&snapshot(DOCUMENT, 3, 1))).expect("taken");
    let view = daemon.addresses("serves the internal view as controllers say now")[0];
    assert_eq!(partner(view).answers.len(), 1);
}

#[test]
fn one_network_gets_so_much_and_the_rest_by_tcp() {
    let (site, _) = enrolled(20);
    let daemon = start(&site, 20);
    let began = Instant::now();
    let mut truncated = 0;
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(daemon.address).expect("an address");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a time");
    let bytes = query(SRV, T::SRV).to_vec().expect("a query");
    let mut answered = 0;
    for _ in 0..100 {
        socket.send(&bytes).expect("sent");
    }
    let mut buffer = [0; 1500];
    while let Ok(length) = socket.recv(&mut buffer) {
        let said = Message::from_vec(&buffer[..length]).expect("readable");
        answered += 1;
        truncated += usize::from(said.truncation);
        if said.truncation {
            assert!(said.answers.is_empty() && length == bytes.len(), "as long as what was asked");
        }
    }
    // They came in one second or in two.
    assert!(truncated >= 20 && answered < 85, "{truncated} of {answered} in {:?}", began.elapsed());
    assert_eq!(first(&tcp(daemon.address, &[query(SRV, T::SRV)])[0]), "pool1.contoso.test");
}

/// How often each pool was first.
type Seen = BTreeMap<String, u64>;

/// Asks for mark, service and mark until the number is reached, many at once: no answer is empty or half of two, and what a
/// service leads to is of an epoch between the marks around it.
fn read(zone: SocketAddr, reads: u64) -> Seen {
    const AT_ONCE: u16 = 64;
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(zone).expect("an address");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a time");
    let asked = |name: &str, kind, id: u16| {
        let mut message = query(name, kind);
        message.metadata.id = id;
        message.to_vec().expect("a query")
    };
    let (mut seen, mut done, mut last, mut next) = (Seen::new(), 0, 0, 0u16);
    let mut buffer = [0; 1500];
    let mut round = |name: &str, kind: T| {
        // What comes late is of no other round.
        next = next.wrapping_add(AT_ONCE);
        let ids = (0..AT_ONCE).map(|id| next.wrapping_add(id));
        let mut missing: BTreeMap<u16, Vec<u8>> = ids.map(|id| (id, asked(name, kind, id))).collect();
        let mut said = Vec::new();
        while !missing.is_empty() {
            for bytes in missing.values() {
                socket.send(bytes).expect("sent");
            }
            // What is lost on the way is asked again.
            while !missing.is_empty() {
                let Ok(length) = socket.recv(&mut buffer) else { break };
                let message = Message::from_vec(&buffer[..length]).expect("readable");
                if missing.remove(&message.id).is_some() {
                    said.push(message);
                }
            }
        }
        said
    };
    while done < reads {
        let before = round(MARK, T::TXT).iter().map(epoch).min().expect("some");
        let services = round(SRV, T::SRV);
        let after = round(MARK, T::TXT).iter().map(epoch).max().expect("some");
        assert!(last <= before && before <= after, "never back: {last} {before} {after}");
        last = before;
        for service in &services {
            let pool = first(service);
            let possible = (before..=after).any(|epoch| routed(epoch) == pool);
            assert!(possible, "{pool} between epoch {before} and {after}");
            *seen.entry(pool).or_default() += 1;
        }
        done += 3 * u64::from(AT_ONCE);
    }
    seen
}

/// While the route moves to and fro: as many reads as `FEDGE_READS` says, or some of them.
#[test]
fn no_answer_is_empty_or_half_while_the_route_moves() {
    let reads = std::env::var("FEDGE_READS").map_or(100_000, |text| text.parse().expect("a number"));
    let (site, key) = enrolled(0);
    let daemon = start(&site, 0);
    let mut connection = site.dial(&daemon, key).expect("a controller");
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let zone = daemon.address;
            std::thread::spawn(move || read(zone, reads / 2))
        })
        .collect();
    let mut epoch = 1;
    while readers.iter().any(|reader| !reader.is_finished()) {
        epoch += 1;
        let moved = snapshot(DOCUMENT, 1, epoch);
        site.runtime.block_on(connection.snapshot(&moved)).expect("taken");
    }
    for reader in readers {
        let seen = reader.join().expect("nothing was wrong");
        assert!(seen.len() == 2 && seen.values().all(|times| *times > 0), "{seen:?} in {epoch} epochs");
    }
    assert!(epoch > 5, "only {epoch} epochs");
}

#[test]
fn a_member_of_another_role_gets_none_of_it() {
    let topology = Topology::read("topology", DOCUMENT).expect("no fault");
    for fqdn in ["edge1.contoso.test", "gateway1.contoso.test"] {
        let content =
            api::agent::view::view(&topology, &Secrets::NONE, &fqdn.parse().expect("a name")).expect("a member");
        assert!(!content.contains("published"), "{fqdn}");
    }
}
