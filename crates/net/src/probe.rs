//! The prober: how far the servers of a domain can be reached from a face, stage by stage, with verdict, cause and fix.
//!
//! A partner's servers are brought as far as a stream that would carry stanzas, by the same machine and the same rules,
//! and none is sent. Everything else is only looked at: an address that somebody names, our own edge servers as they are
//! seen from outside, the next hops of local domains. Nothing is proven there, nor asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::probe::{self, LONGEST, Name, Probed, Request, Stage, TOGETHER, USUAL, Verdict};
use tokio::task::JoinSet;
use tokio::time::timeout;
use topology::address::may_dial;
use topology::face::Face;
use topology::partner::NextHop;
use topology::policy::Policy;
use xmpp::domain::Domain;
use xmpp::stream::{Goal, Need, Terms};

use crate::clock::{now, since};
use crate::face::FaceState;
use crate::resolve::Target;
use attempt::Errand;
use facts::{Finding, Scene, Whose, milliseconds};

mod attempt;
mod certificate;
mod facts;
mod handshake;
mod names;
mod offers;
mod plan;
#[cfg(test)]
mod tests;
mod trouble;

use plan::{Plan, plan};

/// Targets that are probed beside each other; of one server that is looked at for several domains, all.
const AT_ONCE: usize = 8;
/// Of the whole time, so much is kept to say what was seen.
const RESERVE: Duration = Duration::from_millis(200);

/// Why nothing was probed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// This can't be a domain.
    #[error("`{domain}` is no domain that could federate: {why}")]
    NoDomain {
        /// What was asked for.
        domain: String,
        /// What is wrong with it.
        why: String,
    },
    /// Too little time, or too much.
    #[error("a probe of {0} s can't be asked for; give it 1 to {LONGEST} s")]
    Time(u64),
    /// More domains than can be looked for at once, or nowhere to look for them.
    #[error(
        "{0} more domains were given: an address must be named for them, and it is looked at for {TOGETHER} at most"
    )]
    Together(usize),
    /// Only the servers of local domains can be reached from inside.
    #[error(
        "{0} is not a local domain, and from the internal face only the servers of those are probed; ask an edge server"
    )]
    NotLocal(Domain),
    /// Nobody may be spoken as who isn't ours.
    #[error("{0} is not a local domain, so nobody outside is spoken to as {0}")]
    NotOurs(Domain),
    /// Nobody may be spoken as to our servers who isn't a partner.
    #[error("{0} is not a partner, so our servers aren't spoken to as {0}")]
    NotAPartner(Domain),
}

/// Probes what is asked for from this face, within the time that is asked for.
///
/// # Errors
/// When it can't be asked for.
pub async fn probe(face: &Arc<FaceState>, request: &Request) -> Result<Probed, ProbeError> {
    let began = now();
    let seconds = request.seconds.unwrap_or(USUAL);
    if !(1..=LONGEST).contains(&seconds) {
        return Err(ProbeError::Time(seconds));
    }
    let until = began + Duration::from_secs(seconds);
    let (plan, beside) = plans(face.face, &face.policy.load(), request)?;
    let mut stages = vec![plan.policy.clone().stage(Name::Policy, Duration::ZERO)];
    let found = find(face, &plan, request, until, &mut stages).await;
    let (named, until) = (request.at.is_some(), until - RESERVE);
    let further = beside.iter().flat_map(|plan| found.iter().map(move |target| (plan, true, target.clone())));
    let jobs = found.iter().map(|target| (&plan, false, target.clone())).chain(further);
    let jobs = jobs.map(|(plan, beside, target)| (Errand { beside, ..plan.errand(&target, named, until) }, target));
    let targets = attempts(face, jobs.collect(), if beside.is_empty() { AT_ONCE } else { TOGETHER }).await;
    let reached = |domain: Option<String>| targets.iter().any(|target| target.reached && target.domain == domain);
    let all_reached = reached(None) && beside.iter().all(|plan| reached(Some(plan.to.to_string())));
    let verdicts = stages.iter().map(|stage| stage.verdict).chain(targets.iter().map(|target| target.verdict));
    Ok(Probed {
        to: plan.to.to_string(),
        from: plan.from.as_ref().map(ToString::to_string),
        face: face.face.to_string(),
        verdict: Verdict::worst(verdicts),
        reached: all_reached,
        stages,
        targets,
        ms: milliseconds(since(began)),
    })
}

/// Where to dial, and what is said of how that is known.
async fn find(
    face: &FaceState,
    plan: &Plan,
    request: &Request,
    until: Instant,
    stages: &mut Vec<Stage>,
) -> Vec<Target> {
    if let Some(address) = request.at {
        let finding = Finding::skipped(format!("{address} was named"));
        stages.push(finding.stage(Name::Resolve, Duration::ZERO));
        return vec![Target { host: address.ip().to_string(), address, direct_tls: request.direct_tls }];
    }
    let began = now();
    let span = until.saturating_duration_since(began);
    let asked = timeout(span, async {
        match (&plan.next_hop, plan.whose) {
            (Some(hop), _) => hop_targets(face, hop).await,
            (None, Whose::NextHop) => {
                let finding = Finding::bad(format!("the entry of {} has no `next_hop`", plan.to))
                    .because("the server of a local domain is never looked for in DNS")
                    .mend(format!("give the `[[local]]` entry of {} a `next_hop`", plan.to));
                (finding, Vec::new())
            }
            (None, _) => domain_targets(face, plan).await,
        }
    });
    let (finding, targets) = asked.await.unwrap_or_else(|_| {
        let finding = Finding::bad(format!("DNS didn't answer within {} s", span.as_secs()))
            .because("the resolver is down, or can't reach the domain's name servers")
            .mend("see that the `resolvers` answer");
        (finding, Vec::new())
    });
    stages.push(finding.stage(Name::Resolve, since(began)));
    targets
}

async fn domain_targets(face: &FaceState, plan: &Plan) -> (Finding, Vec<Target>) {
    // What is remembered may be what somebody has just corrected.
    let resolver = match face.resolver.afresh() {
        Ok(resolver) => resolver,
        Err(error) => return (Finding::bad(error.to_string()), Vec::new()),
    };
    let ours = plan.whose == Whose::Own;
    let own: &[_] = if ours { &[] } else { &face.own_addresses };
    let guard = |address| if face.guards_targets() { may_dial(address, own) } else { Ok(()) };
    let mut survey = resolver.survey(&plan.to, &guard).await;
    let mut finding = names::finding(&survey, &plan.to, ours);
    let mut targets = std::mem::replace(&mut survey.targets, Ok(Vec::new())).unwrap_or_default();
    if plan.terms.tls == Need::NotSupported && targets.iter().all(|target| target.direct_tls) && !targets.is_empty() {
        finding = Finding::bad(format!("DNS knows only servers of {} with direct TLS", plan.to))
            .because("its entry says `tls = \"not-supported\"`")
            .mend("change that, or give the entry a `next_hop`");
    }
    targets.retain(|target| plan.terms.tls != Need::NotSupported || !target.direct_tls);
    (finding, targets)
}

async fn hop_targets(face: &FaceState, hop: &NextHop) -> (Finding, Vec<Target>) {
    let told = format!("its entry's `next_hop` is {}, port {}", hop.host, hop.port);
    let found = match face.resolver.afresh() {
        Ok(resolver) => resolver.host(&hop.host, hop.port, hop.direct_tls).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(targets) => (Finding::good(told), targets),
        Err(error) => {
            let finding = Finding::bad(error.to_string())
                .because("the host was renamed, or the `resolvers` don't know it")
                .mend("correct `next_hop`, or name an address in it");
            (finding, Vec::new())
        }
    }
}

/// What is to be done for the domain that is asked for, and for those for which the same address is looked at.
fn plans(face: Face, policy: &Policy, request: &Request) -> Result<(Plan, Vec<Plan>), ProbeError> {
    let further = request.also.len();
    if further > 0 && (request.at.is_none() || further >= TOGETHER) {
        return Err(ProbeError::Together(further));
    }
    let of = |domain: &String| plan(face, policy, &Request { to: domain.clone(), ..request.clone() });
    Ok((of(&request.to)?, request.also.iter().map(of).collect::<Result<_, _>>()?))
}

/// Each target probed, in their order, some beside each other.
async fn attempts(face: &Arc<FaceState>, jobs: Vec<(Errand, Target)>, at_once: usize) -> Vec<probe::Target> {
    let mut waiting = jobs.into_iter().enumerate();
    let mut running = JoinSet::new();
    let mut done = Vec::new();
    loop {
        while running.len() < at_once
            && let Some((index, (errand, target))) = waiting.next()
        {
            let face = face.clone();
            running.spawn(async move { (index, attempt::attempt(&face, &errand, &target).await) });
        }
        match running.join_next().await {
            Some(Ok(ended)) => done.push(ended),
            Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
            None => break,
        }
    }
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, target)| target).collect()
}
