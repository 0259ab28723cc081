//! Targets that misbehave: what a partner's first SRV record can lead to, while the second one is good.

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::rooms;
use crate::lab_dns::LabDns;
use crate::packages::Debian;
use crate::pki::{LabCa, Request};
use crate::place::{self, Background, Place};
use crate::relay::{self, Relay};
use crate::server::ServerPlan;
use crate::{lab::Kind, prosody};

/// What a sender meets at the target that it has to try first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadTarget {
    /// Nobody listens: connecting is answered with RST.
    Refused,
    /// Packets vanish: connecting is not answered.
    Dropped,
    /// The connection comes up, and nothing is ever said.
    Silent,
    /// So does TLS, after STARTTLS, and then nothing is ever said.
    SilentAfterTls,
    /// The connection comes up and is closed at once, as by a balancer with nobody behind it.
    Closes,
    /// The connection comes up and is reset at once.
    Resets,
    /// DNS tells of direct TLS; the connection is closed at once.
    DirectTlsCloses,
    /// DNS tells of direct TLS; something else than TLS is answered.
    DirectTlsGarbage,
    /// DNS tells of direct TLS; the connection comes up, and nothing is ever said.
    DirectTlsSilent,
    /// A server of that domain, with a certificate for another one.
    WrongCertificate,
    /// A server that doesn't know the domain: a stream error `host-unknown`.
    HostUnknown,
    /// A server that is being shut down: a stream error `system-shutdown`.
    SystemShutdown,
}

/// What stands at a bad target; it goes when this is dropped.
#[derive(Debug)]
pub struct Standing {
    _held: Held,
}

type Held = Box<dyn Debug + Send + Sync>;

/// What bad targets are made with.
#[derive(Debug)]
pub struct Workshop<'a> {
    /// Where everything runs.
    pub place: &'a Place,
    /// The DNS that senders ask.
    pub dns: &'a LabDns,
    /// The CA that senders trust.
    pub ca: &'a LabCa,
    /// Where files can be put.
    pub folder: &'a Path,
}

impl BadTarget {
    /// All of them.
    pub const ALL: [BadTarget; 12] = [
        BadTarget::Refused,
        BadTarget::Dropped,
        BadTarget::Silent,
        BadTarget::SilentAfterTls,
        BadTarget::Closes,
        BadTarget::Resets,
        BadTarget::DirectTlsCloses,
        BadTarget::DirectTlsGarbage,
        BadTarget::DirectTlsSilent,
        BadTarget::WrongCertificate,
        BadTarget::HostUnknown,
        BadTarget::SystemShutdown,
    ];

    /// The Debian packages that they take.
    pub fn packages() -> Vec<&'static str> {
        [place::PACKAGES, Kind::Prosody.packages()].concat()
    }

    /// Puts it up at `bad`, and tells DNS that `domain` and its rooms are there first and at `good`
    /// second; `good` takes STARTTLS.
    ///
    /// # Errors
    /// When something doesn't start.
    pub fn put_up(
        self,
        workshop: &Workshop<'_>,
        domain: &str,
        bad: SocketAddr,
        good: SocketAddr,
    ) -> anyhow::Result<Standing> {
        let held = self.make(workshop, domain, bad, good).with_context(|| format!("putting up {self:?}"))?;
        let (first, second) = (format!("first.{domain}"), format!("second.{domain}"));
        workshop.dns.addresses(&first, &[bad.ip()]);
        workshop.dns.addresses(&second, &[good.ip()]);
        for domain in [domain, &rooms(domain)] {
            let (first, second) = ((10, 0, bad.port(), first.as_str()), (20, 0, good.port(), second.as_str()));
            if self.is_direct_tls() {
                workshop.dns.direct_tls_srv(domain, &[first]);
                workshop.dns.srv(domain, &[second]);
            } else {
                workshop.dns.srv(domain, &[first, second]);
            }
        }
        Ok(Standing { _held: held })
    }

    fn is_direct_tls(self) -> bool {
        matches!(self, BadTarget::DirectTlsCloses | BadTarget::DirectTlsGarbage | BadTarget::DirectTlsSilent)
    }

    fn make(self, workshop: &Workshop<'_>, domain: &str, bad: SocketAddr, good: SocketAddr) -> anyhow::Result<Held> {
        let place = workshop.place;
        let relay = |fault| -> anyhow::Result<Held> {
            let relay = Relay::start(place, bad, good)?;
            relay.fault(Some(fault));
            Ok(Box::new(relay))
        };
        Ok(match self {
            BadTarget::Refused => Box::new(()),
            BadTarget::Dropped => Box::new(place.drop_tcp(&debian()?, bad)?),
            BadTarget::Silent | BadTarget::DirectTlsSilent => relay(relay::Fault::Silence)?,
            BadTarget::SilentAfterTls => relay(relay::Fault::SilenceAfterTls)?,
            BadTarget::Closes | BadTarget::DirectTlsCloses => relay(relay::Fault::Close)?,
            BadTarget::Resets => relay(relay::Fault::Reset)?,
            BadTarget::DirectTlsGarbage => Box::new(says(place, bad, WEB_SERVER.to_owned())?),
            BadTarget::HostUnknown => Box::new(says(place, bad, stream_error(domain, "host-unknown"))?),
            BadTarget::SystemShutdown => Box::new(says(place, bad, stream_error(domain, "system-shutdown"))?),
            BadTarget::WrongCertificate => Box::new(impostor(workshop, domain, bad.ip())?),
        })
    }
}

fn debian() -> anyhow::Result<Debian> {
    Debian::unpack(&Debian::usual_folder(), &BadTarget::packages(), &mut |_| {})
}

const WEB_SERVER: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

fn stream_error(domain: &str, condition: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
         xmlns:stream='http://etherx.jabber.org/streams' from='{domain}' id='1' version='1.0'>\
         <stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    )
}

/// Says this to everybody who connects and has said something, and closes.
fn says(place: &Place, at: SocketAddr, words: String) -> anyhow::Result<Background> {
    let listener =
        place.enter(move || std::net::TcpListener::bind(at)).with_context(|| format!("listening on {at}"))?;
    listener.set_nonblocking(true)?;
    Ok(Background::start(place, move || async move {
        let listener = TcpListener::from_std(listener).expect("a socket for this runtime");
        loop {
            let Ok((mut connection, _)) = listener.accept().await else { continue };
            let words = words.clone();
            tokio::spawn(async move {
                let mut heard = [0; 4096];
                let _ = connection.read(&mut heard).await?;
                connection.write_all(words.as_bytes()).await?;
                connection.shutdown().await?;
                // What comes in late would turn the close into a reset, which could overtake the words.
                while connection.read(&mut heard).await? > 0 {}
                std::io::Result::Ok(())
            });
        }
    }))
}

/// A server of the domain whose certificate, by a CA that everybody trusts, is for another one.
fn impostor(workshop: &Workshop<'_>, domain: &str, address: IpAddr) -> anyhow::Result<crate::server::Server> {
    let certificate = workshop.ca.issue(&Request::new(&["impostor.test"]))?.write(workshop.folder, "impostor")?;
    let trusted = workshop.ca.write(workshop.folder)?;
    let plan = ServerPlan::new(domain, address, workshop.dns.address(), &certificate, &trusted);
    prosody::start(&debian()?, workshop.place, plan, &workshop.folder.join("impostor.d"))
}
