//! Packets that don't arrive: dropped without a word, or refused.

use std::net::SocketAddr;

use super::Place;
use super::table::Table;
use crate::packages::Debian;

/// What the methods in this module need of Debian's packages.
pub const PACKAGES: &[&str] = &["nftables"];

/// Something that doesn't work in a place as long as this exists.
#[derive(Debug)]
pub struct Fault {
    _table: Table,
}

impl Place {
    /// Drops what is sent from here to that address and port over TCP, or arrives here for it, so that
    /// whoever connects waits. Connections that there are stall.
    ///
    /// # Errors
    /// When this is the machine's own network, or nft can't do it.
    pub fn drop_tcp(&self, debian: &Debian, to: SocketAddr) -> anyhow::Result<Fault> {
        self.filter(debian, &format!("{} drop", tcp_to(to)))
    }

    /// Refuses what is sent from here to that address and port over TCP, or arrives here for it, as if
    /// nobody listened there.
    ///
    /// # Errors
    /// As [`Place::drop_tcp`].
    pub fn reject_tcp(&self, debian: &Debian, to: SocketAddr) -> anyhow::Result<Fault> {
        self.filter(debian, &format!("{} reject with tcp reset", tcp_to(to)))
    }

    /// Applies any rule of nftables to what is sent from here and to what arrives, for example
    /// `ip saddr 10.77.0.3 drop`.
    ///
    /// # Errors
    /// As [`Place::drop_tcp`].
    pub fn filter(&self, debian: &Debian, rule: &str) -> anyhow::Result<Fault> {
        let chain = |hook: &str| format!("chain {hook} {{ type filter hook {hook} priority 0; {rule}; }};");
        let table = Table::new(self, debian, &format!("{} {}", chain("output"), chain("input")))?;
        Ok(Fault { _table: table })
    }
}

fn tcp_to(to: SocketAddr) -> String {
    let family = if to.is_ipv4() { "ip" } else { "ip6" };
    format!("{family} daddr {} tcp dport {}", to.ip(), to.port())
}
