//! Packet filter rules in a place, which go when they are dropped.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};

use super::Place;
use crate::packages::Debian;

/// A table of nftables.
#[derive(Debug)]
pub(super) struct Table {
    place: Place,
    debian: Debian,
    name: String,
}

impl Table {
    /// Makes a table with this content.
    pub(super) fn new(place: &Place, debian: &Debian, content: &str) -> anyhow::Result<Table> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        if place.namespace.is_none() {
            bail!("the packet filter of this machine itself isn't a test's to change: use an isolated place");
        }
        let name = format!("lab{}", COUNT.fetch_add(1, Ordering::Relaxed));
        nft(place, debian, &format!("table inet {name} {{ {content} }}"))?;
        Ok(Table { place: place.clone(), debian: debian.clone(), name })
    }

    /// What one of its counters says, in packets.
    pub(super) fn packets(&self, counter: &str) -> anyhow::Result<u64> {
        let listed = nft(&self.place, &self.debian, &format!("list counter inet {} {counter}", self.name))?;
        let mut words = listed.split_whitespace().skip_while(|word| *word != "packets");
        let packets = words.nth(1).and_then(|number| number.parse().ok());
        packets.with_context(|| format!("nft lists a counter as {listed:?}, expected: packets NUMBER"))
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let deleted = nft(&self.place, &self.debian, &format!("delete table inet {}", self.name));
        if !std::thread::panicking() {
            deleted.expect("what was made can be deleted");
        }
    }
}

fn nft(place: &Place, debian: &Debian, command: &str) -> anyhow::Result<String> {
    let mut nft = debian.command(place, "usr/sbin/nft");
    let output = nft.arg(command).output().with_context(|| format!("can't start nft for `{command}`"))?;
    if !output.status.success() {
        bail!("nft `{command}`: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}
