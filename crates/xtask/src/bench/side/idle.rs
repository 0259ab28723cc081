//! The memory that streams take on which nothing happens, and what is left of a flood.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Options;
use super::field::{Field, MANY, Things, Way};
use super::link::{Link, USUAL};

/// For messages to arrive.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many streams come up at once.
const BESIDE_EACH_OTHER: usize = 32;
/// Memory that is the same after so long is at rest, and nobody gets longer than this to rest.
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(15);

/// Open streams in all, those that are accepted and those that are dialed; and how long the flood afterwards is.
fn load(options: &Options) -> ([usize; 2], Duration) {
    if options.quick { ([20, 100], Duration::from_millis(300)) } else { ([1000, 15_000], Duration::from_secs(3)) }
}

/// What was seen of one way, in bytes.
struct Measured {
    way: Way,
    /// Before any stream, and after one message.
    empty: u64,
    /// With so many streams.
    idle: Vec<(usize, u64)>,
    /// At the end of a flood on one more, and when it had rested.
    flooded: [u64; 2],
}

/// Measures once, in processes that have done nothing else, and gives a table for docs/performance.md.
pub(super) async fn run(options: &Options, things: &Things) -> anyhow::Result<String> {
    let mut all = Vec::new();
    for &way in things.ways().iter().filter(|way| **way != Way::Direct) {
        println!("idle: {way}");
        // What the one before has dialed stays open until fedge ends, and files are scarce.
        let field = Field::start(things, 1).await?;
        all.push(measure(&field, way, options).await.with_context(|| way.to_string())?);
        field.stop().await?;
    }
    Ok(told(&all))
}

async fn measure(field: &Field, way: Way, options: &Options) -> anyhow::Result<Measured> {
    let (counts, time) = load(options);
    let mut one = Link::open(way, field.domain(0), field.identity(), USUAL).await?;
    let before = field.sink(way, 0).messages();
    one.send().await?;
    tokio::time::timeout(PATIENCE, field.sink(way, 0).has(before + 1)).await.context("nothing arrives")?;
    let empty = at_rest(field, way).await?;
    let (mut links, mut idle) = (Vec::new(), Vec::new());
    for streams in counts {
        // Each is accepted from one server and dialed to the other.
        open(field, way, streams / 2, &mut links).await?;
        let memory = at_rest(field, way).await?;
        println!("  {streams} streams: {memory} bytes, {empty} without");
        idle.push((streams, memory));
    }
    let before = field.sink(way, 0).messages();
    let sent = one.flood(Instant::now() + time).await?;
    let after = field.memory(way)?;
    tokio::time::timeout(PATIENCE, field.sink(way, 0).has(before + sent)).await.context("not all arrives")?;
    let flooded = [after, at_rest(field, way).await?];
    println!("  after a flood of {sent} messages: {} bytes, then {}", flooded[0], flooded[1]);
    for link in links.into_iter().chain([one]) {
        link.close().await?;
    }
    Ok(Measured { way, empty, idle, flooded })
}

/// Opens streams until there are so many, each to a domain of its own, and sends one message on each.
async fn open(field: &Field, way: Way, until: usize, links: &mut Vec<Link>) -> anyhow::Result<()> {
    let sink = field.sink_of_many(way);
    let (before, more) = (sink.messages(), until - links.len());
    let (turns, mut opening) = (Arc::new(Semaphore::new(BESIDE_EACH_OTHER)), JoinSet::new());
    for number in links.len()..until {
        let (turns, identity) = (turns.clone(), field.identity().clone());
        opening.spawn(async move {
            let _turn = turns.acquire().await?;
            let mut link = Link::open(way, &format!("d{number}.{MANY}"), &identity, USUAL).await?;
            link.send().await?;
            link.forget();
            anyhow::Ok(link)
        });
    }
    while let Some(link) = opening.join_next().await {
        links.push(link??);
    }
    tokio::time::timeout(PATIENCE, sink.has(before + more as u64)).await.context("not every stream carries something")
}

/// The memory when it doesn't change any more.
async fn at_rest(field: &Field, way: Way) -> anyhow::Result<u64> {
    let (began, mut memory) = (Instant::now(), field.memory(way)?);
    loop {
        tokio::time::sleep(REST).await;
        let now = field.memory(way)?;
        if now == memory || began.elapsed() > LONGEST_REST {
            return Ok(now);
        }
        memory = now;
    }
}

fn told(all: &[Measured]) -> String {
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let mut text = String::from("| | without streams |");
    for (streams, _) in all.first().map(|one| one.idle.as_slice()).unwrap_or_default() {
        let _ = write!(text, " each of {streams} |");
    }
    text += " all | after a flood | later |\n";
    text += &format!("{}|\n", "|---".repeat(text.matches('|').count() - 1));
    for Measured { way, empty, idle, flooded } in all {
        let _ = write!(text, "| {way} | {} |", megabytes(*empty));
        for (streams, memory) in idle {
            let _ = write!(text, " {:.1} KB |", memory.saturating_sub(*empty) as f64 / 1e3 / *streams as f64);
        }
        let last = idle.last().map_or(0, |(_, memory)| *memory);
        let _ = writeln!(text, " {} | {} | {} |", megabytes(last), megabytes(flooded[0]), megabytes(flooded[1]));
    }
    text
}
