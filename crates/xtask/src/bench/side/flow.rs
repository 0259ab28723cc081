//! Messages at an even pace: what each costs whoever stands between the two servers, and how much later it arrives.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::field::{Field, Things, Way};
use super::pacer::Pacer;
use super::{Options, plot};
use crate::bench::spread::{Spread, of_hundred};

/// For the last messages of a round.
const PATIENCE: Duration = Duration::from_secs(30);

/// An even pace.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Messages a second.
    rate: u32,
    /// How many are sent in a round.
    messages: u32,
}

fn paces(options: &Options) -> [Pace; 2] {
    let paces = if options.quick { [(100, 100), (5000, 5000)] } else { [(100, 500), (5000, 30_000)] };
    paces.map(|(rate, messages)| Pace { rate, messages })
}

/// What one round took.
#[derive(Debug, Clone, Copy)]
struct Measured {
    /// Processor time of whoever stands between, in seconds for 10,000 messages.
    cost: f64,
    /// From the moment a message was written until it was read, in microseconds: half of them took no longer than the first,
    /// 99 % than the second.
    latency: [f64; 2],
}

/// In each round one for each way, in their order.
type Rounds = Vec<Vec<Measured>>;

/// Measures, and gives tables for docs/performance.md.
pub(super) async fn run(options: &Options, things: &Things) -> anyhow::Result<String> {
    let field = Field::start(things, 1).await?;
    let mut pacers = Vec::new();
    for &way in things.ways() {
        pacers.push((way, Pacer::start(way, field.domain(0), field.identity()).await?));
    }
    let mut all = Vec::new();
    for pace in paces(options) {
        println!("flow: {} messages a second", pace.rate);
        let mut rounds = Vec::new();
        for round in 0..=if options.quick { 1 } else { options.rounds } {
            let mut measured = Vec::new();
            for (way, pacer) in &mut pacers {
                measured.push(flow(&field, *way, pacer, pace).await.with_context(|| way.to_string())?);
            }
            println!("  {}", in_short(things.ways(), &measured));
            if round > 0 {
                rounds.push(measured);
            }
        }
        all.push((pace, rounds));
    }
    drop(pacers);
    field.stop().await?;
    Ok(told(things.ways(), &all))
}

/// One round.
async fn flow(field: &Field, way: Way, pacer: &mut Pacer, pace: Pace) -> anyhow::Result<Measured> {
    let sink = field.sink(way, 0);
    let (before, used) = (sink.messages(), field.used(way)?);
    sink.note();
    let sent = pacer.send(pace.rate, pace.messages).await?;
    let arrival = sink.has(before + u64::from(pace.messages));
    tokio::time::timeout(PATIENCE, arrival).await.context("not all that was sent arrives")?;
    let used = field.used(way)? - used;
    let latencies = latencies(&sent, before, &sink.noted())?;
    let within = |hundredths| of_hundred(&latencies, hundredths).unwrap_or_default().as_secs_f64() * 1e6;
    Ok(Measured { cost: used.as_secs_f64() * 10_000.0 / f64::from(pace.messages), latency: [50, 99].map(within) })
}

/// How long each message took, the shortest first. One stream keeps their order, so that the how-manieth to come is the
/// how-manieth that was sent; `before` had come earlier.
pub(in crate::bench) fn latencies(
    sent: &[Instant],
    before: u64,
    arrivals: &[(u64, Instant)],
) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    for &(all, at) in arrivals {
        let come = usize::try_from(all - before)?;
        ensure!(come <= sent.len(), "{come} messages arrived of {}", sent.len());
        latencies.extend(sent[latencies.len()..come].iter().map(|sent| at.duration_since(*sent)));
    }
    ensure!(latencies.len() == sent.len(), "{} messages arrived of {}", latencies.len(), sent.len());
    latencies.sort();
    Ok(latencies)
}

fn in_short(ways: &[Way], measured: &[Measured]) -> String {
    let one = |(way, measured): (&Way, &Measured)| {
        let [half, most] = measured.latency;
        format!("{way} {:.3} s/10,000, {half:.0} and {most:.0} µs", measured.cost)
    };
    ways.iter().zip(measured).map(one).collect::<Vec<_>>().join("; ")
}

fn told(ways: &[Way], all: &[(Pace, Rounds)]) -> String {
    let mut text = String::from(
        "| messages a second | | processor seconds for 10,000 | half arrive within | 99 % within | half later than direct by | \
         99 % by |\n|---|---|---|---|---|---|---|\n",
    );
    let mut bars = Vec::new();
    for (pace, rounds) in all {
        for (place, way) in ways.iter().enumerate() {
            let spread = |value: &dyn Fn(&[Measured]) -> f64| Spread::of(rounds.iter().map(|round| value(round)));
            let _ = write!(text, "| {} | {way} |", pace.rate);
            let cost = spread(&|round| round[place].cost);
            if *way == Way::Direct {
                text += " |";
            } else {
                let _ = write!(text, " {} |", cost.show(3));
                bars.push((format!("{} a second, {way}", pace.rate), cost.middle()));
            }
            for percentile in [0, 1] {
                let _ = write!(text, " {} µs |", spread(&|round| round[place].latency[percentile]).show(0));
            }
            for percentile in [0, 1] {
                let later = |round: &[Measured]| round[place].latency[percentile] - round[0].latency[percentile];
                match way {
                    Way::Direct => text += " |",
                    _ => {
                        let _ = write!(text, " {} µs |", spread(&later).show(0));
                    }
                }
            }
            text += "\n";
        }
    }
    text + "\nProcessor seconds for 10,000 messages, ten times as much always as much further to the right:\n\n"
        + &plot::bars(&bars)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_timed_by_its_place() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let sent = [at(0), at(10), at(20)];
        let took = latencies(&sent, 7, &[(8, at(1)), (10, at(25))]).expect("all came");
        assert_eq!(took, [1, 5, 15].map(Duration::from_millis));
        assert!(latencies(&sent, 7, &[(9, at(11))]).is_err(), "one didn't come");
        assert!(latencies(&sent, 7, &[(11, at(25))]).is_err(), "one came twice");
    }
}
