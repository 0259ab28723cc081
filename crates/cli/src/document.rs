//! `fedge topology`: the document, made, checked, compared, published and shown.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use api::client::Client;
use api::control::{Again, Publish, Published, Topology as Shown, Version};
use topology::document::{self as written, Topology, difference};
use topology::faults::Faults;

use crate::args::{self, Control};
use crate::remote::{RemoteError, ask, print, when};

/// Two documents differ, as `diff` says it.
const DIFFERENT: u8 = 1;
/// A document is faulty (sysexits.h, EX_CONFIG).
const CONFIGURATION: u8 = 78;
/// Something else went wrong; apart from [`DIFFERENT`], as `diff` has it.
const TROUBLE: u8 = 2;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
enum TopologyError {
    #[error("{}: {error}", file.display())]
    Io { file: PathBuf, error: std::io::Error },
    #[error("{0}")]
    Faulty(#[from] Faults),
    #[error("{0}")]
    Remote(#[from] RemoteError),
}

pub(crate) fn run(control: &Control, command: args::Topology) -> ExitCode {
    match work(control, command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            match error {
                TopologyError::Faulty(_) => CONFIGURATION.into(),
                _ => TROUBLE.into(),
            }
        }
    }
}

fn work(control: &Control, command: args::Topology) -> Result<ExitCode, TopologyError> {
    match command {
        args::Topology::Init(first) => init(*first)?,
        args::Topology::Check { file } => {
            let topology = read(&file)?;
            let count = |what: &str, count: usize| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
            println!("{}: good", file.display());
            println!(
                "{}, {}, {}, {}",
                count("site", topology.sites.len()),
                count("pool", topology.pools.len()),
                count("member", topology.members().count()),
                count("partner", topology.policy.partners().len())
            );
        }
        args::Topology::Diff { old, new } => return diff(control, &old, &new),
        args::Topology::Publish { file, again, from, why } => publish(control, file.as_deref(), again, from, why)?,
        args::Topology::Show { version } => {
            let shown = ask(control, |client| async move { fetch(&client, version).await })?;
            print(control, &shown, |shown| shown.document.clone()).map_err(RemoteError::from)?;
        }
        args::Topology::History => ask(control, |client| async move {
            let versions: Vec<Version> = client.get("/v1/history").await?;
            Ok(print(control, &versions, |versions| versions.iter().map(version_text).collect())?)
        })?,
    }
    Ok(ExitCode::SUCCESS)
}

fn read_text(file: &Path) -> Result<String, TopologyError> {
    fs::read_to_string(file).map_err(|error| TopologyError::Io { file: file.to_owned(), error })
}

fn read(file: &Path) -> Result<Topology, TopologyError> {
    Ok(Topology::read(&file.display().to_string(), &read_text(file)?)?)
}

fn init(told: args::First) -> Result<(), TopologyError> {
    let text = written::first(&written::First {
        installation: told.installation,
        site: told.site,
        pool: told.pool,
        edge: (told.edge, told.external, told.internal),
        gateway: (told.gateway, told.gateway_internal),
        local: (told.local, told.next_hop),
        partner: told.partner,
    });
    // What was given may not go together: one address twice, say.
    Topology::read(&told.file.display().to_string(), &text)?;
    let written = OpenOptions::new().write(true).create_new(true).open(&told.file);
    let written = written.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| TopologyError::Io { file: told.file.clone(), error })?;
    println!("{}: written; make it yours, and then:", told.file.display());
    println!("  fedge topology check {}", told.file.display());
    Ok(())
}

/// A document that is a file here, or a version there.
fn either(control: &Control, named: &str) -> Result<Topology, TopologyError> {
    match named.parse() {
        Ok(version) => {
            let shown = ask(control, |client| async move { fetch(&client, Some(version)).await })?;
            Ok(Topology::read(&format!("version {version}"), &shown.document)?)
        }
        Err(_) => read(Path::new(named)),
    }
}

fn diff(control: &Control, old: &str, new: &str) -> Result<ExitCode, TopologyError> {
    let changes = difference(&either(control, old)?, &either(control, new)?);
    print(control, &changes, |changes| lines(changes)).map_err(RemoteError::from)?;
    Ok(if changes.is_empty() { ExitCode::SUCCESS } else { DIFFERENT.into() })
}

fn publish(
    control: &Control,
    file: Option<&Path>,
    again: Option<u64>,
    from: Option<u64>,
    why: String,
) -> Result<(), TopologyError> {
    let document = file.map(read_text).transpose()?.unwrap_or_default();
    if let Some(file) = file {
        // Faults are drawn with the file's own name, and without asking anybody.
        Topology::read(&file.display().to_string(), &document)?;
    }
    let published: Published = ask(control, |client| async move {
        Ok(match again {
            Some(version) => client.post("/v1/topology/again", &Again { version, why }).await?,
            None => client.post("/v1/topology", &Publish { document, from, why }).await?,
        })
    })?;
    let text = |published: &Published| {
        if published.changes.is_empty() {
            return format!("version {} is current, as it was\n", published.version);
        }
        format!("version {} is current\n{}", published.version, lines(&published.changes))
    };
    Ok(print(control, &published, text).map_err(RemoteError::from)?)
}

async fn fetch(client: &Client, version: Option<u64>) -> Result<Shown, RemoteError> {
    let path = version.map_or("/v1/topology".to_owned(), |version| format!("/v1/topology/{version}"));
    Ok(client.get(&path).await?)
}

fn lines(changes: &[String]) -> String {
    changes.iter().fold(String::new(), |mut text, change| {
        let _ = writeln!(text, "{change}");
        text
    })
}

fn version_text(version: &Version) -> String {
    let mark = if version.current { "*" } else { " " };
    format!("{mark} {:>4}  {}  {}  {}\n", version.version, when(version.at), version.who, version.why)
}
