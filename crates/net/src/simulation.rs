//! Gateways, edge servers, the servers on both sides and the wires between them in one virtual time: the real
//! links, trunk and accepted streams, in thousands of lives with random faults, each repeatable by its seed.
//!
//! `FEDGE_SEED=17` lives one of them and says what happened in it; `FEDGE_SEEDS=100000` lives more.

use std::time::{Duration, Instant};

use xmpp::domain::Domain;

mod border;
mod certificates;
mod changed;
mod host;
mod idle;
mod ledger;
mod life;
mod network;
mod random;
mod regained;
mod rules;
mod server;
mod speakers;
mod talk;
mod untold;
mod wire;

use life::{Summary, World};

/// Lives that are lived where nobody asks for others.
const SEEDS: u64 = 2000;

fn domain(text: &str) -> Domain {
    Domain::parse(text).expect("a domain")
}

/// Lets that happen in no time.
fn simulated<T>(what: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(what)
}

fn live(seed: u64) -> Result<Summary, String> {
    simulated(World::new(seed).run())
}

fn asked(variable: &str) -> Option<u64> {
    Some(std::env::var(variable).ok()?.parse().expect("a number"))
}

/// The simulation's time, for its log.
struct Virtual;

impl tracing_subscriber::fmt::time::FormatTime for Virtual {
    fn format_time(&self, to: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        write!(to, "{:>6} ms", life::elapsed().as_millis())
    }
}

#[test]
fn nothing_is_lost_doubled_disordered_or_stuck() {
    if let Some(seed) = asked("FEDGE_SEED") {
        let log = tracing_subscriber::fmt().with_timer(Virtual).with_ansi(false).with_max_level(tracing::Level::INFO);
        log.with_test_writer().init();
        let summary = live(seed).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        return println!("{summary:#?}");
    }
    let began = Instant::now();
    let (mut written, mut delivered, mut returned) = (0, 0, 0);
    let mut faults = Vec::new();
    let seeds = asked("FEDGE_SEEDS").unwrap_or(SEEDS);
    for seed in 0..seeds {
        match live(seed) {
            Ok(summary) => {
                written += summary.written;
                delivered += summary.delivered;
                returned += summary.returned;
            }
            Err(fault) => faults.push((seed, fault)),
        }
    }
    println!("{seeds} lives in {:?}: {written} stanzas, {delivered} delivered, {returned} returned", began.elapsed());
    if let Some((first, fault)) = faults.first() {
        let all: Vec<_> = faults.iter().map(|(seed, _)| seed).collect();
        panic!("{} of {seeds} lives went wrong, those of {all:?}; FEDGE_SEED={first}: {fault}", faults.len());
    }
    assert!(written > delivered / 2 && delivered > 0 && returned > 0, "the simulation does something");
    assert!(began.elapsed() < Duration::from_secs(600));
}
