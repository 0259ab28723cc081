//! The fake network: places that listen, wires between them, and the faults that come upon those.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{mpsc, watch};
use xmpp::domain::{Domain, DomainPair};

use super::certificates::Certificates;
use super::random::Random;
use super::wire::{Make, Socket, Wire};
use crate::dial::AttemptError;
use crate::face::FaceState;
use crate::network::{self, Connected, Connecting};
use crate::race::Milestone;
use crate::resolve::Target;
use crate::tls::Established;
use crate::transport::Transport;

/// Where somebody is.
pub(super) type Place = u8;

/// The port of the trunk; streams have another.
pub(super) const TRUNK: u16 = 5270;
pub(super) const STREAMS: u16 = 5269;

pub(super) fn address(place: Place, port: u16) -> SocketAddr {
    ([10, 0, 0, place], port).into()
}

fn place(address: SocketAddr) -> Place {
    match address {
        SocketAddr::V4(address) => address.ip().octets()[3],
        SocketAddr::V6(_) => unreachable!("no place has such an address"),
    }
}

/// A connection that came to a listener, and the domain that its certificate is for.
pub(super) struct Incoming {
    pub(super) socket: Socket,
    pub(super) from: Place,
    pub(super) shown: Option<Domain>,
}

/// Two places, the lower one first.
type Between = (Place, Place);

fn between(one: Place, other: Place) -> Between {
    (one.min(other), one.max(other))
}

/// All of it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Network {
    inner: Arc<Mutex<Inner>>,
    changes: Arc<watch::Sender<()>>,
}

struct Inner {
    random: Random,
    listeners: BTreeMap<SocketAddr, mpsc::UnboundedSender<Incoming>>,
    /// Each with the places of its ends, that of the dialer first.
    wires: Vec<([Place; 2], Wire)>,
    frozen: BTreeSet<Between>,
    stopped: BTreeSet<Place>,
    /// Places between which something was ever cut, frozen or lost, and whether it was frozen.
    harmed: BTreeMap<Between, bool>,
    /// How each wire is made, at least and at most.
    make: [Make; 2],
}

impl Network {
    pub(super) fn new(random: Random, make: [Make; 2]) -> Network {
        let inner = Inner {
            random,
            listeners: BTreeMap::new(),
            wires: Vec::new(),
            frozen: BTreeSet::new(),
            stopped: BTreeSet::new(),
            harmed: BTreeMap::new(),
            make,
        };
        Network { inner: Arc::new(Mutex::new(inner)), changes: Arc::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nobody panics under it")
    }

    /// Listens there, until the receiver is dropped.
    pub(super) fn listen(&self, address: SocketAddr) -> mpsc::UnboundedReceiver<Incoming> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.inner().listeners.insert(address, sender);
        receiver
    }

    /// Nobody is accepted there any more.
    pub(super) fn close(&self, address: SocketAddr) {
        self.inner().listeners.remove(&address);
    }

    /// Opens a connection, with a certificate for `shown`.
    pub(super) async fn connect(&self, from: Place, to: SocketAddr, shown: Option<Domain>) -> io::Result<Socket> {
        let ends = between(from, place(to));
        let make = self.inner().make();
        let mut changes = self.changes.subscribe();
        tokio::time::sleep(make.latency).await;
        while self.inner().frozen.contains(&ends) {
            // The network outlives all who connect.
            let _ = changes.changed().await;
        }
        let mut inner = self.inner();
        let places = [from, place(to)];
        let (wire, near, far) = Wire::connect(make, places.map(|place| inner.stopped.contains(&place)));
        let listener = inner.listeners.get(&to).ok_or(io::ErrorKind::ConnectionRefused)?;
        let incoming = Incoming { socket: far, from, shown };
        listener.send(incoming).map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        inner.wires.retain(|(_, wire)| !wire.is_over());
        inner.wires.push((places, wire));
        Ok(near)
    }

    fn on(&self, one: Place, other: Place, harm: impl Fn(&Wire)) {
        let ends = between(one, other);
        let mut inner = self.inner();
        inner.harmed.entry(ends).or_default();
        let theirs = inner.wires.iter().filter(|([a, b], _)| between(*a, *b) == ends);
        theirs.for_each(|(_, wire)| harm(wire));
    }

    /// Cuts all connections between two places: both ends are told.
    pub(super) fn cut(&self, one: Place, other: Place) {
        self.on(one, other, Wire::cut);
    }

    /// Nothing moves between two places any more, and nobody is told.
    pub(super) fn freeze(&self, one: Place, other: Place) {
        self.on(one, other, |wire| wire.freeze(true));
        let mut inner = self.inner();
        inner.frozen.insert(between(one, other));
        inner.harmed.insert(between(one, other), true);
    }

    /// Whoever is there does nothing any more, but its kernel.
    pub(super) fn stop(&self, stopped: Place) {
        let mut inner = self.inner();
        inner.stopped.insert(stopped);
        let mut harmed = Vec::new();
        for (ends, wire) in inner.wires.iter().filter(|(ends, _)| ends.contains(&stopped)) {
            wire.stop(usize::from(ends[1] == stopped), true);
            harmed.push(between(ends[0], ends[1]));
        }
        inner.harmed.extend(harmed.into_iter().map(|ends| (ends, true)));
    }

    /// What is frozen or stopped moves again.
    pub(super) fn thaw(&self) {
        let mut inner = self.inner();
        inner.frozen.clear();
        inner.stopped.clear();
        for (_, wire) in &inner.wires {
            wire.freeze(false);
            [0, 1].into_iter().for_each(|side| wire.stop(side, false));
        }
        drop(inner);
        self.changes.send_replace(());
    }

    /// What is frozen between two places moves again.
    pub(super) fn thaw_between(&self, one: Place, other: Place) {
        self.inner().frozen.remove(&between(one, other));
        self.on(one, other, |wire| wire.freeze(false));
        self.changes.send_replace(());
    }

    /// Whoever is at that place reads nothing of the connections that are there now.
    pub(super) fn leave_unread(&self, reader: Place) {
        for (ends, wire) in self.inner().wires.iter().filter(|(ends, _)| ends.contains(&reader)) {
            wire.stop(usize::from(ends[1] == reader), true);
        }
    }

    /// What is frozen moves again, but that place leaves unread what was there.
    pub(super) fn thaw_unread(&self, reader: Place) {
        self.leave_unread(reader);
        let mut inner = self.inner();
        inner.wires.iter().for_each(|(_, wire)| wire.freeze(false));
        inner.frozen.clear();
        drop(inner);
        self.changes.send_replace(());
    }

    /// Everything at this place ends at once, without a word of its own.
    pub(super) fn kill(&self, dead: Place) {
        let mut inner = self.inner();
        inner.listeners.retain(|address, _| place(*address) != dead);
        let theirs: Vec<_> = inner.wires.iter().filter(|(ends, _)| ends.contains(&dead)).cloned().collect();
        theirs.iter().for_each(|([a, b], _)| *inner.harmed.entry(between(*a, *b)).or_default() |= false);
        theirs.iter().for_each(|(_, wire)| wire.cut());
    }

    /// Whether anything between the two was ever cut, frozen or lost.
    pub(super) fn is_harmed(&self, one: Place, other: Place) -> bool {
        self.inner().harmed.contains_key(&between(one, other))
    }

    /// Whether anything between the two was ever frozen.
    pub(super) fn was_frozen(&self, one: Place, other: Place) -> bool {
        self.inner().harmed.get(&between(one, other)) == Some(&true)
    }
}

impl Inner {
    fn make(&mut self) -> Make {
        let [least, most] = self.make;
        let milliseconds = |make: Make| usize::try_from(make.latency.as_millis()).expect("short");
        Make {
            capacity: self.random.between(least.capacity, most.capacity),
            latency: self.random.milliseconds(milliseconds(least), milliseconds(most)),
        }
    }
}

/// By which the links of one life of a gateway or edge server reach servers.
pub(super) struct Exit {
    pub(super) network: Network,
    pub(super) place: Place,
    /// Closed at the end of that life.
    pub(super) alive: watch::Receiver<bool>,
}

impl network::Network for Exit {
    fn connect<'a>(
        &'a self,
        _: &'a FaceState,
        pair: &'a DomainPair,
        target: &'a Target,
        milestone: &'a Milestone,
    ) -> Connecting<'a> {
        Box::pin(async move {
            let socket = self.network.connect(self.place, target.address, Some(pair.from.clone())).await?;
            if !*self.alive.borrow() {
                return Err(AttemptError::Io(io::ErrorKind::NetworkDown.into()));
            }
            milestone.connected();
            let chain = Certificates::get().chain(&pair.to);
            let secured = Established { chain, own_certificate: true, version: "no TLS", cipher: "a wire".to_owned() };
            Ok(Connected { transport: Transport::Other(Box::new(socket)), secured: Some(secured) })
        })
    }
}
