//! What is done with a query to the zones: anybody may ask, nothing is forwarded, and everything is answered at once.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;

use super::Zones;
use super::query::{self, Unfit};
use super::rate::{Rates, Verdict};
use super::reply;
use crate::counts::{By, Counts};
use crate::message::Transport;

/// The service that all sockets for zones share.
pub struct Authority {
    zones: ArcSwap<Zones>,
    rates: Rates,
    /// Replies to one network in a second.
    most: AtomicU32,
    began: Instant,
    counts: Arc<Counts>,
}

impl Authority {
    /// One that has no zone yet, and counts.
    pub fn new(counts: Arc<Counts>) -> Arc<Authority> {
        Arc::new(Authority {
            zones: ArcSwap::default(),
            rates: Rates::default(),
            most: AtomicU32::new(0),
            began: Instant::now(),
            counts,
        })
    }

    /// Answers from `zones` from now on, all at once.
    pub fn replace(&self, zones: Zones) {
        self.zones.store(Arc::new(zones));
    }

    /// Whether signatures are to be made anew at `now`, in seconds since 1970.
    pub fn is_due(&self, now: u64) -> bool {
        self.zones.load().is_due(now)
    }

    /// Sends at most so many replies by UDP to one network in a second; 0 is no limit.
    pub fn limit(&self, most: u32) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Writes what to send back to `client` into `reply`; whether there is anything.
    pub fn hear(&self, bytes: &[u8], client: IpAddr, transport: Transport, reply: &mut Vec<u8>) -> bool {
        let query = match query::read(bytes, transport) {
            Ok(query) => Ok(query),
            Err(Unfit::Error(head, code)) => Err((head, code)),
            Err(Unfit::Silence) => {
                self.counts.ignored.grow();
                return false;
            }
        };
        let verdict = match transport {
            Transport::Udp => self.judge(client),
            Transport::Tcp => Verdict::Send,
        };
        match (query, verdict) {
            (_, Verdict::Drop) | (Err(_), Verdict::Truncate) => {
                self.counts.unsent.grow();
                return false;
            }
            (Ok(query), Verdict::Truncate) => {
                self.counts.unsent.grow();
                self.zones.load().answer(&query).write_truncated(&query, reply);
            }
            (Ok(query), Verdict::Send) => {
                let zones = self.zones.load();
                let said = zones.answer(&query);
                let kind = query.kind.0;
                tracing::debug!(%client, name = query.text(), r#type = kind, code = %said.code, "asked of zones");
                said.write(&query, reply);
            }
            (Err((head, code)), Verdict::Send) => reply::write_bare(head, code, reply),
        }
        self.counts.answered(By::Zones, reply);
        true
    }

    /// What came and what became of it.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    fn judge(&self, client: IpAddr) -> Verdict {
        let most = self.most.load(Ordering::Relaxed);
        let now = u32::try_from(self.began.elapsed().as_secs()).unwrap_or(u32::MAX);
        self.rates.judge(client, now, most)
    }
}
