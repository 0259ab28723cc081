//! Several hosts on one network, each with its own addresses, ports and cable.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Deref;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::Context as _;

use super::Place;

/// A switch, in a place of its own, into which hosts are plugged. It leads nowhere else.
#[derive(Debug)]
pub struct Network {
    switch: Place,
    hosts: AtomicU8,
}

/// A place on a [`Network`]. It is used as the [`Place`] that it is; whoever keeps a copy of that
/// keeps the host; its cable ends when the network and all hosts are dropped.
#[derive(Debug)]
pub struct Host {
    place: Place,
    ipv4: Ipv4Addr,
    ipv6: Ipv6Addr,
    switch: Place,
    port: String,
}

impl Network {
    /// A network without hosts.
    ///
    /// # Errors
    /// As [`Place::isolated`], or when the kernel has no bridges.
    pub fn new() -> anyhow::Result<Network> {
        let switch = Place::isolated()?;
        switch.ip("link add switch type bridge mcast_snooping 0").context("this kernel has no bridge")?;
        switch.ip("link set switch up")?;
        Ok(Network { switch, hosts: AtomicU8::new(0) })
    }

    /// A new host: the first one is 10.77.0.1 and `fd77::1`, the next one has a 2 there, and so on.
    ///
    /// # Errors
    /// As [`Place::isolated`], when the kernel has no veth devices, or when there are 254 hosts already.
    pub fn host(&self) -> anyhow::Result<Host> {
        let full = "10.77.0.0/24 has no more addresses";
        let number = self.hosts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |hosts| match hosts {
            254.. => None,
            _ => Some(hosts + 1),
        });
        let number = number.ok().context(full)? + 1;
        let host = Host {
            place: Place::isolated()?,
            ipv4: Ipv4Addr::new(10, 77, 0, number),
            ipv6: Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, number.into()),
            switch: self.switch.clone(),
            port: format!("port{number}"),
        };
        let (Host { place, ipv4, ipv6, port, .. }, inside) = (&host, host.path().context("a host is isolated")?);
        self.switch.ip(&format!("link add {port} type veth peer name eth0 netns {}", inside.display()))?;
        self.switch.ip(&format!("link set {port} master switch up"))?;
        place.ip(&format!("address add {ipv4}/24 dev eth0"))?;
        // Without the wait for somebody else who might have the address.
        place.ip(&format!("address add {ipv6}/64 dev eth0 nodad"))?;
        place.ip("link set eth0 up")?;
        Ok(host)
    }

    /// Pulls a host's cable out of the switch, or plugs it in again.
    ///
    /// # Errors
    /// With what `ip` says when it fails.
    pub fn plug(&self, host: Ipv4Addr, plugged: bool) -> anyhow::Result<()> {
        let link = if plugged { "up" } else { "down" };
        self.switch.ip(&format!("link set port{} {link}", host.octets()[3]))
    }

    /// Has the switch drop whatever comes from a host or goes to it, ARP too, though the host's cable is in and up: to all
    /// others it has vanished, and to it, they have. Or lets it through again.
    ///
    /// # Errors
    /// With what `ip` says when it fails.
    pub fn part(&self, host: Ipv4Addr, parted: bool) -> anyhow::Result<()> {
        // A port that belongs to no bridge keeps its carrier.
        let bridge = if parted { "nomaster" } else { "master switch" };
        self.switch.ip(&format!("link set port{} {bridge}", host.octets()[3]))
    }
}

impl Host {
    /// Its address.
    pub fn ipv4(&self) -> Ipv4Addr {
        self.ipv4
    }

    /// Its other address.
    pub fn ipv6(&self) -> Ipv6Addr {
        self.ipv6
    }

    /// Pulls its cable out of the switch: nothing reaches it any more, nor it anybody.
    ///
    /// # Errors
    /// With what `ip` says when it fails.
    pub fn link_down(&self) -> anyhow::Result<()> {
        self.switch.ip(&format!("link set {} down", self.port))
    }

    /// Plugs its cable in again.
    ///
    /// # Errors
    /// With what `ip` says when it fails.
    pub fn link_up(&self) -> anyhow::Result<()> {
        self.switch.ip(&format!("link set {} up", self.port))
    }
}

impl Deref for Host {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}
