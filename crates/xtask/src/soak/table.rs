//! The results as tables in Markdown, and one of them in a few lines.

use std::collections::BTreeMap;

use testkit::rig::{FEDGE, Outcome};

use super::Counted;
use super::results::{Line, Results};

/// One run in a few lines.
pub(super) fn in_short(line: &Line) -> String {
    let way = |outcome: &Outcome| {
        let Outcome { sent, arrived, returned, lost, doubled, disordered, .. } = outcome;
        let mut pause = outcome.pause_ms.map_or("never again".to_owned(), |ms| format!("{ms} ms"));
        if outcome.server_ms > super::promise::LATE_MS {
            pause += &format!(", and the addressee's server {} ms", outcome.server_ms);
        }
        format!(
            "{arrived}/{sent} arrived, {returned} returned, {lost} lost, {doubled} doubled, {disordered} disordered, {pause}"
        )
    };
    let report = &line.report;
    let (victims, seconds, late) = (report.victims.join("+"), report.seconds, report.late_ms);
    let mut text = format!("{} {victims}, {seconds} s, clocks {late} ms late", report.partner);
    for (name, outcome) in [("out", &report.outbound), ("in ", &report.inbound)] {
        if outcome.sent > 0 {
            text += &format!("\n    {name} {}", way(outcome));
        }
        for (place, count) in outcome.lost_at.iter().chain(&outcome.lost_by) {
            text += &format!("\n    {name} {count} lost: {place}");
        }
        for said in outcome.server_said.iter().filter(|_| outcome.lost > 0) {
            text += &format!("\n    {name} its server: {said}");
        }
    }
    for broken in &line.broken {
        text += &format!("\n    BROKEN: {broken}");
    }
    text
}

/// What fedge does, and of runs in which messages only came in, what it and its rivals do.
pub(super) fn print(results: &Results) {
    let (theirs, ours): (Vec<&Line>, Vec<&Line>) = results.0.iter().partition(|line| line.inward);
    println!();
    for (released, lines) in grouped(ours, |line| line.released) {
        println!("fedge's {}:\n", if released { "released build" } else { "development build" });
        each_fault(&lines);
        promises(&lines);
        println!();
    }
    if !theirs.is_empty() {
        beside_rivals(&theirs);
    }
}

/// Lines by what they have in common.
fn grouped<'a, K: Ord>(
    lines: impl IntoIterator<Item = &'a Line>,
    key: impl Fn(&'a Line) -> K,
) -> BTreeMap<K, Vec<&'a Line>> {
    let mut rows: BTreeMap<K, Vec<&Line>> = BTreeMap::new();
    for line in lines {
        rows.entry(key(line)).or_default().push(line);
    }
    rows
}

/// Prints a row, or with dashes the line below the head.
fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

fn head(names: &[&str]) {
    row(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
    println!("|{}", "---|".repeat(names.len()));
}

/// Of each fault with each partner, the sum of its runs.
fn each_fault(lines: &[&Line]) {
    head(&[
        "fault",
        "partner",
        "runs",
        "way",
        "sent",
        "lost",
        "by fedge",
        "by others",
        "returned",
        "of these arrived",
        "doubled",
        "disordered",
        "longest pause",
        "runs that break a promise",
    ]);
    for ((fault, partner), lines) in grouped(lines.iter().copied(), |line| (&line.fault, &line.report.partner)) {
        let broken = lines.iter().filter(|line| !line.broken.is_empty()).count();
        for (way, outcomes) in [
            ("out", lines.iter().map(|line| &line.report.outbound).collect::<Vec<_>>()),
            ("in", lines.iter().map(|line| &line.report.inbound).collect()),
        ] {
            let sum =
                |count: fn(&Outcome) -> usize| outcomes.iter().map(|outcome| count(outcome)).sum::<usize>().to_string();
            row(&[
                fault.clone(),
                partner.clone(),
                lines.len().to_string(),
                way.to_owned(),
                sum(|outcome| outcome.sent),
                sum(|outcome| outcome.lost),
                sum(|outcome| outcome.lost_by.get(FEDGE).copied().unwrap_or_default()),
                by_others(&outcomes),
                sum(|outcome| outcome.returned),
                sum(|outcome| outcome.returned_though_arrived),
                sum(|outcome| outcome.doubled),
                sum(|outcome| outcome.disordered),
                longest_pause(&lines, &outcomes),
                broken.to_string(),
            ]);
        }
    }
}

/// How many were lost by whom but fedge.
fn by_others(outcomes: &[&Outcome]) -> String {
    let mut others = Counted::new();
    for (who, count) in outcomes.iter().flat_map(|outcome| &outcome.lost_by).filter(|(who, _)| *who != FEDGE) {
        *others.entry(who.clone()).or_default() += count;
    }
    if others.is_empty() {
        return "0".to_owned();
    }
    others.into_iter().map(|(who, count)| format!("{count} {who}")).collect::<Vec<_>>().join(", ")
}

/// Of the runs in which the machine kept time.
fn longest_pause(lines: &[&Line], outcomes: &[&Outcome]) -> String {
    let in_time = lines.iter().zip(outcomes).filter(|(line, _)| line.report.late_ms <= super::promise::LATE_MS);
    let pauses: Option<Vec<u64>> = in_time.map(|(_, outcome)| outcome.pause_ms).collect();
    match pauses.map(|pauses| pauses.into_iter().max()) {
        None => "never again".to_owned(),
        Some(None) => "not measured".to_owned(),
        Some(Some(longest)) => format!("{:.1} s", longest as f64 / 1000.0),
    }
}

/// What wasn't as promised, and how often.
fn promises(lines: &[&Line]) {
    let mut promises: BTreeMap<&str, Counted> = BTreeMap::new();
    for line in lines {
        for broken in &line.broken {
            let is_number = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit());
            let kind = broken.split(' ').map(|word| if is_number(&word) { "…" } else { word });
            let kind = kind.collect::<Vec<_>>().join(" ");
            *promises.entry(&line.fault).or_default().entry(kind).or_default() += 1;
        }
    }
    println!();
    for (fault, kinds) in promises {
        for (kind, runs) in kinds {
            println!("{fault}: in {runs} runs: {kind}");
        }
    }
    let late = lines.iter().filter(|line| line.report.late_ms > super::promise::LATE_MS).count();
    println!("in {late} of {} runs clocks were too late for a pause to be judged", lines.len());
}

/// What can be compared stands together.
fn beside(line: &Line) -> (&str, &str, usize, usize, String) {
    let border = if line.released { format!("{}, released", line.border) } else { line.border.clone() };
    (&line.fault, &line.report.partner, line.messages, line.per_second, border)
}

/// What comes in while an edge server that has the partner's stream is hit, with fedge and with rivals there.
fn beside_rivals(lines: &[&Line]) {
    println!();
    head(&[
        "fault",
        "partner",
        "messages",
        "a second",
        "at the border",
        "runs",
        "lost",
        "most in a run",
        "returned",
        "of these arrived",
        "disordered",
        "longest pause",
    ]);
    let hit = lines.iter().copied().filter(|line| line.report.hits_inbound);
    for ((fault, partner, messages, per_second, border), lines) in grouped(hit, beside) {
        let outcomes: Vec<&Outcome> = lines.iter().map(|line| &line.report.inbound).collect();
        let sum =
            |count: fn(&Outcome) -> usize| outcomes.iter().map(|outcome| count(outcome)).sum::<usize>().to_string();
        row(&[
            fault.to_owned(),
            partner.to_owned(),
            messages.to_string(),
            per_second.to_string(),
            border,
            lines.len().to_string(),
            sum(|outcome| outcome.lost),
            outcomes.iter().map(|outcome| outcome.lost).max().unwrap_or_default().to_string(),
            sum(|outcome| outcome.returned),
            sum(|outcome| outcome.returned_though_arrived),
            sum(|outcome| outcome.disordered),
            longest_pause(&lines, &outcomes),
        ]);
    }
}
