//! What these tests share: a laboratory, and what has to be true of its internal server afterwards.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::lab::{Kind, Lab, LabPlan, Peer};
use testkit::packages::Debian;
use testkit::place::{self, Place};
use testkit::process::Daemon;
use testkit::server::Authentication::External;

/// For anything to happen on a machine that does much else.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How often a message is sent.
pub(super) const PACE: Duration = Duration::from_millis(100);

/// A Prosody that takes certificates only.
pub(super) const PROSODY: Peer = Peer { kind: Kind::Prosody, authentication: External };

pub(super) struct Rig {
    pub(super) lab: Lab,
    pub(super) place: Place,
    _folder: tempfile::TempDir,
}

impl Rig {
    /// Prosody inside, and one for each of these partners. `more` is configuration.
    pub(super) fn start(partners: &[&'static str], more: &str) -> Rig {
        let partners: Vec<_> = partners.iter().map(|partner| (*partner, PROSODY)).collect();
        let plan = LabPlan { more: more.to_owned(), ..LabPlan::new(PROSODY, &partners) };
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::isolated().expect("a namespace");
        let lab = Lab::start(place.clone(), &plan, folder.path(), &mut |_| {}).expect("a laboratory");
        Rig { lab, place, _folder: folder }
    }

    /// Does `work` in the laboratory's network.
    pub(super) fn run<F: Future<Output = Rig>>(self, work: impl FnOnce(Rig) -> F + Send + 'static) -> Rig {
        let place = self.place.clone();
        place.run(move || work(self))
    }

    pub(super) async fn login(&self, jid: &str) -> Client {
        self.lab.login(jid).await.expect("a login")
    }

    /// Where that partner's server takes STARTTLS.
    pub(super) fn server(&self, domain: &str) -> SocketAddr {
        SocketAddr::new(self.lab.layout.server(domain).address, 5269)
    }

    /// Waits until the internal server's stream to fedge for that domain is up.
    pub(super) async fn internal_stream(&self, partner: &str) {
        let pair = format!("contoso.test -> {partner}");
        let up = async {
            while !self.streams().iter().any(|line| line.contains("internal") && line.contains(&pair)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, up).await.expect("the internal server's stream comes up");
    }

    pub(super) fn streams(&self) -> Vec<String> {
        let streams = self.lab.ask(&["streams"]).expect("streams");
        streams.lines().map(str::to_owned).collect()
    }

    /// The internal server noticed nothing: it made one connection to fedge for each of so many domain
    /// pairs, which all are still up, and it bounced nothing.
    pub(super) fn assert_unnoticed(&self, pairs: usize) {
        let log = |daemon: &Daemon| std::fs::read_to_string(daemon.log()).expect("a log");
        let server = log(&self.lab.servers[0].daemons[0]);
        let lines = |words: &str| server.lines().filter(|line| line.contains(words)).count();
        assert_eq!(lines("Outgoing s2s connection"), pairs, "each came up once, and nothing else is said:\n{server}");
        assert_eq!((lines("Sending error replies"), lines("closed: ")), (0, 0), "{server}");
        let edge = log(&self.lab.fedge_edge);
        let closed = edge.lines().filter(|line| line.contains("stream closed face=internal"));
        assert_eq!(closed.count(), 0, "{edge}");
        let internal = self.streams().iter().filter(|line| line.contains("internal  accepted")).count();
        assert_eq!(internal, pairs, "{:?}", self.streams());
    }

    /// What fedge says of the stanzas that came in on that face once nothing is in flight: clients have a
    /// stanza before fedge hears that their server does.
    pub(super) fn settled_counts(&self, face: &str) -> String {
        let began = Instant::now();
        loop {
            let counts = self.counts(face);
            if counts.ends_with(" 0 in flight") || began.elapsed() > SETTLE {
                return counts;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What fedge says of the stanzas that came in on that face.
    pub(super) fn counts(&self, face: &str) -> String {
        let status = self.lab.ask(&["status"]).expect("a status");
        let mut lines = status.lines().skip_while(|line| !line.starts_with(face));
        let counts = lines.find_map(|line| line.trim().strip_prefix("stanzas that came in: "));
        counts.expect("the face's counts").to_owned()
    }
}

/// For fedge to hear what servers have taken.
const SETTLE: Duration = Duration::from_secs(20);

/// The packet filter.
pub(super) fn debian() -> Debian {
    Debian::unpack(&Debian::usual_folder(), place::PACKAGES, &mut |_| {}).expect("Debian's nftables")
}
