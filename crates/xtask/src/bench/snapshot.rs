//! How soon a large topology is everywhere: from the command that publishes it until every member goes by it.

use std::time::Duration;

use anyhow::Context as _;
use testkit::fedge::Programs;
use testkit::lab::installation::{Ground, Installation, StoreKind, many};
use testkit::lab::{FABRIKAM, Kind, LabPlan, Peer};
use testkit::place::Place;
use testkit::server::Authentication::External;

/// How it is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many partners the topology has.
    #[arg(long, default_value_t = 10_000)]
    partners: usize,
    /// How many local domains.
    #[arg(long, default_value_t = 1000)]
    locals: usize,
    /// How often it is published; before that once, which isn't counted.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
}

/// Measures, and prints a table for docs/performance.md.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    println!("building fedge as it is released");
    let (programs, folder) = (Programs::released()?, tempfile::Builder::new().prefix("fedge-bench-").tempdir()?);
    let peer = Peer { kind: Kind::Prosody, authentication: External };
    let (plan, ground) = (LabPlan::new(peer, &[(FABRIKAM, peer)]), Ground::loopback(Place::isolated()?));
    let lab = Installation::lead(ground, &plan, StoreKind::Sqlite, programs, folder.path(), &mut |_| {})?;
    let (version, began) = lab.publish_with(&many(options.locals, options.partners), "a large one")?;
    lab.wait_for_version(version, began)?;
    let mut rounds: Vec<(Duration, Duration)> = Vec::new();
    for round in 1..=options.rounds {
        let more = format!("\n[[partner]]\ndomains = [\"round{round}.test\"]\n");
        let (version, began) = lab.publish_with(&more, "one partner more")?;
        let published = began.elapsed();
        let applied = lab.wait_for_version(version, began)?;
        let last = applied.values().max().copied().context("there are members")?;
        let each = applied.iter().map(|(fqdn, after)| format!("{fqdn} {}", seconds(*after)));
        println!("  published after {}; {}", seconds(published), each.collect::<Vec<_>>().join(", "));
        rounds.push((published, last));
    }
    lab.stop()?;
    println!("\n{} partners and {} local domains, from the command's start", options.partners, options.locals);
    println!("| | least | middle | most |\n|---|---|---|---|");
    for (what, times) in [
        ("published", rounds.iter().map(|(published, _)| *published).collect::<Vec<_>>()),
        ("applied by the last member", rounds.iter().map(|(_, last)| *last).collect()),
    ] {
        println!("| {what} | {} |", spread(times));
    }
    Ok(())
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let place = |part: usize| times.get(times.len().saturating_sub(1) * part / 2).copied().unwrap_or_default();
    [0, 1, 2].map(|part| seconds(place(part))).join(" | ")
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
