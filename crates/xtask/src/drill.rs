//! `cargo xtask drill`: the route moved again and again while two users talk, and how long everything took.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use testkit::lab::installation::{Ground, Installation, POOLS, StoreKind, fqdn};
use testkit::lab::steady::{Talk, Tally};
use testkit::lab::{CONTOSO, FABRIKAM, Kind, LabPlan, Peer};
use testkit::place::Place;
use testkit::server::Authentication::External;
use tokio::task::block_in_place;

/// Each says one message so often: 200 a second, each way.
const EVERY: Duration = Duration::from_millis(5);
/// They talk for so long before and after each move.
const AWHILE: Duration = Duration::from_secs(1);
/// A pool that rests has to be awake again before the other one is killed: somebody has to be left for partners.
const AWAKE: Duration = Duration::from_secs(120);

/// How much is done.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Planned moves, there and back.
    #[arg(long, default_value_t = 20)]
    switchovers: usize,
    /// Failovers after the edge servers of the routed pool were killed, each in an installation of its own.
    #[arg(long, default_value_t = 5)]
    killed: usize,
    /// Failovers after their hosts vanished without a word.
    #[arg(long, default_value_t = 5)]
    vanished: usize,
}

/// What was measured of one move.
struct Measured {
    /// From the command's start until members went by the new route, and until it was done, in seconds.
    applied: f64,
    done: f64,
    /// From the command's start until something that was said inside arrived again, where nothing did before it.
    flows: f64,
    /// How often a server, inside or outside, got no stream at any SRV target.
    failed: usize,
    tallies: [Tally; 2],
}

/// Runs the drill in networks of its own.
///
/// # Errors
/// When a command fails, or a message is lost that can't be lost.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    ensure!(testkit::is_root(), "it takes root: it makes networks of its own");
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        if options.switchovers > 0 {
            let measured = switchovers(options.switchovers).await?;
            Table { title: format!("{} switchovers under 200 messages/s each way", measured.len()), measured }.print();
        }
        for (count, vanish) in [(options.killed, false), (options.vanished, true)] {
            let mut measured = Vec::new();
            for _ in 0..count {
                measured.push(failover(vanish).await?);
            }
            let what = if vanish { "vanished without a word" } else { "was killed (-9)" };
            if count > 0 {
                Table { title: format!("{count} failovers after the pool with the route {what}"), measured }.print();
            }
        }
        Ok(())
    })
}

fn installation(ground: Ground) -> anyhow::Result<(Installation, tempfile::TempDir)> {
    let peer = |kind| Peer { kind, authentication: External };
    let plan = LabPlan::new(peer(Kind::Prosody), &[(FABRIKAM, peer(Kind::Ejabberd))]);
    let folder = tempfile::Builder::new().prefix("fedge-drill-").tempdir()?;
    let lab = block_in_place(|| Installation::start(ground, &plan, StoreKind::Sqlite, folder.path(), &mut |_| {}))?;
    Ok((lab, folder))
}

async fn talk(lab: &Installation) -> anyhow::Result<Talk> {
    let alice = lab.login(&format!("alice@{CONTOSO}")).await?;
    let bob = lab.login(&format!("bob@{FABRIKAM}")).await?;
    for (from, to) in [(&alice, &bob), (&bob, &alice)] {
        from.message(to.jid(), "first", "first");
        to.message_with_id("first", AWAKE).await?;
    }
    let talk = Talk::begin([alice, bob], EVERY);
    tokio::time::sleep(AWHILE).await;
    Ok(talk)
}

async fn switchovers(count: usize) -> anyhow::Result<Vec<Measured>> {
    let (lab, _folder) = installation(Ground::loopback(Place::isolated()?))?;
    let mut measured = Vec::new();
    for number in 0..count {
        let talk = talk(&lab).await?;
        let to = fqdn(POOLS[(number + 1) % 2].0);
        let arguments = ["route", "switchover", "--to", &to, "--why", "a drill"];
        let one = moved(&lab, &arguments, talk).await?;
        println!("{:>3}. to {to}: {one}", number + 1);
        for tally in &one.tallies {
            ensure!(tally.lost.is_empty(), "something was lost: {tally:?}");
        }
        ensure!(one.failed == 0, "{} streams could be set up at no SRV target", one.failed);
        measured.push(one);
    }
    block_in_place(|| lab.stop())?;
    Ok(measured)
}

async fn failover(vanish: bool) -> anyhow::Result<Measured> {
    let ground = if vanish { Ground::hosts()? } else { Ground::loopback(Place::isolated()?) };
    let (mut lab, _folder) = installation(ground)?;
    let talk = talk(&lab).await?;
    for edge in POOLS[0].1 {
        if vanish { lab.ground.plug(edge, false)? } else { lab.kill(edge) }
    }
    let to = fqdn(POOLS[1].0);
    let arguments = ["route", "failover", "--to", &to, "--accept", "old-reached", "--why", "a drill"];
    let one = moved(&lab, &arguments, talk).await?;
    println!("  {one}");
    ensure!(one.tallies[0].lost.is_empty(), "something that was said inside was lost: {:?}", one.tallies[0]);
    POOLS[0].1.into_iter().for_each(|edge| lab.kill(edge));
    block_in_place(|| lab.stop())?;
    Ok(one)
}

/// Runs the command while they talk, and ends the talk.
async fn moved(lab: &Installation, arguments: &[&str], talk: Talk) -> anyhow::Result<Measured> {
    let failed = lab.failed_streams()?;
    let (began, started) = (Instant::now(), now_ms());
    let output = block_in_place(|| lab.try_fedge(arguments))?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{}: {told}{}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    tokio::time::sleep(AWHILE).await;
    let tallies = talk.end().await?;
    let history = block_in_place(|| lab.fedge(&["route", "history", "--json"]))?;
    let history: Value = serde_json::from_str(&history)?;
    let lines = history[0]["journal"].as_array().context("an operation has a journal")?;
    let at = |state: &str| {
        let line = lines.iter().find(|line| line["state"] == state);
        line.and_then(|line| line["at"].as_f64()).map(|at| (at - started) / 1000.0).context("it went on")
    };
    // The longest silence ended when messages flowed again; one that was over before the command doesn't count.
    let gap = tallies[0].gap_ended.saturating_duration_since(began);
    let failed = lab.failed_streams()? - failed;
    Ok(Measured { applied: at("applying")?, done: at("done")?, flows: gap.as_secs_f64(), failed, tallies })
}

/// Milliseconds since 1970.
fn now_ms() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0
}

/// All that was measured of one kind of move.
struct Table {
    title: String,
    measured: Vec<Measured>,
}

impl Table {
    fn print(&self) {
        println!("\n{}; seconds:", self.title);
        let row = |name: &str, of: &dyn Fn(&Measured) -> f64| {
            let mut values: Vec<f64> = self.measured.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            let (first, last) = (values[0], values[values.len() - 1]);
            println!("  {name:<44} {first:>7.2} {:>7.2} {last:>7.2}", values[values.len() / 2]);
        };
        println!("  {:<44} {:>7} {:>7} {:>7}", "", "least", "middle", "most");
        row("from the command until members go by it", &|one| one.applied);
        row("until it is done", &|one| one.done);
        row("longest gap, said inside", &|one| one.tallies[0].gap.as_secs_f64());
        row("until it was over, from the command on", &|one| one.flows);
        row("longest gap, said outside", &|one| one.tallies[1].gap.as_secs_f64());
        for (who, which) in [("inside", 0), ("outside", 1)] {
            let sum =
                |of: &dyn Fn(&Tally) -> usize| self.measured.iter().map(|one| of(&one.tallies[which])).sum::<usize>();
            println!(
                "  said {who}: {} sent, {} delivered, {} returned, {} lost, {} twice",
                sum(&|tally| tally.sent),
                sum(&|tally| tally.delivered),
                sum(&|tally| tally.returned.len()),
                sum(&|tally| tally.lost.len()),
                sum(&|tally| tally.doubled)
            );
        }
        let failed: usize = self.measured.iter().map(|one| one.failed).sum();
        println!("  stream set-ups that failed at all SRV targets, inside and outside: {failed}\n");
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [inside, outside] = &self.tallies;
        write!(
            f,
            "applied after {:.2} s, done after {:.2} s; inside: {inside}; outside: {outside}",
            self.applied, self.done
        )
    }
}
