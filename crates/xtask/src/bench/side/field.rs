//! Everything that runs to be measured: fedge in both shapes, others in its place, and the servers at the far end.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tempfile::TempDir;
use testkit::fedge::Programs;
use testkit::lab::CONTOSO;
use testkit::lab::played::Sink;
use testkit::lab::split::{Post, Rival};
use testkit::packages::Debian;
use testkit::pki::Issued;
use testkit::place::Place;
use testkit::process::Daemon;

use crate::bench::memory::resident;
pub(super) use crate::bench::site::MANY;
use crate::bench::site::{Shape, Site, partner_at, processor_time};

const HAPROXY: SocketAddr = at(1);
const XMPP_PROXY: SocketAddr = at(2);
/// The server behind xmpp-proxy.
const PLAIN: SocketAddr = at(3);

const fn at(host: u8) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 6, host)), 15269)
}

/// How stanzas get from one server to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Way {
    /// From one end to the other, with TLS between them.
    Direct,
    /// The same through HAProxy, which hands on TCP.
    Haproxy,
    /// xmpp-proxy ends TLS and hands on plaintext.
    XmppProxy,
    /// Through both faces of a fedge-edge.
    Fedge,
    /// Through a fedge-gateway and a fedge-edge.
    Trunk,
}

impl Way {
    const ALL: [Way; 5] = [Way::Direct, Way::Haproxy, Way::XmppProxy, Way::Fedge, Way::Trunk];

    fn rival(self) -> Option<Rival> {
        match self {
            Way::Haproxy => Some(Rival::Haproxy),
            Way::XmppProxy => Some(Rival::XmppProxy),
            Way::Direct | Way::Fedge | Way::Trunk => None,
        }
    }

    fn shape(self) -> Option<Shape> {
        match self {
            Way::Fedge => Some(Shape::One),
            Way::Trunk => Some(Shape::Two),
            Way::Direct | Way::Haproxy | Way::XmppProxy => None,
        }
    }

    /// Where the sending server connects to.
    pub(super) fn entrance(self) -> SocketAddr {
        match self {
            Way::Direct => partner_at(1),
            Way::Haproxy => HAPROXY,
            Way::XmppProxy => XMPP_PROXY,
            Way::Fedge => Shape::One.internal_face(),
            Way::Trunk => Shape::Two.internal_face(),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Direct => "direct",
            Way::Haproxy => "HAProxy",
            Way::XmppProxy => "xmpp-proxy",
            Way::Fedge => "fedge",
            Way::Trunk => "fedge with trunk",
        })
    }
}

/// What is started: fedge's programs, and others beside them.
#[derive(Debug, Clone)]
pub(super) struct Things {
    programs: Programs,
    debian: Debian,
    ways: Vec<Way>,
}

impl Things {
    /// Builds and fetches them, for all ways or for those that are wanted. If it is to be quick, only what a test may take the
    /// time for: fedge without optimisation, and nothing beside it that would have to be compiled.
    pub(super) fn provide(quick: bool, wanted: &[Way]) -> anyhow::Result<Things> {
        println!(
            "building fedge {}, and providing what is beside it",
            if quick { "for tests" } else { "as it is released" }
        );
        let programs = if quick { Programs::built()? } else { Programs::released()? };
        let is_meant = |way: &Way| matches!(way, Way::Direct | Way::Fedge) || wanted.is_empty() || wanted.contains(way);
        let ways: Vec<Way> =
            Way::ALL.into_iter().filter(is_meant).filter(|way| !quick || *way != Way::XmppProxy).collect();
        let rivals = || ways.iter().filter_map(|way| way.rival());
        rivals().try_for_each(Rival::provide)?;
        let packages: Vec<&str> = rivals().flat_map(|rival| rival.packages().iter().copied()).collect();
        let debian = Debian::unpack(&Debian::usual_folder(), &packages, &mut |what| println!("  {what}"))?;
        Ok(Things { programs, debian, ways })
    }

    /// All ways, in their order: direct is the first.
    pub(super) fn ways(&self) -> &[Way] {
        &self.ways
    }
}

/// All of it. Dropping it ends it.
pub(super) struct Field {
    site: Site,
    plain: Sink,
    rivals: Vec<(Way, Daemon)>,
    _folder: TempDir,
}

impl Field {
    /// Starts it with so many partners, at most 200, for as many links.
    pub(super) async fn start(things: &Things, partners: usize) -> anyhow::Result<Field> {
        let folder = tempfile::Builder::new().prefix("fedge-bench-").tempdir()?;
        let site = Site::start(&things.programs, partners, folder.path()).await?;
        let plain = Sink::start_plain(PLAIN, CONTOSO, CONTOSO).await?;
        let certificate = site.contosos.write(folder.path(), "rivals")?;
        let mut rivals = Vec::new();
        for &way in &things.ways {
            let Some(rival) = way.rival() else { continue };
            let next_hop = if way == Way::XmppProxy { PLAIN } else { partner_at(1) };
            let (listen, log) = (way.entrance(), folder.path().join(format!("{rival}.log")));
            let post = Post { place: &Place::here(), listen, next_hop, certificate: &certificate };
            rivals.push((way, rival.start(&things.debian, &post, folder.path(), &log)?));
        }
        Ok(Field { site, plain, rivals, _folder: folder })
    }

    /// The domain that the link of this number, from 0, leads to.
    pub(super) fn domain(&self, number: usize) -> &str {
        &self.site.partners[number].0
    }

    /// Who takes what is sent on that link this way.
    pub(super) fn sink(&self, way: Way, number: usize) -> &Sink {
        match way {
            // These don't look where a stanza is to go, and have one server behind them.
            Way::Direct | Way::Haproxy => &self.site.partners[0].1,
            Way::XmppProxy => &self.plain,
            Way::Fedge | Way::Trunk => &self.site.partners[number].1,
        }
    }

    /// What the sending server proves itself by.
    pub(super) fn identity(&self) -> &Issued {
        &self.site.contosos
    }

    /// The processes between the two servers.
    fn processes(&self, way: Way) -> Vec<u32> {
        match way.shape() {
            Some(shape) => self.site.processes(shape),
            None => self.rivals.iter().filter(|(other, _)| *other == way).map(|(_, daemon)| daemon.pid()).collect(),
        }
    }

    /// The processor time that they have used so far.
    pub(super) fn used(&self, way: Way) -> anyhow::Result<Duration> {
        self.processes(way).iter().map(|process| processor_time(&process.to_string())).sum()
    }

    /// The memory that they have now, in bytes.
    pub(super) fn memory(&self, way: Way) -> anyhow::Result<u64> {
        self.processes(way).into_iter().map(resident).sum()
    }

    /// Who takes what is sent this way to domains below [`MANY`].
    pub(super) fn sink_of_many(&self, way: Way) -> &Sink {
        match way {
            Way::Fedge | Way::Trunk => &self.site.many,
            Way::Direct | Way::Haproxy | Way::XmppProxy => self.sink(way, 0),
        }
    }

    /// Ends fedge as an administrator would, and the others.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.plain.stop().await;
        self.site.stop().await
    }
}
