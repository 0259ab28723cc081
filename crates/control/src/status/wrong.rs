//! What somebody should look at: of the installation, and of each member.

use std::time::{Duration, SystemTime};

use agent::keep::Seen;
use api::agent::Hello;
use api::local::{ServiceState, Status};
use topology::document;

use super::{Finding, at_second, days_left, plain};
use crate::members::Picture;
use crate::publish::Current;

/// A member's certificate for controllers is renewed a month before its end; one that isn't by then is somebody's concern.
const CONTROL_DAYS: u16 = 21;
/// The others are renewed by whoever made them; most programs that do so begin a month before the end.
const DAYS: u16 = 14;
/// More concerns of one member are no help to anybody.
const CONCERNS: usize = 50;
/// A member is asked every few seconds how it is.
const SILENCE: Duration = Duration::from_secs(30);

/// Of the installation as a whole.
pub(super) fn of_all(picture: &Picture, current: &Current) -> Vec<Finding> {
    let at = &current.topology.installation;
    let mut findings = Vec::new();
    if let Some((since, why)) = &picture.blind {
        let what = format!("the store can't be asked: {why}; everything goes on as it was, and nothing can be changed");
        findings.push(Finding { at: at.clone(), what, since: Some(*since) });
    }
    let behind = picture.behind.clone().map(|what| Finding { at: at.clone(), what, since: None });
    findings.extend(behind);
    findings
}

/// Of a member.
pub(super) fn of_member(
    member: &document::Member,
    enrolled: bool,
    seen: Option<&Seen>,
    current: &Current,
    now: SystemTime,
) -> Vec<Finding> {
    let at = member.fqdn.to_string();
    // Much of it is in the member's words.
    let finding = |what: String, since: Option<SystemTime>| Finding { at: at.clone(), what: plain(&what), since };
    if member.role == document::Role::Controller {
        return Vec::new();
    }
    if !enrolled {
        let what = "it is in the topology and not enrolled; run its command `enrol` on it (docs/enrolment.md)";
        return vec![finding(what.to_owned(), None)];
    }
    let Some(seen) = seen else { return vec![finding("it was not dialed yet".to_owned(), None)] };
    let mut findings = Vec::new();
    let Some(hello) = seen.hello.as_ref().filter(|_| seen.connected) else {
        let what = seen.problem.clone().unwrap_or_else(|| "it was not reached yet".to_owned());
        findings.push(finding(what, Some(seen.since)));
        findings.extend(certificates(seen, now).map(|(what, since)| finding(what, Some(since))));
        return findings;
    };
    findings.extend(seen.problem.iter().map(|problem| finding(problem.clone(), None)));
    if seen.problem.is_none() {
        findings.extend(behind(hello, current).map(|what| finding(what, None)));
    }
    let mut concerns = hello.concerns.clone();
    match &seen.status {
        Some((status, at)) => {
            concerns.extend(status.concerns.iter().filter(|concern| !hello.concerns.contains(concern)).cloned());
            findings.extend(stopped(member, status).map(|(what, since)| finding(what, Some(since))));
            findings.extend(silent(*at, now).map(|what| finding(what, Some(*at))));
        }
        None => findings.extend(silent(seen.since, now).map(|what| finding(what, Some(seen.since)))),
    }
    findings.extend(concerns.into_iter().take(CONCERNS).map(|concern| finding(concern, None)));
    findings.extend(certificates(seen, now).map(|(what, since)| finding(what, Some(since))));
    findings
}

/// It doesn't go by what is current, and not because it knows better.
fn behind(hello: &Hello, current: &Current) -> Option<String> {
    let at = hello.have.as_ref().map_or((0, 0), |have| (have.version, have.route.epoch));
    if at.0 < current.version || at.1 < current.route.epoch {
        let (version, epoch) = (current.version, current.route.epoch);
        return Some(format!("it goes by version {}, epoch {}, and {version}, {epoch} is current", at.0, at.1));
    }
    (!hello.applied).then(|| "it has what is current, and couldn't be made to go by it; look into its log".to_owned())
}

fn silent(since: SystemTime, now: SystemTime) -> Option<String> {
    let silent = now.duration_since(since).is_ok_and(|passed| passed > SILENCE);
    silent.then(|| "it is connected, and doesn't say how it is; is its machine busy, or the daemon frozen?".to_owned())
}

/// Whoever stopped a service meant it, and may forget it.
fn stopped(member: &document::Member, status: &Status) -> Option<(String, SystemTime)> {
    let service = status.service.as_ref().filter(|service| service.state == ServiceState::Stopped)?;
    let what =
        format!("its federation service is stopped; `fedge service start --server {}` starts it again", member.fqdn);
    Some((what, at_second(service.since)))
}

/// Those that end soon, or have ended, and since when that can be said of them.
fn certificates(seen: &Seen, now: SystemTime) -> impl Iterator<Item = (String, SystemTime)> {
    let control = seen.hello.as_ref().and_then(|hello| hello.certificate).map(|validity| {
        let what = "its certificate for controllers".to_owned();
        (what, "no controller has renewed it", validity.not_after, CONTROL_DAYS)
    });
    let others = seen.status.iter().flat_map(|(status, _)| &status.certificates).map(|certificate| {
        let what = format!("its {} certificate {}", certificate.used_for, certificate.name);
        (what, "lay down a new one", certificate.not_after, DAYS)
    });
    let ends = move |(what, fix, not_after, days): (String, &str, u64, u16)| {
        let left = days_left(not_after, now);
        let told = match left {
            ..0 => format!("{what} has expired; {fix}"),
            0 => format!("{what} ends within a day; {fix}"),
            1 => format!("{what} has 1 day left; {fix}"),
            _ => format!("{what} has {left} days left; {fix}"),
        };
        let since = at_second(not_after.saturating_sub(u64::from(days) * 24 * 3600));
        (left < i64::from(days)).then_some((told, since))
    };
    control.into_iter().chain(others).filter_map(ends).collect::<Vec<_>>().into_iter()
}
