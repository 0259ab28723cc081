//! What fedge-control tells Prometheus: members, snapshots, store, API, audit trail.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use api::control::Overview;
use daemon::metrics::catalogue::{self, control};
use daemon::metrics::{Page, Sample, Source, left, signed};

use crate::ledger::Ledger;
use crate::members::Members;
use crate::run::{PROGRAM, VERSION};
use crate::status::{at_second, plain};
use crate::web::Answers;

/// What stands on the page.
#[derive(Debug)]
pub struct Told {
    /// How members are.
    pub members: Arc<Members>,
    /// What was written.
    pub ledger: Arc<Ledger>,
    /// What was answered.
    pub answers: Arc<Answers>,
    /// When the daemon began.
    pub began: Instant,
}

impl Source for Told {
    fn tell(&self, page: &mut Page<'_>) -> fmt::Result {
        let overview = self.members.overview();
        page.tell(&catalogue::BUILD, &[(vec![PROGRAM.to_owned(), VERSION.to_owned()], 1)])?;
        page.tell_one(&catalogue::UP, self.began.elapsed().as_secs())?;
        page.tell_one(&catalogue::CONCERNS, overview.as_ref().map_or(0, |overview| overview.wrong.len()) as u64)?;
        if let Some(overview) = &overview {
            page.tell(&control::MEMBERS, &members(overview))?;
            page.tell_one(&control::VERSION, overview.version)?;
            page.tell_one(&control::EPOCH, overview.route.epoch)?;
        }
        let (applied, refused) = self.members.controller().counts();
        page.tell_one(&control::APPLIED, applied)?;
        page.tell_one(&control::REFUSED, refused)?;
        page.tell_one(&control::STORE_ERRORS, self.members.store_errors())?;
        let blind = self.members.picture().blind.map(|(since, _)| since.elapsed().unwrap_or_default().as_secs());
        page.tell_one(&control::BLIND, blind.unwrap_or_default())?;
        let answers = self.answers.by_status().into_iter();
        let answers: Vec<Sample> = answers.map(|(status, count)| (vec![status.to_string()], signed(count))).collect();
        page.tell(&control::REQUESTS, &answers)?;
        page.tell_one(&control::AUDIT, self.ledger.entries())?;
        page.tell(&control::CERTIFICATE, &self.certificates(overview.as_ref()))
    }
}

impl Told {
    /// A member's own, and the one by which controllers know it.
    fn certificates(&self, overview: Option<&Overview>) -> Vec<Sample> {
        let now = SystemTime::now();
        let mut told = BTreeMap::new();
        for member in overview.into_iter().flat_map(all) {
            let Some(seen) = self.members.seen(&member.fqdn) else { continue };
            let control = seen.hello.and_then(|hello| hello.certificate).map(|validity| {
                let name = member.fqdn.clone();
                ("control".to_owned(), name, validity.not_after)
            });
            let others = seen.status.into_iter().flat_map(|(status, _)| status.certificates);
            let others = others.map(|own| (plain(&own.used_for), plain(&own.name), own.not_after));
            for (used_for, name, not_after) in control.into_iter().chain(others) {
                // A member may say the same twice, and no series may be there twice.
                told.insert(vec![member.fqdn.clone(), used_for, name], left(at_second(not_after), now));
            }
        }
        told.into_iter().collect()
    }
}

fn all(overview: &Overview) -> impl Iterator<Item = &api::control::Member> {
    let edges = overview.sites.iter().flat_map(|site| site.pools.iter().flat_map(|pool| &pool.members));
    edges.chain(overview.sites.iter().flat_map(|site| &site.members))
}

fn members(overview: &Overview) -> Vec<Sample> {
    let mut counted: BTreeMap<(String, String), i64> = BTreeMap::new();
    for member in all(overview) {
        // Each state of a role that there is, so that a count that falls to nothing is told as 0.
        let states: &[&str] =
            if member.role == "controller" { &["controller"] } else { &["reached", "unreachable", "not enrolled"] };
        for state in states {
            let is_so = i64::from(member.state == *state);
            *counted.entry((member.role.clone(), (*state).to_owned())).or_default() += is_so;
        }
    }
    counted.into_iter().map(|((role, state), count)| (vec![role, state], count)).collect()
}
