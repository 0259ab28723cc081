//! `cargo xtask bench`: what fedge costs, beside others that do a part of what it does, and by itself.

mod dns;
mod growth;
mod memory;
mod micro;
mod route;
mod setup;
mod side;
mod site;
mod snapshot;
mod spread;
mod trunk;

/// What is measured, and how; without a word, fedge beside others, all of it.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    side: side::Options,
}

/// What is measured.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// What a message costs and how much later it arrives at an even pace, beside others.
    Flow(side::Options),
    /// Stanzas a second and processor at saturation, beside others.
    Flood(side::Options),
    /// The memory of idle streams, and what is left of a flood, beside others.
    Idle(side::Options),
    /// fedge-gateway and fedge-edge with the trunk between them, against a fedge-edge with both faces.
    Trunk(trunk::Options),
    /// How long it takes from publishing a large topology until every member goes by it.
    Snapshot(snapshot::Options),
    /// How snapshots, starts and memory grow with partners and local domains.
    Growth(growth::Options),
    /// How long it takes from a move's commit until every member goes by it, with many members.
    Route(route::Options),
    /// What an answer about a zone costs fedge-dns, beside Knot and NSD.
    Dns(dns::Options),
    /// What a stanza costs on each part of its way, without sockets and TLS.
    Micro(micro::Options),
    /// Streams set up a second and processor, and thousands of partners that come back at once.
    Setup(setup::Options),
    /// What `setup` runs as partners, in processes of their own.
    #[command(hide = true)]
    Callers(setup::callers::Options),
}

/// Measures, and prints tables for docs/performance.md.
///
/// # Errors
/// When something doesn't start, or not everything that was sent arrives, or was applied.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<()> {
    use side::Part;
    match &bench.what {
        None => side::run(&bench.side, &Part::ALL),
        Some(What::Flow(options)) => side::run(options, &[Part::Flow]),
        Some(What::Flood(options)) => side::run(options, &[Part::Flood]),
        Some(What::Idle(options)) => side::run(options, &[Part::Idle]),
        Some(What::Trunk(options)) => trunk::run(options),
        Some(What::Snapshot(options)) => snapshot::run(options),
        Some(What::Growth(options)) => growth::run(options),
        Some(What::Route(options)) => route::run(options),
        Some(What::Dns(options)) => dns::run(options),
        Some(What::Micro(options)) => micro::run(options),
        Some(What::Setup(options)) => setup::run(options),
        Some(What::Callers(options)) => setup::callers::run(options),
    }
}
