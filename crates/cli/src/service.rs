//! `fedge service`: federation services, shown, stopped, started and drained.

use std::process::ExitCode;
use std::time::Duration;

use api::control::{Member, Service, ServiceDone};

use crate::args::{self, Control, Drain, Whose};
use crate::remote::{RemoteError, ask, print, when};
use crate::status::overview;

/// One of them failed, or isn't running.
const FAILED: u8 = 1;
/// It can't be told.
const TROUBLE: u8 = 2;
/// For a drain whose length the servers' own configurations say; controllers wait less.
const OWN: u64 = 660;
/// For all that isn't the drain; controllers wait less.
const ANSWER: u64 = 90;

pub(crate) fn run(control: &Control, command: args::Service) -> ExitCode {
    let good = match command {
        args::Service::Status { whose } => status(control, &whose),
        args::Service::Start { whose, why } => {
            order(control, "start", Drain { whose, deadline: None, why, force: false })
        }
        args::Service::Stop(drain) => order(control, "stop", drain),
        args::Service::Drain(drain) => order(control, "drain", drain),
    };
    match good {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => FAILED.into(),
        Err(error) => {
            eprintln!("{error}");
            TROUBLE.into()
        }
    }
}

/// For how long a drain with that deadline is waited for, in seconds.
fn patience(deadline: Option<u64>) -> u64 {
    deadline.map_or(OWN, |deadline| deadline + ANSWER)
}

/// Has federation services do something, and waits until they have, or no longer than `leave`: then there is no answer, and
/// it goes on.
///
/// # Errors
/// When it may not be done, or nobody answers.
pub(crate) fn command(
    control: &Control,
    asked: &Service,
    leave: Option<Duration>,
) -> Result<Option<Vec<ServiceDone>>, RemoteError> {
    let seconds = if asked.action == "start" { ANSWER } else { patience(asked.deadline) };
    ask(control, |client| async move {
        let answer = client.post_within("/v1/service", asked, Duration::from_secs(seconds));
        match tokio::time::timeout(leave.unwrap_or(Duration::MAX), answer).await {
            Ok(done) => Ok(Some(done?)),
            Err(_) => Ok(None),
        }
    })
}

/// Whether all did it.
fn order(control: &Control, action: &str, drain: Drain) -> Result<bool, RemoteError> {
    let Drain { whose, deadline, why, force } = drain;
    let (pool, server) = (whose.pool.map(|pool| pool.to_string()), whose.server.map(|server| server.to_string()));
    if pool.is_none() && server.is_none() {
        return Err(RemoteError::Wrong("say whose federation service: --pool or --server".to_owned()));
    }
    let asked = Service { action: action.to_owned(), pool, server, deadline, why, force };
    let done = command(control, &asked, None)?.unwrap_or_default();
    print(control, &done, |done| done.iter().map(|done| format!("{}: {}\n", done.server, done.what)).collect())?;
    Ok(done.iter().all(|done| done.done))
}

/// Whether all of them run.
fn status(control: &Control, whose: &Whose) -> Result<bool, RemoteError> {
    let overview = overview(control)?;
    let is_meant = |pool: &str, member: &str| match (&whose.pool, &whose.server) {
        (Some(wanted), _) => wanted.as_str() == pool,
        (_, Some(wanted)) => wanted.as_str() == member,
        (None, None) => true,
    };
    let pools = overview.sites.iter().flat_map(|site| &site.pools);
    let edges = pools.flat_map(|pool| pool.members.iter().map(move |member| (pool, member)));
    let meant: Vec<&Member> =
        edges.filter(|(pool, member)| is_meant(&pool.fqdn, &member.fqdn)).map(|(_, member)| member).collect();
    if meant.is_empty() {
        let what = "there is no such pool or edge server in the topology; `fedge status` lists them";
        return Err(RemoteError::Wrong(what.to_owned()));
    }
    print(control, &meant, |meant| meant.iter().map(|member| line(member)).collect())?;
    Ok(meant.iter().all(|member| member.service.as_deref() == Some("running")))
}

fn line(member: &Member) -> String {
    match (&member.service, member.service_since) {
        (Some(service), Some(since)) => format!("{}: it is {service}, since {}\n", member.fqdn, when(since)),
        (Some(service), None) => format!("{}: it is {service}\n", member.fqdn),
        (None, _) if member.state == "reached" => format!("{}: it says nothing of its service\n", member.fqdn),
        (None, _) => format!("{}: {}\n", member.fqdn, member.state),
    }
}
