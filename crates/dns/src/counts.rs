//! What came and what became of it, in numbers, and the page on which they stand.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use agent::serve::Agent;
use daemon::metrics::catalogue::{self, dns};
use daemon::metrics::{Page, Sample, Source, signed};
use hickory_proto::op::ResponseCode;

use crate::control::PROGRAM;
use crate::service::Service;

/// Response codes of plain queries have four bits.
const CODES: usize = 16;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

/// By whom a query was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The view itself, errors included.
    View,
    /// The site's resolvers.
    Resolvers,
    /// The zones that we have authority for.
    Zones,
}

/// What came and what became of it, since the daemon started.
#[derive(Debug, Default)]
pub struct Counts {
    answered: [[Count; CODES]; 3],
    /// What was no query.
    pub ignored: Count,
    /// Answers that were still known.
    pub cache_hits: Count,
    /// Questions put to the resolvers.
    pub asked: Count,
    /// Those to which none had an answer.
    pub unanswered: Count,
    /// Queries that found no room to wait.
    pub unforwarded: Count,
    /// TCP connections that were closed.
    pub unconnected: Count,
    /// Replies from zones that were dropped or truncated, since one network got too many.
    pub unsent: Count,
}

/// What stands on the page.
pub struct Told {
    /// The numbers, and who waits.
    pub service: Arc<Service>,
    /// When the daemon began.
    pub began: Instant,
    /// The agent, where there are controllers.
    pub agent: Option<Arc<Agent>>,
}

impl Count {
    /// One more.
    pub fn grow(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counts {
    /// A reply that went to whoever asked.
    pub fn answered(&self, by: By, reply: &[u8]) {
        // Its second word ends with the code (RFC 1035 §4.1.1).
        if let Some(flags) = reply.get(3) {
            self.answered[by as usize][usize::from(flags & 0x0f)].grow();
        }
    }

    fn answers(&self) -> Vec<Sample> {
        let by = [("view", By::View), ("resolvers", By::Resolvers), ("zones", By::Zones)];
        let counted = by.into_iter().flat_map(|(word, by)| {
            self.answered[by as usize].iter().enumerate().map(move |(code, count)| (word, code, count.get()))
        });
        // Those that usually come also where there is none yet, so that their growth is seen from the beginning.
        let told = counted.filter(|(_, code, count)| *count > 0 || matches!(code, 0 | 2 | 3));
        told.map(|(by, code, count)| (vec![by.to_owned(), name(code)], signed(count))).collect()
    }
}

/// As everybody writes it.
fn name(code: usize) -> String {
    match ResponseCode::from(0, u8::try_from(code).unwrap_or_default()) {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        _ => code.to_string(),
    }
}

impl Source for Told {
    fn tell(&self, page: &mut Page<'_>) -> fmt::Result {
        let (program, version) = PROGRAM;
        let counts = self.service.counts();
        page.tell(&catalogue::BUILD, &[(vec![program.to_owned(), version.to_owned()], 1)])?;
        page.tell_one(&catalogue::UP, self.began.elapsed().as_secs())?;
        let concerns = self.agent.as_ref().map_or(0, |agent| agent.concerns().len());
        page.tell_one(&catalogue::CONCERNS, concerns as u64)?;
        page.tell(&dns::ANSWERED, &counts.answers())?;
        page.tell_one(&dns::IGNORED, counts.ignored.get())?;
        page.tell_one(&dns::CACHE_HITS, counts.cache_hits.get())?;
        page.tell_one(&dns::ASKED, counts.asked.get())?;
        page.tell_one(&dns::UNANSWERED, counts.unanswered.get())?;
        let (waiting, most) = self.service.waiting();
        page.tell_one(&dns::WAITING, waiting as u64)?;
        page.tell_one(&dns::WAITING_LIMIT, most as u64)?;
        let limits = [("waiting", &counts.unforwarded), ("connections", &counts.unconnected), ("rate", &counts.unsent)];
        let turned_away = limits.map(|(limit, count)| (vec![limit.to_owned()], signed(count.get())));
        page.tell(&dns::TURNED_AWAY, &turned_away)
    }
}
