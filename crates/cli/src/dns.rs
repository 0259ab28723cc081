//! `fedge dns`: the names by which partners find the pools, planned, published, checked and watched.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use api::control::Done;
use api::dns::{Answers, Applied, Apply, Check, Checked, Contents, ForgetKey, Plan, Severity, Signed, Wish};

use crate::args::Control;
use crate::remote::{RemoteError, ask, print};

mod text;
mod tlsa;

/// Something is wrong, or differs from what should be.
const DIFFERS: u8 = 1;
/// Refused: nothing was changed.
const REFUSED: u8 = 2;
/// Something has been refused while other zones were changed.
const PARTLY: u8 = 4;
/// Somebody else has to do the rest, or to go on.
const WAITS: u8 = 5;
/// It can't be told.
const TROUBLE: u8 = 3;
/// All names are asked for at all servers.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks of whoever watches.
const LOOK: Duration = Duration::from_secs(1);

/// What can be done about DNS outside.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Dns {
    /// Say what differs in each zone from what should be there, and who changes it. Exits with 1 where something does.
    Plan(Meant),
    /// Have zones hold what they should: at once where a name server takes updates; where somebody else changes a zone, print
    /// what to send. Exits with 2 where it was refused, 4 where only some zones were changed, 5 where somebody has to do the
    /// rest.
    Apply(Applying),
    /// Ask every name server, and resolvers, for every name, look at the addresses from outside, and say what is wrong. Exits
    /// with 1 where partners don't find us or find the wrong pool, and with 0 where there are only warnings.
    Check(Asked),
    /// Say by which TLSA records the certificates are known that edge servers show outside, ready for the topology, and which of
    /// the declared ones fit. Exits with 1 where none fits something that is shown.
    Tlsa {
        /// Of which pool; of all of them where none is named.
        #[arg(value_name = "POOL")]
        pool: Option<String>,
    },
    /// Print what a zone should hold of ours, as lines of a zone file.
    Zone {
        /// Which; all of them where none is named.
        #[arg(value_name = "ZONE")]
        zone: Option<String>,
    },
    /// Print by what the parent of a signed zone is to know its key: the DS record, and the DNSKEY record where it asks for that,
    /// as lines of a zone file. Exits with 2 where no zone is signed.
    Ds {
        /// Which; all that are signed where none is named.
        #[arg(value_name = "ZONE")]
        zone: Option<String>,
    },
    /// Forget the key of a zone that isn't signed any more, so that it gets another when it is signed again.
    ForgetKey {
        /// Which zone.
        #[arg(value_name = "ZONE")]
        zone: String,
        /// Why, for the audit trail.
        #[arg(long, default_value = "")]
        why: String,
    },
    /// Say what every name server and resolver answers for each name, and go on until all answer what they should.
    Watch(Watching),
}

/// Which zones are meant.
#[derive(Debug, clap::Args)]
pub(crate) struct Meant {
    /// A zone; all of them where none is named. It may be given several times.
    #[arg(long = "zone", value_name = "ZONE")]
    zones: Vec<String>,
}

/// How zones are changed.
#[derive(Debug, clap::Args)]
pub(crate) struct Applying {
    #[command(flatten)]
    meant: Meant,
    /// Take over names at which there is something of somebody else. The plan shows what.
    #[arg(long)]
    adopt: bool,
    /// Carry out this plan and no other.
    #[arg(long, value_name = "HASH")]
    plan: Option<String>,
    /// Don't ask.
    #[arg(long)]
    yes: bool,
    /// Why, for the audit trail.
    #[arg(long, default_value = "")]
    why: String,
}

/// Who is asked besides.
#[derive(Debug, clap::Args)]
pub(crate) struct Asked {
    /// A recursive resolver that is asked, too: an address, if need be with a port. It may be given several times.
    #[arg(long = "resolver", value_name = "ADDRESS")]
    resolvers: Vec<String>,
}

/// How long it is watched.
#[derive(Debug, clap::Args)]
pub(crate) struct Watching {
    #[command(flatten)]
    asked: Asked,
    /// Look once, and exit with 1 where something isn't what it should be.
    #[arg(long)]
    once: bool,
}

pub(crate) fn run(control: &Control, command: Dns) -> ExitCode {
    let done = match command {
        Dns::Plan(meant) => plan(control, meant),
        Dns::Apply(asked) => apply(control, asked),
        Dns::Check(asked) => check(control, asked),
        Dns::Tlsa { pool } => tlsa::run(control, pool),
        Dns::Zone { zone } => contents(control, zone.as_deref()),
        Dns::Ds { zone } => signed(control, zone.as_deref()),
        Dns::ForgetKey { zone, why } => forget_key(control, ForgetKey { zone, why }),
        Dns::Watch(asked) => watch(control, asked),
    };
    match done {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("{error}");
            if error.is_refusal() { REFUSED } else { TROUBLE }.into()
        }
    }
}

fn planned(control: &Control, zones: Vec<String>) -> Result<Plan, RemoteError> {
    let wish = Wish { zones };
    ask(control, |client| async move { Ok(client.post_within("/v1/dns/plan", &wish, PATIENCE).await?) })
}

fn plan(control: &Control, meant: Meant) -> Result<u8, RemoteError> {
    let plan = planned(control, meant.zones)?;
    print(control, &plan, text::plan)?;
    Ok(if plan.zones.iter().all(|zone| zone.is_done() && zone.zone.changes.is_empty()) { 0 } else { DIFFERS })
}

fn apply(control: &Control, asked: Applying) -> Result<u8, RemoteError> {
    let Applying { meant, adopt, mut plan, yes, why } = asked;
    if plan.is_none() && !yes {
        let found = planned(control, meant.zones.clone())?;
        eprint!("{}", text::plan(&found));
        if !std::io::stdin().is_terminal() {
            eprintln!("nothing was changed: confirm it with `--yes`, or with `--plan {}`", found.hash);
            return Ok(REFUSED);
        }
        eprint!("Go on? [y/N] ");
        std::io::stderr().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(REFUSED);
        }
        plan = Some(found.hash);
    }
    let asked = Apply { zones: meant.zones, adopt, plan, why };
    let all: Vec<Applied> =
        ask(control, |client| async move { Ok(client.post_within("/v1/dns/apply", &asked, PATIENCE).await?) })?;
    print(control, &all, |all| text::applied(all))?;
    Ok(status(&all))
}

fn status(all: &[Applied]) -> u8 {
    match (all.iter().any(|one| one.refused), all.iter().all(|one| one.refused)) {
        (true, true) => REFUSED,
        (true, false) => PARTLY,
        (false, _) if all.iter().all(|one| one.done) => 0,
        (false, _) => WAITS,
    }
}

fn check(control: &Control, asked: Asked) -> Result<u8, RemoteError> {
    let check = Check { resolvers: asked.resolvers };
    let checked: Checked =
        ask(control, |client| async move { Ok(client.post_within("/v1/dns/check", &check, PATIENCE).await?) })?;
    print(control, &checked, text::checked)?;
    Ok(if checked.findings.iter().any(|finding| finding.severity == Severity::Fault) { DIFFERS } else { 0 })
}

fn contents(control: &Control, zone: Option<&str>) -> Result<u8, RemoteError> {
    let mut all: Vec<Contents> = ask(control, |client| async move { Ok(client.get("/v1/dns/zones").await?) })?;
    if let Some(zone) = zone {
        let name = zone.trim_end_matches('.').to_ascii_lowercase();
        all.retain(|contents| contents.zone.trim_end_matches('.') == name);
        if all.is_empty() {
            eprintln!("there is no zone {zone} in the topology; `fedge dns zone` names them");
            return Ok(REFUSED);
        }
    }
    print(control, &all, |all| text::contents(all))?;
    Ok(0)
}

fn signed(control: &Control, zone: Option<&str>) -> Result<u8, RemoteError> {
    let mut all: Vec<Signed> = ask(control, |client| async move { Ok(client.get("/v1/dns/ds").await?) })?;
    if let Some(zone) = zone {
        let name = zone.trim_end_matches('.').to_ascii_lowercase();
        all.retain(|signed| signed.zone.trim_end_matches('.') == name);
    }
    if all.is_empty() {
        let what = zone.map_or_else(|| "no zone is signed".to_owned(), |zone| format!("{zone} is no signed zone"));
        eprintln!("{what}; write `signed = true` in its [[zone]], and publish the topology");
        return Ok(REFUSED);
    }
    print(control, &all, |all| text::signed(all))?;
    Ok(0)
}

fn forget_key(control: &Control, asked: ForgetKey) -> Result<u8, RemoteError> {
    let done: Done = ask(control, |client| async move { Ok(client.post("/v1/dns/forget-key", &asked).await?) })?;
    print(control, &done, |done| format!("{}\n", done.what))?;
    Ok(0)
}

fn watch(control: &Control, asked: Watching) -> Result<u8, RemoteError> {
    let Watching { asked: Asked { resolvers }, once } = asked;
    let check = Check { resolvers };
    let mut before: Option<Answers> = None;
    loop {
        let asked = check.clone();
        let answers: Answers =
            ask(control, |client| async move { Ok(client.post_within("/v1/dns/answers", &asked, PATIENCE).await?) })?;
        print(control, &answers, |answers| text::answers(answers, before.as_ref()))?;
        if answers.are_right() {
            return Ok(0);
        }
        if once {
            return Ok(DIFFERS);
        }
        before = Some(answers);
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(done: bool, refused: bool) -> Applied {
        Applied { zone: "contoso.test.".to_owned(), done, refused, what: String::new(), changes: Vec::new() }
    }

    #[test]
    fn the_exit_status_says_whether_somebody_has_to_do_something() {
        let (done, waits, refused) = (applied(true, false), applied(false, false), applied(false, true));
        assert_eq!(status(std::slice::from_ref(&done)), 0);
        assert_eq!(status(&[done.clone(), waits]), WAITS);
        assert_eq!(status(&[done, refused.clone()]), PARTLY);
        assert_eq!(status(&[refused]), REFUSED);
    }
}
