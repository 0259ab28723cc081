//! A name server in a place of its own, and a zone as fedge would have it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use testkit::name_server::{Maker, NameServer, Part, ZonePlan};
use testkit::place::Place;
use topology::records::{Change, Contents, Mark, RecordSet, difference};
use topology::zone::{Publisher, Zone};
use zones::key::Key;
use zones::observe::{Seen, observe};
use zones::update::Primary;

/// Those that sign what they refuse, and have secondaries.
pub(crate) const MAKERS: [Maker; 2] = [Maker::Bind, Maker::Knot];
/// All in which of two who want to change a zone at once one does.
pub(crate) const SWAPPERS: [Maker; 3] = [Maker::Bind, Maker::Knot, Maker::PowerDns];
pub(crate) const ZONE: &str = "contoso.test";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
const OWNER: &str = "a1b2c3";

pub(crate) struct Rig {
    pub(crate) place: Place,
    _server: NameServer,
    pub(crate) primary: Primary,
    pub(crate) folder: TempDir,
}

/// Where the primary is in its place.
pub(crate) fn address() -> SocketAddr {
    ([127, 0, 20, 1], 53).into()
}

pub(crate) fn key(folder: &Path) -> Key {
    Key::read(&folder.join("fedge.key")).expect("it is a key").remove(0)
}

impl Rig {
    pub(crate) fn new(maker: Maker) -> Rig {
        let targets = ["pool1.contoso.test", "pool2.contoso.test"];
        Rig::with(maker, &ZonePlan::new(ZONE, &[ZONE, "conference.contoso.test"], &targets), &[])
    }

    pub(crate) fn with(maker: Maker, plan: &ZonePlan, secondaries: &[SocketAddr]) -> Rig {
        let (place, folder) = (Place::isolated().expect("a place"), tempfile::tempdir().expect("a folder"));
        let part = Part::Primary(secondaries.to_vec());
        let server = NameServer::start(maker, &place, address(), &part, std::slice::from_ref(plan), folder.path());
        let server = server.unwrap_or_else(|error| panic!("{error:#}"));
        let primary = Primary::new(address(), &format!("{}.", plan.name), key(folder.path()));
        Rig { place, _server: server, primary, folder }
    }

    /// Runs this where the server is.
    pub(crate) fn run<T: Send + 'static>(&self, what: impl Future<Output = T> + Send + 'static) -> T {
        self.place.enter(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("a runtime").block_on(what)
        })
    }

    pub(crate) fn see(&self, contents: &Contents) -> Seen {
        let contents = contents.clone();
        self.run(async move { observe(address(), &contents, &[], PATIENCE).await.expect("it answers") })
    }
}

pub(crate) fn mark(epoch: u64) -> Mark {
    Mark { owner: OWNER.to_owned(), epoch, topology: 1 }
}

pub(crate) fn set(name: &str, kind: &str, values: &[&str]) -> RecordSet {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    RecordSet { name: name.to_owned(), kind: kind.to_owned(), ttl: 30, values }
}

/// What the zone holds at that epoch: with an odd one the first pool has the route.
pub(crate) fn contents(epoch: u64) -> Contents {
    let pools = if epoch % 2 == 1 { ["pool1", "pool2"] } else { ["pool2", "pool1"] };
    let values = [10, 20].iter().zip(pools).map(|(place, pool)| format!("{place} 0 5269 {pool}.contoso.test."));
    let values: Vec<String> = values.collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    Contents {
        zone: zone(ZONE),
        mark: mark(epoch),
        sets: vec![
            set("_xmpp-server._tcp.contoso.test.", "SRV", &values),
            set("_xmpp-server._tcp.conference.contoso.test.", "SRV", &values),
            set("pool1.contoso.test.", "A", &["192.0.2.1", "192.0.2.2"]),
            set("pool1.contoso.test.", "AAAA", &["2001:db8::1"]),
            set("pool2.contoso.test.", "A", &["198.51.100.1"]),
            set("_5269._tcp.pool1.contoso.test.", "TLSA", &[&format!("3 1 1 {}", "5c".repeat(32))]),
        ],
    }
}

pub(crate) fn zone(name: &str) -> Zone {
    Zone { name: format!("{name}."), publisher: Publisher::Manual { servers: Vec::new() } }
}

/// What leads from one epoch to the next.
pub(crate) fn changes(from: Option<u64>, to: u64) -> Vec<Change> {
    let before = from.map(|epoch| contents(epoch).sets).unwrap_or_default();
    difference(&contents(to).sets, &before, &[])
}

/// Both say the same, in whatever order.
pub(crate) fn is_whole(seen: &Seen, contents: &Contents) -> bool {
    difference(&contents.sets, &seen.sets, &[]).is_empty() && seen.mark.mark() == Some(&contents.mark)
}
