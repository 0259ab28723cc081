//! Stanzas a second at saturation, and what each costs whoever stands between the two servers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::field::{Field, Things, Way};
use super::link::Link;
use super::{Options, plot};
use crate::bench::site::processor_time;
use crate::bench::spread::Spread;

/// For what is under way when a round's time is over.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much is sent.
struct Load {
    bytes: Vec<usize>,
    links: Vec<usize>,
    rounds: usize,
    /// How long a round's senders send.
    time: Duration,
}

impl Load {
    fn of(options: &Options) -> Load {
        if options.quick {
            return Load { bytes: vec![575], links: vec![1, 10], rounds: 1, time: Duration::from_millis(300) };
        }
        let (bytes, links) = (options.bytes.clone(), options.links.clone());
        Load { bytes, links, rounds: options.rounds, time: Duration::from_secs(1) }
    }
}

/// What one round took.
#[derive(Debug, Clone, Copy)]
struct Measured {
    stanzas: u64,
    time: Duration,
    /// Processor time of whoever stands between.
    used: Duration,
    /// Processor time of both ends.
    ends: Duration,
}

impl Measured {
    fn rate(&self) -> f64 {
        self.stanzas as f64 / self.time.as_secs_f64()
    }

    /// In microseconds of processor time for each stanza.
    fn cost(&self) -> f64 {
        self.used.as_secs_f64() * 1e6 / self.stanzas as f64
    }

    fn cost_of_ends(&self) -> f64 {
        self.ends.as_secs_f64() * 1e6 / self.stanzas as f64
    }
}

/// All rounds of one size on so many links.
struct Series {
    bytes: usize,
    links: usize,
    /// In each round one for each way, in their order.
    rounds: Vec<Vec<Measured>>,
}

/// Measures, and gives tables for docs/performance.md.
pub(super) async fn run(options: &Options, things: &Things) -> anyhow::Result<String> {
    let load = Load::of(options);
    let most = load.links.iter().copied().max().unwrap_or(1);
    let field = Field::start(things, most).await?;
    let mut all = Vec::new();
    for &links in &load.links {
        for &bytes in &load.bytes {
            println!("flood: {bytes} bytes, links: {links}, {} rounds", load.rounds);
            all.push(measure((&field, things.ways()), &load, bytes, links).await?);
        }
    }
    field.stop().await?;
    Ok(told(things.ways(), &all))
}

/// In turn, so that whatever else the machine does meets all.
async fn measure((field, ways): (&Field, &[Way]), load: &Load, bytes: usize, links: usize) -> anyhow::Result<Series> {
    let mut senders = Vec::new();
    for &way in ways {
        let mut open = Vec::new();
        for number in 0..links {
            open.push(Link::open(way, field.domain(number), field.identity(), bytes).await?);
        }
        senders.push((way, open));
    }
    let mut rounds = Vec::new();
    for round in 0..=load.rounds {
        let mut measured = Vec::new();
        for (way, links) in &mut senders {
            let flood = flood(field, *way, links, load.time).await;
            measured.push(flood.with_context(|| format!("{way}, {bytes} bytes"))?);
        }
        println!("  {}", in_short(ways, &measured));
        if round > 0 {
            rounds.push(measured);
        }
    }
    for link in senders.into_iter().flat_map(|(_, links)| links) {
        link.close().await?;
    }
    Ok(Series { bytes, links, rounds })
}

/// One round: every link sends as fast as it is read, until everything has arrived.
async fn flood(field: &Field, way: Way, links: &mut Vec<Link>, time: Duration) -> anyhow::Result<Measured> {
    let before: Vec<u64> = (0..links.len()).map(|number| field.sink(way, number).messages()).collect();
    let (began, used, ends) = (Instant::now(), field.used(way)?, processor_time("self")?);
    let mut sending = JoinSet::new();
    for (number, mut link) in links.drain(..).enumerate() {
        sending.spawn(async move { (number, link.flood(began + time).await, link) });
    }
    let mut done = BTreeMap::new();
    while let Some(sent) = sending.join_next().await {
        let (number, sent, link) = sent?;
        done.insert(number, (sent.context("the stream broke")?, link));
    }
    let stanzas = done.values().map(|(sent, _)| sent).sum();
    let arrival = async {
        if matches!(way, Way::Fedge | Way::Trunk) {
            for (number, (sent, _)) in &done {
                field.sink(way, *number).has(before[*number] + sent).await;
            }
        } else {
            field.sink(way, 0).has(before[0] + stanzas).await;
        }
    };
    tokio::time::timeout(PATIENCE, arrival).await.context("not all that was sent arrives")?;
    let time = began.elapsed();
    links.extend(done.into_values().map(|(_, link)| link));
    Ok(Measured { stanzas, time, used: field.used(way)? - used, ends: processor_time("self")? - ends })
}

fn in_short(ways: &[Way], measured: &[Measured]) -> String {
    let one = |(way, measured): (&Way, &Measured)| format!("{way} {:.0}/s {:.2} µs", measured.rate(), measured.cost());
    ways.iter().zip(measured).map(one).collect::<Vec<_>>().join(", ")
}

fn told(ways: &[Way], all: &[Series]) -> String {
    let mut text = String::from(
        "| stanza | links | | stanzas a second | processor time for each | a processor is full with | against fedge |\n\
         |---|---|---|---|---|---|---|\n",
    );
    let fedge = ways.iter().position(|way| *way == Way::Fedge).unwrap_or_default();
    let mut bars = Vec::new();
    for Series { bytes, links, rounds } in all {
        for (place, way) in ways.iter().enumerate() {
            let spread = |value: &dyn Fn(&[Measured]) -> f64| Spread::of(rounds.iter().map(|round| value(round)));
            let rate = spread(&|round| round[place].rate());
            let _ = write!(text, "| {bytes} B | {links} | {way} | {} |", rate.show(0));
            if *way == Way::Direct {
                let ends = spread(&|round| round[place].cost_of_ends());
                let _ = writeln!(text, " the ends: {} µs | | |", ends.show(2));
                continue;
            }
            let cost = spread(&|round| round[place].cost());
            let against = spread(&|round| round[place].cost() / round[fedge].cost());
            let full = 1e6 / cost.middle();
            let _ = writeln!(text, " {} µs | {full:.0} a second | {} |", cost.show(2), against.show(2));
            bars.push((format!("{bytes} B, links: {links}, {way}"), cost.middle()));
        }
    }
    text + "\nProcessor time for each stanza in µs, ten times as much always as much further to the right:\n\n"
        + &plot::bars(&bars)
}
