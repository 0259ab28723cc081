//! `fedge status` and `fedge enrol`: how everything is, and one member more.

use std::process::ExitCode;
use std::time::Duration;

use api::control::{Done, Enrol, Member, Overview};
use comfy_table::{ContentArrangement, Table, presets};
use topology::fqdn::Fqdn;

use crate::args::Control;
use crate::remote::{RemoteError, ask, print, when};

/// Something is wrong.
const WRONG: u8 = 1;
/// It can't be told.
const TROUBLE: u8 = 2;
/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// Clears a terminal and begins at its top.
const CLEAR: &str = "\x1b[2J\x1b[H";

pub(crate) fn run(control: &Control, watch: bool) -> ExitCode {
    let shown = ask(control, |client| async move {
        loop {
            let overview: Overview = client.get("/v1/status").await?;
            if watch && !control.json {
                print!("{CLEAR}");
            }
            print(control, &overview, text)?;
            if !watch {
                return Ok(overview.wrong.is_empty());
            }
            tokio::time::sleep(LOOK).await;
        }
    });
    match shown {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => WRONG.into(),
        Err(error) => {
            eprintln!("{error}");
            TROUBLE.into()
        }
    }
}

/// How everything is.
///
/// # Errors
/// When nobody answers.
pub(crate) fn overview(control: &Control) -> Result<Overview, RemoteError> {
    ask(control, |client| async move { Ok(client.get("/v1/status").await?) })
}

pub(crate) fn enrol(control: &Control, fqdn: &Fqdn, fingerprint: String) -> Result<(), RemoteError> {
    let done: Done = ask(control, |client| async move {
        Ok(client.post(&format!("/v1/members/{fqdn}/enrol"), &Enrol { fingerprint }).await?)
    })?;
    Ok(print(control, &done, |done| format!("{}\n", done.what))?)
}

fn text(overview: &Overview) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([
        "site",
        "pool",
        "member",
        "role",
        "state",
        "since",
        "topology",
        "epoch",
        "service",
        "streams",
        "partners",
        "certificate",
    ]);
    for site in &overview.sites {
        for pool in &site.pools {
            let name = if pool.routed { format!("{} (route)", pool.fqdn) } else { pool.fqdn.clone() };
            for member in &pool.members {
                table.add_row(row(&site.name, &name, member));
            }
        }
        for member in &site.members {
            table.add_row(row(&site.name, "", member));
        }
    }
    let route = &overview.route;
    let mut text = format!(
        "{}: topology {}, route on {}, epoch {}; told by {}\n\n",
        overview.installation, overview.version, route.pool, route.epoch, overview.controller
    );
    // What is wider than the terminal is better cut there than here.
    text.extend(table.lines().map(|line| line.trim_end().to_owned() + "\n"));
    text.push('\n');
    if overview.wrong.is_empty() {
        text.push_str("nothing is wrong\n");
    }
    for wrong in &overview.wrong {
        let since = if wrong.since == 0 { String::new() } else { format!(" (since {})", when(wrong.since)) };
        text.push_str(&format!("{}: {}{since}\n", wrong.at, wrong.what));
    }
    text
}

fn row(site: &str, pool: &str, member: &Member) -> Vec<String> {
    let dash = || "-".to_owned();
    let number = |number: Option<u64>| number.map_or_else(dash, |number| number.to_string());
    let since = if member.since == 0 { dash() } else { when(member.since) };
    let soonest = member.certificates.iter().map(|certificate| certificate.days_left).min();
    vec![
        site.to_owned(),
        pool.to_owned(),
        member.fqdn.clone(),
        member.role.clone(),
        member.state.clone(),
        since,
        number(member.version),
        epoch(member),
        member.service.clone().unwrap_or_else(dash),
        number(member.streams),
        number(member.partners),
        soonest.map_or_else(dash, |days| format!("{days} d")),
    ]
}

/// The epoch of its route, and whether it knows that this is the route.
fn epoch(member: &Member) -> String {
    match (member.epoch, member.confirmed) {
        (Some(epoch), Some(false)) => format!("{epoch}, unconfirmed"),
        (Some(epoch), _) => epoch.to_string(),
        (None, _) => "-".to_owned(),
    }
}
