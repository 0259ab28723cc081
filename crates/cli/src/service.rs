//! `fedge service`: federation services, shown, stopped, started and drained.

use std::process::ExitCode;
use std::time::Duration;

use api::control::{Member, Overview, Service, ServiceDone};

use crate::args::{self, Control, Drain, Whose};
use crate::remote::{RemoteError, ask, print, when};

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
            order(control, "start", Drain { whose, deadline: None, why, force: false }, ANSWER)
        }
        args::Service::Stop(drain) => drained(control, "stop", drain),
        args::Service::Drain(drain) => drained(control, "drain", drain),
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

fn drained(control: &Control, action: &str, drain: Drain) -> Result<bool, RemoteError> {
    let patience = drain.deadline.map_or(OWN, |deadline| deadline + ANSWER);
    order(control, action, drain, patience)
}

/// Whether all did it.
fn order(control: &Control, action: &str, drain: Drain, patience: u64) -> Result<bool, RemoteError> {
    let Drain { whose, deadline, why, force } = drain;
    let (pool, server) = (whose.pool.map(|pool| pool.to_string()), whose.server.map(|server| server.to_string()));
    if pool.is_none() && server.is_none() {
        return Err(RemoteError::Wrong("say whose federation service: --pool or --server".to_owned()));
    }
    let asked = Service { action: action.to_owned(), pool, server, deadline, why, force };
    let done: Vec<ServiceDone> = ask(control, |client| async move {
        Ok(client.post_within("/v1/service", &asked, Duration::from_secs(patience)).await?)
    })?;
    print(control, &done, |done| done.iter().map(|done| format!("{}: {}\n", done.server, done.what)).collect())?;
    Ok(done.iter().all(|done| done.done))
}

/// Whether all of them run.
fn status(control: &Control, whose: &Whose) -> Result<bool, RemoteError> {
    let overview: Overview = ask(control, |client| async move { Ok(client.get("/v1/status").await?) })?;
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
