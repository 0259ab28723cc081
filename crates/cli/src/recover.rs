//! `fedge recover`: a store that is behind its members, shown and brought forward.

use std::fmt::Write as _;
use std::process::ExitCode;

use api::control::{Known, Published, Recover, Recovery};
use comfy_table::{ContentArrangement, Table, presets};

use crate::args::{self, Control};
use crate::remote::{RemoteError, ask, print};

/// It is behind, and was left so.
const BEHIND: u8 = 1;
/// It can't be told.
const TROUBLE: u8 = 2;

pub(crate) fn run(control: &Control, asked: &args::Recover) -> ExitCode {
    match work(control, asked) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            TROUBLE.into()
        }
    }
}

fn work(control: &Control, asked: &args::Recover) -> Result<ExitCode, RemoteError> {
    let document = asked.topology.as_ref().map(|file| {
        std::fs::read_to_string(file).map_err(|error| RemoteError::Wrong(format!("{}: {error}", file.display())))
    });
    let document = document.transpose()?;
    ask(control, |client| async move {
        let found: Recovery = client.get("/v1/recover").await?;
        if !asked.yes {
            print(control, &found, text)?;
            return Ok(if found.needed { BEHIND.into() } else { ExitCode::SUCCESS });
        }
        let pool = asked.pool.as_ref().map(ToString::to_string);
        let without = asked.without.iter().map(ToString::to_string).collect();
        let (version, epoch) = next(&found, asked)?;
        let why = asked.why.clone();
        let recover = Recover { document, pool, without, version, epoch, why };
        let done: Published = client.post("/v1/recover", &recover).await?;
        print(control, &done, |done| done_text(done, epoch))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// The numbers after the highest that the store or anybody says whose word counts: those that were shown. The controller
/// does nothing where it would take others.
fn next(found: &Recovery, asked: &args::Recover) -> Result<(u64, u64), RemoteError> {
    let counted = found.members.iter().filter(|member| !asked.without.iter().any(|fqdn| fqdn.as_str() == member.fqdn));
    let known: Vec<&Known> = counted.map(|member| &member.knows).chain([&found.store]).collect();
    let above =
        |number: fn(&Known) -> u64| known.iter().map(|known| number(known)).max().unwrap_or_default().checked_add(1);
    above(|known| known.version).zip(above(|known| known.epoch)).ok_or_else(|| {
        RemoteError::Wrong(
            "a member says that it goes by the highest number there is; leave it out: --without".to_owned(),
        )
    })
}

fn done_text(done: &Published, epoch: u64) -> String {
    let mut text = format!("version {} is current, and epoch {epoch} of the route\n", done.version);
    for change in &done.changes {
        let _ = writeln!(text, "{change}");
    }
    text
}

fn text(found: &Recovery) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["who", "topology", "document", "epoch", "pool", ""]);
    table.add_row(row("the store", &found.store, "", ""));
    for member in &found.members {
        let stored = match (&member.installation, member.stored_as) {
            (Some(installation), _) => format!("of the installation {installation}"),
            (None, Some(version)) => format!("version {version} here"),
            (None, None) => "not in this store".to_owned(),
        };
        table.add_row(row(&member.fqdn, &member.knows, &stored, if member.ahead { "knows more" } else { "" }));
    }
    let mut text: String = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    text.push('\n');
    if !found.silent.is_empty() {
        let _ = writeln!(text, "not reached: {}", found.silent.join(", "));
    }
    match (&found.hindrance, &found.next) {
        (Some(hindrance), _) => {
            let _ = writeln!(text, "{hindrance}");
        }
        (None, Some(next)) => {
            let _ = writeln!(
                text,
                "the store is behind; `fedge recover --yes` makes its document current as version {}, with the route on {} in \
                 epoch {}",
                next.version, next.pool, next.epoch
            );
        }
        (None, None) => text.push_str("no member that is reached knows more than the store\n"),
    }
    text
}

fn row(who: &str, known: &Known, stored: &str, more: &str) -> [String; 6] {
    let digest: String = known.digest.chars().take(12).collect();
    let document = if stored.is_empty() { digest } else { format!("{digest}, {stored}") };
    [who.to_owned(), known.version.to_string(), document, known.epoch.to_string(), known.pool.clone(), more.to_owned()]
}
