//! The results as a table in Markdown, and one of them in a line.

use std::collections::BTreeMap;

use testkit::rig::{FEDGE, Outcome};

use super::Counted;
use super::results::{Line, Results};

/// One run in a line.
pub(super) fn in_short(line: &Line) -> String {
    let way = |outcome: &Outcome| {
        let Outcome { sent, arrived, returned, lost, doubled, disordered, .. } = outcome;
        let pause = outcome.pause_ms.map_or("never again".to_owned(), |ms| format!("{ms} ms"));
        format!(
            "{arrived}/{sent} arrived, {returned} returned, {lost} lost, {doubled} doubled, {disordered} disordered, {pause}"
        )
    };
    let report = &line.report;
    let mut text = format!(
        "{} {}, {} s, clocks {} ms late\n    out {}\n    in  {}",
        report.partner,
        report.victims.join("+"),
        report.seconds,
        report.late_ms,
        way(&report.outbound),
        way(&report.inbound)
    );
    for (name, outcome) in [("out", &report.outbound), ("in", &report.inbound)] {
        for (place, count) in outcome.lost_at.iter().chain(&outcome.lost_by) {
            text += &format!("\n    {name} {count} lost: {place}");
        }
        for said in &outcome.server_said {
            text += &format!("\n    {name} its server: {said}");
        }
    }
    for broken in &line.broken {
        text += &format!("\n    BROKEN: {broken}");
    }
    text
}

/// Of each fault with each partner, the sum of its runs.
pub(super) fn print(results: &Results) {
    println!(
        "\n| fault | partner | runs | way | sent | lost | of these by fedge | returned | of these arrived | doubled | disordered | longest pause | runs that break a promise |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    );
    let mut rows: BTreeMap<(&str, &str), Vec<&Line>> = BTreeMap::new();
    let mut order = Vec::new();
    for line in &results.0 {
        let key = (line.fault.as_str(), line.report.partner.as_str());
        if !rows.contains_key(&key) {
            order.push(key);
        }
        rows.entry(key).or_default().push(line);
    }
    order.sort_unstable();
    for key in order {
        let lines = &rows[&key];
        let broken = lines.iter().filter(|line| !line.broken.is_empty()).count();
        row(key, lines, "out", |line| &line.report.outbound, broken);
        row(key, lines, "in", |line| &line.report.inbound, broken);
    }
    let mut promises: BTreeMap<&str, Counted> = BTreeMap::new();
    for line in &results.0 {
        for broken in &line.broken {
            let is_number = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit());
            let kind = broken.split(' ').map(|word| if is_number(&word) { "…" } else { word });
            let kind = kind.collect::<Vec<_>>().join(" ");
            *promises.entry(&line.fault).or_default().entry(kind).or_default() += 1;
        }
    }
    for (fault, kinds) in promises {
        for (kind, runs) in kinds {
            println!("{fault}: in {runs} runs: {kind}");
        }
    }
}

fn row(key: (&str, &str), lines: &[&Line], way: &str, of: fn(&Line) -> &Outcome, broken: usize) {
    let sum = |count: fn(&Outcome) -> usize| lines.iter().map(|line| count(of(line))).sum::<usize>();
    let pauses: Option<Vec<u64>> = lines.iter().map(|line| of(line).pause_ms).collect();
    let longest = pauses.map_or("never again".to_owned(), |pauses| {
        format!("{:.1} s", pauses.into_iter().max().unwrap_or_default() as f64 / 1000.0)
    });
    println!(
        "| {} | {} | {} | {way} | {} | {} | {} | {} | {} | {} | {} | {longest} | {broken} |",
        key.0,
        key.1,
        lines.len(),
        sum(|outcome| outcome.sent),
        sum(|outcome| outcome.lost),
        sum(|outcome| outcome.lost_by.get(FEDGE).copied().unwrap_or_default()),
        sum(|outcome| outcome.returned),
        sum(|outcome| outcome.returned_though_arrived),
        sum(|outcome| outcome.doubled),
        sum(|outcome| outcome.disordered),
    );
}
