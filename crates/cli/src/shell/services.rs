//! Stop-, Start- and Get-CsWindowsService: federation services, by the names that Lync's administrators know.

mod meant;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use api::control::{Overview, Service, ServiceDone};
use api::route::{Line, Operation};

pub(super) use self::meant::NAMES;
use self::meant::Target;
use super::bind::Call;
use super::calls;
use super::cmdlets::Verb;
use super::object::{Object, Output, Value};
use super::talk::{Outcome, ShellError, Talk};
use crate::args::Control;
use crate::remote::when;
use crate::route::{self, text};
use crate::service::command;
use crate::status::overview;

/// What the service is called.
const FEDGE: &str = "fedge-edge";
/// For what is under way, in seconds, unless it may take as long as it takes.
const USUAL: u64 = 30;
/// As long as it takes: the longest that controllers wait for.
const LONGEST: u64 = 3600;
/// Until it is known whether something may be done: a controller asks the others for 5 s at most.
const KNOWN: Duration = Duration::from_secs(8);
/// A move that goes on.
const RUNNING: u8 = 5;
/// For a move that waited for services to go on once they run.
const GOES_ON: Duration = Duration::from_secs(60);

const COLUMNS: [&str; 4] = ["ComputerName", "Status", "Name", "Result"];
const COLUMNS_OF_STATUS: [&str; 5] = ["ComputerName", "Status", "Name", "Pool", "ActivityLevel"];
const COLUMNS_WITHOUT: [&str; 4] = ["ComputerName", "Status", "Name", "Pool"];

/// Stops or starts them.
pub(super) fn change(
    control: &Control,
    host: &str,
    call: &Call,
    typed: &str,
    talk: &mut Talk,
) -> Result<Outcome, ShellError> {
    meant::check_names(call.all("Name")).map_err(ShellError::Usage)?;
    let is_stop = call.cmdlet.verb == Verb::StopService;
    let overview = overview(control)?;
    let targets = meant::targets(&overview, call.all("ComputerName"), host).map_err(ShellError::Refused)?;
    if call.is_on("WhatIf") {
        return Ok(Output::Text(targets.iter().map(|target| what_if(call, target)).collect()).into());
    }
    let report = call.one("Report").map(|file| report::at(file).map_err(ShellError::File)).transpose()?;
    let force = is_stop && may_stop(&overview, &targets, call, talk)?;
    if call.is_on("Confirm") {
        confirm(call, &targets, talk)?;
    }
    let waiting = if is_stop || call.is_on("NoWait") { None } else { waiting(control, &targets, talk) };
    let mut done = Vec::new();
    for target in &targets {
        let asked = Service {
            action: if is_stop { "stop" } else { "start" }.to_owned(),
            pool: target.pool.map(|pool| pool.fqdn.clone()),
            server: target.pool.is_none().then(|| target.edges[0].member.fqdn.clone()),
            deadline: is_stop.then_some(if call.is_on("Graceful") { LONGEST } else { USUAL }),
            why: typed.to_owned(),
            force,
        };
        talk.verbose(&format!("{} {}", asked.action, target.name()));
        done.extend(one(control, &asked, target, call.is_on("NoWait"), talk));
    }
    let trouble: Vec<String> = done.iter().filter_map(Done::trouble).collect();
    let output = Output::table(done.iter().map(|done| done.object(is_stop)).collect(), &COLUMNS);
    if let Some(file) = report {
        let written = report::write(&file, typed, &output);
        written.map_err(|what| ShellError::Part { output: output.clone(), what })?;
    }
    if !trouble.is_empty() {
        let what = trouble.join("\n");
        let changed = done.iter().any(|done| !matches!(done, Done::Refused { .. }));
        return Err(if changed { ShellError::Part { output, what } } else { ShellError::Refused(what) });
    }
    let rests = waiting.map(|waiting| goes_on(control, &waiting, talk));
    Ok(Outcome { output: Some(output), rests })
}

/// What came of it at one edge server, or at all that one name means.
enum Done {
    Told(ServiceDone),
    /// It goes on.
    Left {
        server: String,
    },
    Refused {
        name: String,
        what: String,
    },
}

impl Done {
    fn trouble(&self) -> Option<String> {
        match self {
            Done::Told(done) if !done.done => Some(format!("{}: {}", done.server, done.what)),
            Done::Refused { name, what } => Some(format!("{name}: {what}")),
            Done::Told(_) | Done::Left { .. } => None,
        }
    }

    fn object(&self, is_stop: bool) -> Object {
        let (server, status, result) = match (self, is_stop) {
            (Done::Told(done), true) if done.done => (&done.server, "Stopped", done.what.as_str()),
            (Done::Told(done), false) if done.done => (&done.server, "Running", done.what.as_str()),
            (Done::Told(done), _) => (&done.server, "Unknown", done.what.as_str()),
            (Done::Left { server }, true) => (server, "StopPending", "it goes on"),
            (Done::Left { server }, false) => (server, "StartPending", "it goes on"),
            (Done::Refused { name, what }, _) => (name, "Unknown", what.as_str()),
        };
        Object(vec![
            ("ComputerName", server.as_str().into()),
            ("Status", status.into()),
            ("Name", FEDGE.into()),
            ("Result", result.into()),
        ])
    }
}

/// Has it done. Of several names, one that is refused keeps nothing from the others.
fn one(control: &Control, asked: &Service, target: &Target, leave: bool, talk: &mut Talk) -> Vec<Done> {
    match command(control, asked, leave.then_some(KNOWN)) {
        Ok(Some(done)) => done.into_iter().map(Done::Told).collect(),
        Ok(None) => {
            talk.verbose(&format!("{} goes on", target.name()));
            target.edges.iter().map(|edge| Done::Left { server: edge.member.fqdn.clone() }).collect()
        }
        Err(error) => vec![Done::Refused { name: target.name().to_owned(), what: error.to_string() }],
    }
}

/// Whether it is to be done although federation stops by it; an error where it isn't to be.
fn may_stop(overview: &Overview, targets: &[Target], call: &Call, talk: &mut Talk) -> Result<bool, ShellError> {
    if call.is_on("Force") || !meant::ends_federation(overview, targets) {
        return Ok(call.is_on("Force"));
    }
    let what = format!(
        "{} carries the federation route, and no other of its edge servers would take partners in: federation stops.",
        overview.route.pool
    );
    if !talk.can_ask() {
        let fix = "move the route first with Set-CsSite, or say -Force where that is what you want";
        return Err(ShellError::Refused(format!("{what} Nobody can be asked here; {fix}")));
    }
    if talk.ask(&format!("{what} Stop them all the same?")) {
        Ok(true)
    } else {
        Err(ShellError::Refused("nothing was stopped".to_owned()))
    }
}

fn confirm(call: &Call, targets: &[Target], talk: &mut Talk) -> Result<(), ShellError> {
    if !talk.can_ask() {
        return Err(ShellError::Refused("-Confirm asks, and nobody can answer here; leave it out".to_owned()));
    }
    let question: String = targets.iter().map(|target| performed(call, target)).collect::<Vec<_>>().join("\n");
    if talk.ask(&question) { Ok(()) } else { Err(ShellError::Refused("nothing was done".to_owned())) }
}

fn performed(call: &Call, target: &Target) -> String {
    format!("Performing the operation \"{}\" on target \"{FEDGE} of {}\".", call.cmdlet.name, target.told())
}

fn what_if(call: &Call, target: &Target) -> String {
    format!("What if: {}\n", performed(call, target))
}

/// The move of the route that waits for these services, if one does. Once they run it may be over before it is found.
fn waiting(control: &Control, targets: &[Target], talk: &mut Talk) -> Option<Operation> {
    let meant = |pool: &str| targets.iter().flat_map(|target| &target.edges).any(|edge| edge.pool.fqdn == pool);
    match calls::verifying(control) {
        Ok(found) => found.filter(|operation| meant(&operation.to)),
        Err(error) => {
            talk.warn(&format!("it isn't known whether a move of the route waits for them: {error}"));
            None
        }
    }
}

/// Follows it; gives the exit status that says how it came to rest.
fn goes_on(control: &Control, waiting: &Operation, talk: &mut Talk) -> u8 {
    let number = waiting.number;
    talk.say(&format!("operation {number} goes on: the {} to {}", waiting.kind, waiting.to));
    let mut say = |operation: &Operation, line: &Line| talk.say(text::line(operation, line).trim_end());
    match route::follow(control, number, waiting.journal.len(), GOES_ON, &mut say) {
        Ok(operation) => {
            talk.say(text::end(&operation).trim_end());
            route::exit(&operation)
        }
        Err(error) => {
            talk.warn(&format!("operation {number} goes on, and can't be followed: {error}"));
            RUNNING
        }
    }
}

/// Shows how they are.
pub(super) fn show(control: &Control, host: &str, call: &Call, typed: &str) -> Result<Outcome, ShellError> {
    meant::check_names(call.all("Name")).map_err(ShellError::Usage)?;
    let overview = overview(control)?;
    let edges = meant::shown(&overview, call.all("ComputerName"), host).map_err(ShellError::Refused)?;
    let report: Option<PathBuf> =
        call.one("Report").map(|file| report::at(file).map_err(ShellError::File)).transpose()?;
    let objects = edges.iter().map(|edge| status(edge, call.is_on("ExcludeActivityLevel"))).collect();
    let columns: &[&str] = if call.is_on("ExcludeActivityLevel") { &COLUMNS_WITHOUT } else { &COLUMNS_OF_STATUS };
    let output = Output::table(objects, columns);
    if let Some(file) = report {
        report::write(&file, typed, &output).map_err(ShellError::File)?;
    }
    Ok(output.into())
}

fn status(edge: &super::names::Edge, brief: bool) -> Object {
    let member = edge.member;
    let status = match (member.service.as_deref(), member.state.as_str()) {
        (Some("running"), _) => "Running",
        (Some("draining"), _) => "StopPending",
        (Some("stopped"), _) => "Stopped",
        (Some("resting"), _) => "Resting",
        (_, "not enrolled") => "NotEnrolled",
        (_, "unreachable") => "Unreachable",
        _ => "Unknown",
    };
    let activity = match (member.streams, member.partners) {
        (Some(streams), Some(partners)) => Value::Text(format!("Streams={streams}, Partners={partners}")),
        _ => Value::Nothing,
    };
    let since = member.service_since.map(when).map_or(Value::Nothing, Value::Text);
    Object(vec![
        ("ComputerName", member.fqdn.as_str().into()),
        ("Status", status.into()),
        ("Name", FEDGE.into()),
        ("DisplayName", "fedge federation service".into()),
        ("Pool", edge.pool.fqdn.as_str().into()),
        ("CarriesRoute", Value::Flag(edge.pool.routed)),
        ("Since", since),
        ("ActivityLevel", if brief { Value::Nothing } else { activity }),
    ])
}
