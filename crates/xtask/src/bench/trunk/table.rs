//! What came out, in a table.

use std::time::Duration;

use super::{Measured, Series};
use crate::bench::spread::Spread;

impl Measured {
    fn rate(&self) -> f64 {
        self.messages as f64 / self.time.as_secs_f64()
    }

    /// All of fedge.
    fn fedge(&self) -> Duration {
        self.fedge.iter().sum()
    }

    /// Of all of fedge, in seconds for 10,000 messages.
    fn cost(&self) -> f64 {
        self.fedge().as_secs_f64() / self.messages as f64 * 10_000.0
    }

    /// The same, of the process that has most to do.
    fn highest_cost(&self) -> f64 {
        let most = self.fedge.iter().max().copied().unwrap_or_default();
        most.as_secs_f64() / self.messages as f64 * 10_000.0
    }

    /// How many processors fedge, and the ends, kept busy.
    fn busy(&self) -> [f64; 2] {
        [self.fedge(), self.ends].map(|used| used.as_secs_f64() / self.time.as_secs_f64())
    }
}

/// A round in a line.
pub(super) fn in_short([one, two]: &[Measured; 2]) -> String {
    let told = |measured: &Measured| {
        let [fedge, ends] = measured.busy();
        let (rate, cost) = (measured.rate(), measured.cost());
        format!("{rate:.0}/s, {cost:.3} s/10,000, busy {fedge:.2} + {ends:.2}")
    };
    format!("one process: {}; trunk: {}", told(one), told(two))
}

/// All of it.
pub(super) fn print(series: &[Series]) {
    println!("\n| stanza | | one process | gateway and edge server | ratio |\n|---|---|---|---|---|");
    for Series { bytes, rounds } in series {
        let row = |what: &str, digits, value: fn(&Measured) -> f64| {
            let [one, two] = [0, 1].map(|shape| Spread::of(rounds.iter().map(|both| value(&both[shape]))));
            let ratio = Spread::of(rounds.iter().map(|[one, two]| value(two) / value(one)));
            println!("| {bytes} B | {what} | {} | {} | {} |", one.show(digits), two.show(digits), ratio.show(2));
        };
        row("messages a second", 0, Measured::rate);
        row("fedge's processor seconds for 10,000", 3, Measured::cost);
        row("the same, of its busier process", 3, Measured::highest_cost);
        row("processors that fedge kept busy", 2, |measured| measured.busy()[0]);
        row("processors that the ends kept busy", 2, |measured| measured.busy()[1]);
    }
    println!(
        "\nEach: the middle of {} rounds, and from lowest to highest.",
        series.first().map_or(0, |one| one.rounds.len())
    );
}
