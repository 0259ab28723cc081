//! The laboratory's public DNS: an authoritative server in the test process that also misbehaves on request.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use hickory_proto::rr::rdata::{CNAME, SRV, TXT};
use hickory_proto::rr::{Name, RData, RecordType};

use crate::place::{Background, Place};

mod answer;
mod delegated;
mod serve;
#[cfg(test)]
mod tests;
mod zones;

use zones::Zones;

/// How often another port is tried where the system may choose.
const TRIES: usize = 20;

/// An SRV record: priority, weight, port, and the target's name (`.` where the service isn't offered).
pub type SrvRecord<'a> = (u16, u16, u16, &'a str);

/// What a server does to questions about one name instead of answering them as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Answers rightly, but only after that time.
    Late(Duration),
    /// Doesn't answer; a TCP connection stays open.
    Silent,
    /// Answers with another id than the question's, as a spoofer does that guesses.
    WrongId,
    /// Answers another question.
    WrongQuestion,
    /// Repeats the question, but what it answers belongs to another name.
    WrongOwner,
    /// Sends truncated answers over UDP, empty ones, so that TCP has to be used.
    Truncated,
    /// Answers that it failed (SERVFAIL), and nothing else.
    ServFail,
}

/// A question that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Who asked.
    pub from: SocketAddr,
    /// For which name, in lower case and with the dot at its end.
    pub name: String,
    /// For which records.
    pub kind: RecordType,
    /// Over TCP; else over UDP.
    pub tcp: bool,
}

/// A DNS server, over UDP and TCP, that has authority over everything and knows what it is told. Every
/// answer, also a negative one, may be kept for one second. It ends when it is dropped.
#[derive(Debug)]
pub struct LabDns {
    zones: Arc<Mutex<Zones>>,
    address: SocketAddr,
    _server: Background,
}

impl LabDns {
    /// Starts a server that knows nothing yet. With port 0 it finds itself a free one.
    ///
    /// # Errors
    /// When the address can't be listened on.
    pub fn start(place: &Place, at: SocketAddr) -> anyhow::Result<LabDns> {
        let (udp, tcp) = place.enter(move || bind(at)).with_context(|| format!("can't serve DNS on {at}"))?;
        let address = udp.local_addr()?;
        let zones = Arc::<Mutex<Zones>>::default();
        let served = zones.clone();
        let server = Background::start(place, move || serve::serve(udp, tcp, served));
        Ok(LabDns { zones, address, _server: server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the records of `name`, in place of those that it has. Without records, the name doesn't
    /// exist, unless there are names below it.
    pub fn set(&self, name: &str, records: Vec<RData>) {
        self.zones().set(absolute(name), records);
    }

    /// Sets the addresses of `name`, of both families, in place of whatever records it has.
    pub fn addresses(&self, name: &str, addresses: &[IpAddr]) {
        self.set(name, addresses.iter().map(|address| RData::from(*address)).collect());
    }

    /// Sets a text at `name`, in place of whatever records it has.
    pub fn text(&self, name: &str, text: &str) {
        self.set(name, vec![RData::TXT(TXT::new(vec![text.to_owned()]))]);
    }

    /// Makes `name` an alias. Two that point at each other are a loop.
    pub fn alias(&self, name: &str, of: &str) {
        self.set(name, vec![RData::CNAME(CNAME(absolute(of)))]);
    }

    /// Says where other servers reach `domain` with STARTTLS (RFC 6120 §3.2.1).
    pub fn srv(&self, domain: &str, targets: &[SrvRecord<'_>]) {
        self.service("_xmpp-server", domain, targets);
    }

    /// Says where other servers reach `domain` with direct TLS (XEP-0368).
    pub fn direct_tls_srv(&self, domain: &str, targets: &[SrvRecord<'_>]) {
        self.service("_xmpps-server", domain, targets);
    }

    /// Says where clients reach `domain` with STARTTLS (RFC 6120 §3.2.1).
    pub fn client_srv(&self, domain: &str, targets: &[SrvRecord<'_>]) {
        self.service("_xmpp-client", domain, targets);
    }

    /// Says where clients reach `domain` with direct TLS (XEP-0368).
    pub fn client_direct_tls_srv(&self, domain: &str, targets: &[SrvRecord<'_>]) {
        self.service("_xmpps-client", domain, targets);
    }

    fn service(&self, service: &str, domain: &str, targets: &[SrvRecord<'_>]) {
        let record = |&(priority, weight, port, target): &SrvRecord<'_>| {
            RData::SRV(SRV::new(priority, weight, port, absolute(target)))
        };
        self.set(&format!("{service}._tcp.{domain}"), targets.iter().map(record).collect());
    }

    /// From now on, questions for `name` (and whatever kind of records) are treated like that.
    pub fn misbehave(&self, name: &str, misbehaviour: Misbehaviour) {
        self.zones().misbehave(absolute(name), Some(misbehaviour));
    }

    /// From now on, questions for `name` are answered as they should be.
    pub fn behave(&self, name: &str) {
        self.zones().misbehave(absolute(name), None);
    }

    /// Leaves a zone to other servers: what is asked about names in it is asked of them, and nothing kept.
    pub fn delegate(&self, zone: &str, servers: &[SocketAddr]) {
        self.zones().delegate(absolute(zone), servers.to_vec());
    }

    /// Every question that came in, the first one first.
    pub fn questions(&self) -> Vec<Question> {
        self.zones().questions.clone()
    }

    fn zones(&self) -> MutexGuard<'_, Zones> {
        self.zones.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bind(at: SocketAddr) -> std::io::Result<(UdpSocket, TcpListener)> {
    // What is free by UDP may be somebody's by TCP.
    let tries = if at.port() == 0 { TRIES } else { 1 };
    let both = || {
        let udp = UdpSocket::bind(at)?;
        Ok((TcpListener::bind(udp.local_addr()?)?, udp))
    };
    let (tcp, udp) = (1..tries).find_map(|_| both().ok()).map_or_else(both, Ok::<_, std::io::Error>)?;
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    Ok((udp, tcp))
}

/// A name as DNS has it. Names are written by whoever writes a test: a wrong one is that one's mistake.
fn absolute(name: &str) -> Name {
    let mut name = Name::from_ascii(name).unwrap_or_else(|error| panic!("{name} is no name in DNS: {error}"));
    name.set_fqdn(true);
    name.to_lowercase()
}
