//! One run: a sender, a partner with a bad first target and a good second one, a message a second.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use testkit::client::Client;
use testkit::lab::paced::{Paced, paced};
use testkit::lab::target::{BadTarget, Workshop};
use testkit::lab::{CONTOSO, FABRIKAM, Kind, Lab, LabPlan, Layout, Peer, Spot};
use testkit::lab_dns::LabDns;
use testkit::packages::Debian;
use testkit::pki::{LabCa, Request};
use testkit::place::Place;
use testkit::server::{Authentication, Server, ServerPlan};
use testkit::{ejabberd, prosody};

const MESSAGES: usize = 10;
const SECOND: Duration = Duration::from_secs(1);
/// Prosody takes 90 s to give up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    Prosody,
    Ejabberd,
    /// A Prosody behind it.
    Fedge,
}

/// What came out.
pub(super) struct Measured {
    pub(super) paced: Paced,
    /// How long an iq to the same server, but another of its domains, and its answer took afterwards.
    pub(super) next_pair: Option<Duration>,
    /// Of the sender.
    pub(super) version: String,
}

impl Sender {
    pub(super) const ALL: [Sender; 3] = [Sender::Prosody, Sender::Ejabberd, Sender::Fedge];

    pub(super) fn measure(self, target: BadTarget) -> anyhow::Result<Measured> {
        let folder = tempfile::Builder::new().prefix("fedge-targets-").tempdir()?;
        let layout = Layout::loopback(Place::isolated()?);
        match self {
            Sender::Prosody => direct(prosody::start, &layout, target, folder.path()),
            Sender::Ejabberd => direct(ejabberd::start, &layout, target, folder.path()),
            Sender::Fedge => through_fedge(layout, target, folder.path()),
        }
    }
}

/// Where the bad target is: beside the partner's own address.
fn bad() -> SocketAddr {
    ([127, 0, 4, 2], 5269).into()
}

fn through_fedge(layout: Layout, target: BadTarget, folder: &Path) -> anyhow::Result<Measured> {
    let prosody = Peer { kind: Kind::Prosody, authentication: Authentication::External };
    let plan = LabPlan::new(prosody, &[(FABRIKAM, prosody)]);
    let lab = Lab::start_at(layout, &plan, folder, &mut |_| {})?;
    let _standing = target.put_up(&lab.workshop(), FABRIKAM, bad(), lab.servers[1].plan.s2s())?;
    let (paced, next_pair) = send(&lab.layout, true)?;
    let version = lab.programs.run("fedge-edge", &["--version"])?.trim().to_owned();
    Ok(Measured { paced, next_pair, version })
}

type Start = fn(&Debian, &Place, ServerPlan, &Path) -> anyhow::Result<Server>;

fn direct(start: Start, layout: &Layout, target: BadTarget, folder: &Path) -> anyhow::Result<Measured> {
    let place = &layout.fedge;
    let debian = Debian::unpack(&Debian::usual_folder(), &BadTarget::packages(), &mut |_| {})?;
    let dns = LabDns::start(place, layout.public_dns())?;
    let ca = LabCa::new()?;
    let trusted = ca.write(folder)?;
    let run = |start: Start, domain: &str| -> anyhow::Result<Server> {
        let rooms = format!("conference.{domain}");
        let certificate = ca.issue(&Request::new(&[domain, &rooms]))?.write(folder, domain)?;
        let Spot { address, .. } = *layout.server(domain);
        dns.addresses(&format!("xmpp.{domain}"), &[address]);
        dns.srv(domain, &[(10, 0, 5269, &format!("xmpp.{domain}"))]);
        let plan = ServerPlan::new(domain, address, layout.public_dns(), &certificate, &trusted);
        start(&debian, place, plan, &folder.join(format!("{domain}.d")))
    };
    let sender = run(start, CONTOSO)?;
    let partner = run(prosody::start, FABRIKAM)?;
    let workshop = Workshop { place, dns: &dns, ca: &ca, folder };
    let _standing = target.put_up(&workshop, FABRIKAM, bad(), partner.plan.s2s())?;
    let (paced, next_pair) = send(layout, false)?;
    Ok(Measured { paced, next_pair, version: version(&sender)? })
}

fn send(layout: &Layout, next_pair: bool) -> anyhow::Result<(Paced, Option<Duration>)> {
    let layout = layout.clone();
    layout.fedge.clone().run(move || async move {
        let login = async |domain: &str, user: &str| {
            let Spot { place, address } = layout.server(domain);
            Client::login(place, SocketAddr::new(*address, 5222), &format!("{user}@{domain}"), "secret").await
        };
        let (alice, bob) = (login(CONTOSO, "alice").await?, login(FABRIKAM, "bob").await?);
        let paced = paced(&alice, &bob, MESSAGES, SECOND, PATIENCE, std::future::ready(())).await?;
        if !next_pair {
            return Ok((paced, None));
        }
        let began = Instant::now();
        let disco = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
        let answer = alice.iq(&format!("conference.{FABRIKAM}"), "get", disco).await?;
        anyhow::ensure!(!answer.is_error(), "another domain of the same partner can't be reached: {answer}");
        Ok((paced, Some(began.elapsed())))
    })
}

/// As it says itself when it starts.
fn version(server: &Server) -> anyhow::Result<String> {
    let log = fs::read_to_string(server.daemons[0].log())?;
    let words: Vec<&str> = log.split_whitespace().collect();
    let is_version = |word: &str| word.starts_with(|first: char| first.is_ascii_digit());
    let named = words.windows(3).find_map(|words| match words {
        ["Prosody", "version", version] => Some(format!("Prosody {version}")),
        ["ejabberd", version, _] if is_version(version) => Some(format!("ejabberd {version}")),
        _ => None,
    });
    named.context("it doesn't say which version it is")
}
