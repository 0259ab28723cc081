//! `cargo xtask soak`: floods through gateways and edge servers while one thing breaks, again and again, counted in a file.

use std::collections::BTreeMap;
use std::iter::Enumerate;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use testkit::fedge::Programs;
use testkit::packages::Debian;
use testkit::rig::{Fault, Order, Outcome, Rig, Rival};
use tokio::signal::unix::{SignalKind, signal};

mod border;
mod evidence;
pub(crate) mod handful;
mod promise;
mod results;
mod table;

use border::Border;
use results::{Line, Results};

/// What is run, and where it is written.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only this fault; may be given several times. Default: all.
    #[arg(long)]
    fault: Vec<Fault>,
    /// Runs of each fault.
    #[arg(long, default_value_t = 100)]
    runs: u64,
    /// Of these, only those with this partner. Default: both, as the seed decides.
    #[arg(long, value_parser = ["prosody", "ejabberd"])]
    partner: Option<String>,
    /// The first run's seed; the next one's is one higher. Fault and seed make a run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// At the border: `fedge`, `haproxy` or `xmpp-proxy`, for what comes in while an edge server is hit. Several are
    /// measured in turn, run by run, so that they all find the machine alike.
    #[arg(long)]
    border: Vec<Border>,
    /// Only what comes in, as with a border.
    #[arg(long)]
    inward: bool,
    /// Fedge as it is released, instead of the development build.
    #[arg(long)]
    released: bool,
    /// Messages in a run, each way. Default: 2,000; 20,000 in every tenth run.
    #[arg(long)]
    messages: Option<usize>,
    /// Messages in a second, each way. Default: 300; 1,000 where there are more than 5,000.
    #[arg(long)]
    per_second: Option<usize>,
    /// So many laboratories beside one another, each with a run of its own under way.
    #[arg(long, default_value_t = 1)]
    beside: usize,
    /// Where each run's result is appended; runs that are in it already are skipped.
    #[arg(long, default_value = "soak.jsonl")]
    results: PathBuf,
    /// Only print the table of what is in the file.
    #[arg(long)]
    report: bool,
}

/// More than so many messages take long, and are said faster.
const MANY: usize = 5000;

impl Options {
    /// In every tenth run more is said, and faster.
    fn order(&self, fault: Fault, seed: u64) -> Order {
        let messages = self.messages.unwrap_or(if seed.is_multiple_of(10) { 20_000 } else { 2_000 });
        let per_second = self.per_second.unwrap_or(if messages > MANY { 1000 } else { 300 });
        Order { fault, seed, messages, per_second, inward: self.inward || !self.border.is_empty() }
    }
}

/// Runs what isn't in the results yet, then prints the table.
///
/// # Errors
/// When the laboratory doesn't start, or the results can't be written; never for what a run finds.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    if !options.report {
        soak(options)?;
    }
    table::print(&Results::read(&options.results)?);
    Ok(())
}

fn soak(options: &Options) -> anyhow::Result<()> {
    ensure!(testkit::is_root(), "it takes root: every host is a network namespace");
    let mut faults = if options.fault.is_empty() { Fault::all() } else { options.fault.clone() };
    faults.retain(|fault| options.border.is_empty() || fault.fits_rivals());
    println!("building fedge");
    let programs = if options.released { Programs::released()? } else { Programs::built()? };
    let borders = if options.border.is_empty() { vec![Border::Fedge] } else { options.border.clone() };
    let results = Results::read(&options.results)?;
    let orders = (options.seed..options.seed + options.runs)
        .flat_map(|seed| faults.iter().map(move |fault| options.order(*fault, seed)))
        .filter(|order| options.partner.as_deref().is_none_or(|partner| partner == order.partner()))
        .flat_map(|order| borders.iter().map(move |border| (*border, order)))
        .filter(|(border, order)| !results.have(&border.to_string(), border.is_released(&programs), order))
        .collect();
    let orders = spread(orders);
    println!("{} runs to go", orders.len());
    if orders.is_empty() {
        return Ok(());
    }
    Debian::unpack(&Debian::usual_folder(), testkit::place::PACKAGES, &mut |told| println!("{told}"))?;
    borders.iter().filter_map(|border| border.rival()).try_for_each(Rival::provide)?;
    let work = Work {
        began: Instant::now(),
        orders: orders.iter().enumerate(),
        all: orders.len(),
        failed: 0,
        results: &options.results,
        programs: &programs,
    };
    let (work, interrupted) = (Mutex::new(work), interrupted()?);
    std::thread::scope(|scope| {
        let one = || rig(&work, &interrupted);
        let rigs: Vec<_> = (0..options.beside.max(1)).map(|_| scope.spawn(one)).collect();
        rigs.into_iter().try_for_each(|rig| rig.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// The large ones among the others: a machine that bears several rigs doesn't bear several of those at once.
fn spread(orders: Vec<(Border, Order)>) -> Vec<(Border, Order)> {
    let (mut large, small): (Vec<_>, Vec<_>) = orders.into_iter().partition(|(_, order)| order.messages > MANY);
    large.reverse();
    let every = small.len().checked_div(large.len()).unwrap_or_default().max(1);
    let mut spread = Vec::new();
    for few in small.chunks(every) {
        spread.extend_from_slice(few);
        spread.extend(large.pop());
    }
    spread.extend(large.into_iter().rev());
    spread
}

/// What several rigs share.
struct Work<'a> {
    began: Instant,
    orders: Enumerate<std::slice::Iter<'a, (Border, Order)>>,
    all: usize,
    /// Runs that couldn't be done.
    failed: usize,
    results: &'a Path,
    programs: &'a Programs,
}

impl Work<'_> {
    /// Says what came of a run, all at once, and writes it down.
    fn done(&mut self, index: usize, work: &(Border, Order), line: anyhow::Result<Line>) -> anyhow::Result<()> {
        let (border, Order { fault, seed, inward, .. }) = work;
        let at = if *inward { format!(" at {border}") } else { String::new() };
        let seconds = self.began.elapsed().as_secs_f64();
        let head = format!("{seconds:6.0} s  {}/{}  {fault}{at} seed {seed}", index + 1, self.all);
        match line {
            Ok(line) => {
                println!("{head}: {}", table::in_short(&line));
                Results::append(self.results, &line)
            }
            Err(error) => {
                println!("{head}: couldn't be done: {error:#}");
                self.failed += 1;
                ensure!(self.failed < 10, "too many runs couldn't be done");
                Ok(())
            }
        }
    }
}

/// One laboratory, as long as there are runs to do; a new one where a run left it unfit.
fn rig(work: &Mutex<Work<'_>>, interrupted: &AtomicBool) -> anyhow::Result<()> {
    let locked = || work.lock().unwrap_or_else(PoisonError::into_inner);
    let Work { results, programs, .. } = *locked();
    let mut rig = None;
    while !interrupted.load(Ordering::Relaxed) {
        let Some((index, work)) = locked().orders.next() else { break };
        let line = once(&mut rig, programs, work, results);
        let done = locked().done(index, work, line);
        if done.is_err() {
            // The others end, too.
            interrupted.store(true, Ordering::Relaxed);
        }
        done?;
    }
    Ok(())
}

/// Says when it shall end: after the runs that are under way, so that everything is ended that was started.
fn interrupted() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let raised = flag.clone();
    std::thread::spawn(move || {
        let waited = runtime.block_on(async {
            let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::io::Result::Ok(())
        });
        if waited.is_ok() {
            eprintln!("the runs under way are finished first; the next start goes on from there");
            raised.store(true, Ordering::Relaxed);
        }
    });
    Ok(flag)
}

fn once(
    rig: &mut Option<Rig>,
    programs: &Programs,
    (border, order): &(Border, Order),
    results: &Path,
) -> anyhow::Result<Line> {
    let mut lab = match rig.take().filter(|_| *border == Border::Fedge) {
        Some(lab) => lab,
        None => Rig::start(programs.clone(), border.rival()).context("the laboratory doesn't start")?,
    };
    let before = evidence::lengths(lab.folder())?;
    let name = format!("{border}-{}-{}", order.fault, order.seed);
    let keep = |lab: &Rig| evidence::keep(lab.folder(), &before, &results.with_added_extension("logs").join(&name));
    let report = match lab.run(order) {
        Ok(report) => report,
        Err(error) => {
            keep(&lab)?;
            return Err(error);
        }
    };
    let broken = if *border == Border::Fedge { promise::broken(order.fault, &report) } else { Vec::new() };
    let odd = |outcome: &Outcome| outcome.lost > 0 || outcome.disordered > 0;
    if !broken.is_empty() || odd(&report.outbound) || odd(&report.inbound) {
        keep(&lab)?;
    }
    // Where nothing flows any more, the next run would find nothing; and behind a rival the next one has to begin
    // with the streams where they were.
    if report.flows && *border == Border::Fedge {
        *rig = Some(lab);
    }
    Line::new(*border, programs, order, report, broken)
}

/// How many of each.
type Counted = BTreeMap<String, usize>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_runs_are_spread_and_none_is_left_out() {
        let order = |seed| {
            let messages = if seed > 4 { 20_000 } else { 2000 };
            (Border::Fedge, Order { fault: Fault::all()[0], seed, messages, per_second: 1, inward: false })
        };
        let seeds = |all: std::ops::RangeInclusive<u64>| {
            spread(all.map(order).collect()).iter().map(|(_, order)| order.seed).collect::<Vec<_>>()
        };
        assert_eq!(seeds(1..=6), [1, 2, 5, 3, 4, 6]);
        assert_eq!(seeds(4..=7), [4, 5, 6, 7]);
        assert_eq!(seeds(1..=2), [1, 2]);
    }
}
