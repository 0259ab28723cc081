//! Watches packets: whether any go where none should.

use super::Place;
use super::table::Table;
use crate::packages::Debian;

/// Counts packets as long as it exists. It sees them before any [`Fault`](super::Fault) does.
#[derive(Debug)]
pub struct Watch {
    table: Table,
}

impl Place {
    /// Counts what is sent from here and matches an expression of nftables, for example
    /// `ip daddr != 10.77.0.2 tcp dport { 5269, 5270 }`.
    ///
    /// # Errors
    /// When this is the machine's own network, or nft can't do it.
    pub fn watch_sent(&self, debian: &Debian, expression: &str) -> anyhow::Result<Watch> {
        self.watch(debian, "output", expression)
    }

    /// Counts what arrives here and matches.
    ///
    /// # Errors
    /// As [`Place::watch_sent`].
    pub fn watch_received(&self, debian: &Debian, expression: &str) -> anyhow::Result<Watch> {
        self.watch(debian, "input", expression)
    }

    fn watch(&self, debian: &Debian, hook: &str, expression: &str) -> anyhow::Result<Watch> {
        let chain =
            format!("chain {hook} {{ type filter hook {hook} priority -10; {expression} counter name seen; }};");
        Ok(Watch { table: Table::new(self, debian, &format!("counter seen {{}}; {chain}"))? })
    }
}

impl Watch {
    /// How many packets there were.
    ///
    /// # Errors
    /// With what nft says when it fails.
    pub fn packets(&self) -> anyhow::Result<u64> {
        self.table.packets("seen")
    }
}
