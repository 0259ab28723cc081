//! Set-CsSite: the federation route moved to another pool, by a plan that is made first.

use std::time::Duration;

use api::route::{Condition, Kind, Move, Operation, Plan, Wish};
use topology::fqdn::Fqdn;

use super::bind::{Call, listed};
use super::names::{meant, site, without};
use super::object::{Object, Output, Value};
use super::talk::{Outcome, ShellError, Talk};
use crate::args::Control;
use crate::route::{self, text};
use crate::status::overview;

/// The codes of conditions about the pool that carries the route begin so.
const OLD: &str = "old-";

pub(super) fn set(control: &Control, call: &Call, typed: &str, talk: &mut Talk) -> Result<Outcome, ShellError> {
    let identity = call.one("Identity").expect("it is mandatory");
    let to = target(call.one("XmppFederationRoute").expect("it is mandatory")).map_err(ShellError::Usage)?;
    let overview = overview(control)?;
    let site = site(&overview, identity).map_err(ShellError::Refused)?.name.clone();
    let meant = meant(&overview, &to).map_err(ShellError::Refused)?;
    let pool = meant.pool.map_or_else(|| meant.edges[0].pool.fqdn.clone(), |pool| pool.fqdn.clone());
    if pool == overview.route.pool {
        talk.warn(&format!("{pool} carries the federation route already; nothing was changed"));
        return Ok(Output::list(vec![object(&site, &pool, overview.route.epoch, None, "unchanged")]).into());
    }
    talk.verbose(&format!("{to} means the pool {pool}; asking for a plan"));
    let plan = made(control, &pool, talk)?;
    for warning in &plan.warnings {
        talk.warn(warning);
    }
    for condition in plan.conditions.iter().filter(|condition| condition.holds) {
        talk.verbose(&format!("{}: {}", condition.code, condition.seen));
    }
    if call.is_on("WhatIf") {
        return what_if(&plan, &site, talk);
    }
    let plan = accepted(control, plan, call.is_on("Force"), talk)?;
    if call.is_on("Confirm") {
        confirm(&plan, &site, talk)?;
    }
    let wish = wish(&plan);
    let begun = route::begin(control, &Move { wish, plan: Some(plan.hash.clone()), why: typed.to_owned() })?;
    let Some(number) = begun.operation else { return Err(refused(begun.plan.refusals())) };
    talk.say(&format!("operation {number}: the {} from {} to {}, epoch {}", plan.kind, plan.from, plan.to, plan.epoch));
    let records = text::records(&begun.plan);
    if !records.is_empty() {
        talk.say(records.trim());
    }
    if call.is_on("NoWait") {
        let object = object(&site, &plan.to, plan.epoch, Some(number), "begun");
        return Ok(Outcome { output: Some(Output::list(vec![object])), rests: Some(5) });
    }
    let operation = route::follow(control, number, 0, Duration::ZERO, &mut |operation, line| {
        talk.say(text::line(operation, line).trim_end());
    })?;
    ended(&site, &operation, talk)
}

/// The name of what is to carry the route, without what may stand before it.
fn target(given: &str) -> Result<String, String> {
    let name = without(without(given, "EdgeServer:"), "pool:").trim_end_matches('.');
    match name.parse::<Fqdn>() {
        Ok(fqdn) => Ok(fqdn.to_string()),
        Err(error) => Err(format!("{error}; the route leads to a pool, or to an edge server of it")),
    }
}

/// A switchover's plan; a failover's, where what refuses the switchover is that the old pool doesn't work.
fn made(control: &Control, pool: &str, talk: &mut Talk) -> Result<Plan, ShellError> {
    let wish = |kind| Wish { kind, to: Some(pool.to_owned()), accept: Vec::new() };
    let switchover = route::plan(control, &wish(Kind::Switchover))?;
    if !is_about_old_pool(&switchover) {
        return Ok(switchover);
    }
    for condition in switchover.refusals().filter(|condition| condition.code.starts_with(OLD)) {
        talk.warn(&format!("{}; so this is a failover", condition.seen));
    }
    Ok(route::plan(control, &wish(Kind::Failover))?)
}

/// Whether something refuses it, and all that does is about the old pool; what may be accepted doesn't count.
fn is_about_old_pool(plan: &Plan) -> bool {
    let is_old = |condition: &Condition| condition.code.starts_with(OLD);
    plan.refusals().any(is_old) && plan.refusals().all(|condition| is_old(condition) || condition.waivable)
}

/// The plan with all accepted that need not hold.
fn accepted(control: &Control, plan: Plan, force: bool, talk: &mut Talk) -> Result<Plan, ShellError> {
    if plan.refusals().next().is_none() {
        return Ok(plan);
    }
    if plan.refusals().any(|condition| !condition.waivable) || !force && !talk.can_ask() {
        return Err(refused(plan.refusals()));
    }
    let mut accept = Vec::new();
    for condition in plan.refusals() {
        if force {
            talk.warn(&format!("{} is accepted not to hold: {}", condition.code, condition.seen));
        } else {
            let question = format!("{}: {}\n{}\nDo it all the same?", condition.code, condition.seen, condition.fix);
            if !talk.ask(&question) {
                return Err(refused(plan.refusals()));
            }
        }
        accept.push(condition.code.clone());
    }
    let plan = route::plan(control, &Wish { kind: plan.kind, to: Some(plan.to.clone()), accept })?;
    if plan.refusals().next().is_some() {
        return Err(refused(plan.refusals()));
    }
    Ok(plan)
}

fn refused<'a>(refusals: impl Iterator<Item = &'a Condition>) -> ShellError {
    let mut what = "the route was not moved:".to_owned();
    for condition in refusals {
        what += &format!("\n{}: {}; {}", condition.code, condition.seen, condition.fix);
        if condition.waivable {
            what += &format!("; it need not hold where you accept that: -Force, or --accept {}", condition.code);
        }
    }
    ShellError::Refused(what)
}

/// The move of this plan, with what it accepts.
fn wish(plan: &Plan) -> Wish {
    let accepted = plan.conditions.iter().filter(|condition| condition.accepted);
    Wish {
        kind: plan.kind,
        to: Some(plan.to.clone()),
        accept: accepted.map(|condition| condition.code.clone()).collect(),
    }
}

fn performed(plan: &Plan, site: &str) -> String {
    let (kind, from, to) = (plan.kind, &plan.from, &plan.to);
    format!("Performing the operation \"Set-CsSite\" on target \"{site}\": a {kind} from {from} to {to}.")
}

fn what_if(plan: &Plan, site: &str, talk: &mut Talk) -> Result<Outcome, ShellError> {
    let text = format!("What if: {}\n\n{}", performed(plan, site), text::plan(plan));
    let refusals: Vec<&str> = plan.refusals().map(|condition| condition.code.as_str()).collect();
    if refusals.is_empty() {
        return Ok(Output::Text(text).into());
    }
    talk.warn(&format!("it would be refused: {}", listed(refusals)));
    Ok(Outcome { output: Some(Output::Text(text)), rests: Some(2) })
}

fn confirm(plan: &Plan, site: &str, talk: &mut Talk) -> Result<(), ShellError> {
    if !talk.can_ask() {
        return Err(ShellError::Refused("-Confirm asks, and nobody can answer here; leave it out".to_owned()));
    }
    if talk.ask(&format!("{}\n{}", text::plan(plan), performed(plan, site))) {
        Ok(())
    } else {
        Err(ShellError::Refused("the route was not moved".to_owned()))
    }
}

fn ended(site: &str, operation: &Operation, talk: &mut Talk) -> Result<Outcome, ShellError> {
    let status = route::exit(operation);
    let last = operation.journal.last().map_or("", |line| line.what.as_str());
    if status == 3 {
        return Err(ShellError::RolledBack(format!("the route is where it was: {last}")));
    }
    if let Some(waits) = &operation.waits {
        talk.warn(&format!("operation {} waits: {waits}", operation.number));
    }
    let object = object(site, &operation.to, operation.epoch, Some(operation.number), operation.state.word());
    Ok(Outcome { output: Some(Output::list(vec![object])), rests: Some(status) })
}

fn object(site: &str, pool: &str, epoch: u64, operation: Option<u64>, state: &str) -> Object {
    Object(vec![
        ("Site", site.into()),
        ("XmppFederationRoute", Value::Text(format!("EdgeServer:{pool}"))),
        ("Epoch", Value::Number(epoch)),
        ("Operation", operation.map_or(Value::Nothing, Value::Number)),
        ("State", state.into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(conditions: &[(&str, bool, bool)]) -> Plan {
        let condition = |(code, holds, waivable): &(&str, bool, bool)| Condition {
            code: (*code).to_owned(),
            holds: *holds,
            seen: format!("{code} was seen"),
            fix: "mend it".to_owned(),
            waivable: *waivable,
            accepted: false,
        };
        Plan {
            hash: "abc".to_owned(),
            kind: Kind::Switchover,
            from: "pool1.contoso.test".to_owned(),
            to: "pool2.contoso.test".to_owned(),
            epoch: 2,
            pools: Vec::new(),
            conditions: conditions.iter().map(condition).collect(),
            warnings: Vec::new(),
            steps: Vec::new(),
            records: Vec::new(),
        }
    }

    #[test]
    fn the_target_may_be_written_as_lync_wrote_it() {
        for given in [
            "EdgeServer2.contoso.com",
            "EdgeServer:edgeserver2.contoso.com",
            "edgeserver:pool:EDGESERVER2.contoso.com",
            "Pool:edgeserver2.contoso.com.",
        ] {
            assert_eq!(target(given).as_deref(), Ok("edgeserver2.contoso.com"), "{given}");
        }
        assert!(target("edge2").expect_err("no name").contains("fully qualified"));
        assert!(target("EdgeServer:").is_err());
    }

    #[test]
    fn a_failover_is_what_a_switchover_is_refused_for() {
        for (conditions, is_failover) in [
            (vec![("old-serves", true, false), ("target-serves", true, false)], false),
            (vec![("old-serves", false, false), ("target-serves", true, false)], true),
            (vec![("old-serves", false, false), ("target-serves", false, false)], false),
            (vec![("old-serves", false, false), ("dns-reachable", false, true)], true),
            (vec![("old-serves", true, false), ("dns-reachable", false, true)], false),
        ] {
            assert_eq!(is_about_old_pool(&plan(&conditions)), is_failover, "{conditions:?}");
        }
    }

    #[test]
    fn a_refusal_names_codes_what_was_seen_and_what_to_do() {
        let plan = plan(&[("target-serves", false, false), ("dns-reachable", false, true), ("clock", true, false)]);
        let told = refused(plan.refusals()).to_string();
        assert_eq!(
            told,
            "the route was not moved:\ntarget-serves: target-serves was seen; mend it\n\
             dns-reachable: dns-reachable was seen; mend it; it need not hold where you accept that: -Force, or --accept \
             dns-reachable"
        );
    }
}
