//! How the route, plans and operations read on a terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use api::route::{Condition, Line, Need, Operation, Plan, Pool, RecordChange, Route, State, Verified};
use comfy_table::{ContentArrangement, Table, presets};

use crate::remote::when;

/// The route, who stands by, and the operation that is under way.
pub(crate) fn route(route: &Route, operation: Option<&Operation>) -> String {
    let mut text = format!("the route is on {}, epoch {}\n\n", route.pool, route.epoch);
    text.push_str(&pools(&route.pools, false));
    if route.pool != route.home {
        let _ = write!(text, "\nits home is {}: `fedge route failback` moves it there\n", route.home);
    }
    if let Some(operation) = operation {
        let _ = write!(text, "\n{}", self::operation(operation));
    }
    text
}

/// A plan: the pools before and after, what must be so, what is done, and its hash.
pub(crate) fn plan(plan: &Plan) -> String {
    let mut text = format!("{} from {} to {}, epoch {}\n\n", plan.kind, plan.from, plan.to, plan.epoch);
    text.push_str(&pools(&plan.pools, true));
    text.push_str("\nwhat must be so\n");
    plan.conditions.iter().for_each(|condition| text.push_str(&self::condition(condition)));
    for warning in &plan.warnings {
        let _ = writeln!(text, "  note: {warning}");
    }
    // Of a move from a pool to itself, they would make no sense.
    if plan.from != plan.to {
        text.push_str("\nwhat is done\n");
        for (number, step) in (1..).zip(&plan.steps) {
            let _ = writeln!(text, "  {number}. {}: {}", step.name, step.what);
        }
    }
    text.push_str(&records(plan));
    let refusals: Vec<&str> = plan.refusals().map(|condition| condition.code.as_str()).collect();
    match refusals.is_empty() {
        true => {
            let _ = write!(
                text,
                "\nthe plan's hash is {}; `--plan {}` carries out this one and no other\n",
                plan.hash, plan.hash
            );
        }
        false => {
            let _ = write!(text, "\nas it is, it would be refused: {}\n", refusals.join(", "));
        }
    }
    text
}

/// Why a move was refused, with what to do.
pub(crate) fn refusals(plan: &Plan) -> String {
    let mut text = format!("refused: the route stays on {}, epoch {}\n", plan.from, plan.epoch.saturating_sub(1));
    plan.refusals().for_each(|refusal| text.push_str(&condition(refusal)));
    text
}

/// That it was begun, with what is well to know.
pub(crate) fn begun(plan: &Plan, number: u64) -> String {
    let mut text = format!("operation {number}: {} from {} to {}\n", plan.kind, plan.from, plan.to);
    for warning in &plan.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    let records = records(plan);
    if !records.is_empty() {
        let _ = writeln!(text, "{records}");
    }
    text
}

/// A line of its journal, with the seconds since it was begun.
pub(crate) fn line(operation: &Operation, line: &Line) -> String {
    let seconds = Seconds(line.at.saturating_sub(operation.began));
    format!("{seconds} {:<11} {}\n", line.state.word(), line.what)
}

/// An operation with its journal.
pub(crate) fn operation(operation: &Operation) -> String {
    let mut text = format!(
        "operation {}: {} from {} to {}, epoch {}; begun {} by {}, driven by {}\n",
        operation.number,
        operation.kind,
        operation.from,
        operation.to,
        operation.epoch,
        when(operation.began),
        operation.who,
        operation.driver
    );
    operation.journal.iter().for_each(|line| text.push_str(&self::line(operation, line)));
    if !operation.state.is_over() {
        let waits = operation.waits.as_deref().unwrap_or("goes on");
        let _ = writeln!(text, "it is {}: {waits}", operation.state);
    }
    text
}

/// How an operation came to rest, and where the partners are.
pub(crate) fn end(operation: &Operation) -> String {
    let Operation { number, from, to, state, .. } = operation;
    let (took, waits) = (Seconds(operation.took()).to_string(), operation.waits.as_deref().unwrap_or_default());
    let mut text = match state {
        State::Done => {
            format!(
                "operation {number} is done after {}: the route is on {to}, epoch {}\n",
                took.trim(),
                operation.epoch
            )
        }
        State::RolledBack => format!("operation {number} was rolled back: the route stays on {from}\n"),
        State::Superseded => format!("operation {number} was superseded: `fedge route show` says where the route is\n"),
        State::Degraded => {
            format!(
                "operation {number} is degraded: the route is on {to}, and this isn't seen yet, and tried again: {waits}\n"
            )
        }
        _ => format!("operation {number} goes on, `fedge route watch {number}` shows it: {waits}\n"),
    };
    text.push_str(&by_hand(operation));
    if let (true, Some(after)) = (state.is_committed(), operation.partners_after) {
        let before = operation.partners_before.map_or("unknown".to_owned(), |before| before.to_string());
        let _ = writeln!(text, "partners: {after} on {to}, {before} on {from}");
    }
    text
}

/// Whether the route serves.
pub(crate) fn verified(verified: &Verified) -> String {
    let mut text = format!("the route is on {}, epoch {}\n", verified.pool, verified.epoch);
    verified.conditions.iter().for_each(|condition| text.push_str(&self::condition(condition)));
    text
}

/// One line for each operation.
pub(crate) fn history(operations: &[Operation]) -> String {
    let mut table = table();
    table.set_header(["operation", "begun", "kind", "from", "to", "epoch", "state", "took", "who", "why"]);
    for operation in operations {
        table.add_row([
            operation.number.to_string(),
            when(operation.began),
            operation.kind.to_string(),
            operation.from.clone(),
            operation.to.clone(),
            operation.epoch.to_string(),
            operation.state.to_string(),
            Seconds(operation.took()).to_string().trim().to_owned(),
            operation.who.clone(),
            operation.why.clone(),
        ]);
    }
    lines(&table)
}

fn pools(pools: &[Pool], after: bool) -> String {
    let mut table = table();
    let now = if after { vec!["pool", "site", "before", "after"] } else { vec!["pool", "site", "is"] };
    table.set_header(now.into_iter().chain(["edge servers", "serving", "stopped", "partners"]));
    for pool in pools {
        let mut row = vec![pool.fqdn.clone(), pool.site.clone(), pool.before.clone()];
        if after {
            row.push(pool.after.clone());
        }
        row.extend([pool.edges, pool.serving, pool.stopped].map(|count| count.to_string()));
        row.push(pool.partners.to_string());
        table.add_row(row);
    }
    lines(&table)
}

fn condition(condition: &Condition) -> String {
    let Condition { code, holds, seen, fix, waivable, accepted } = condition;
    let mark = match (holds, accepted) {
        (true, _) => "yes",
        (false, true) => "accepted",
        (false, false) => "NO",
    };
    let mut text = format!("  {mark:<9} {code}: {seen}\n");
    if !holds && !accepted {
        let _ = writeln!(text, "            {fix}");
        if *waivable {
            let _ = writeln!(text, "            to accept it: --accept {code}");
        }
    }
    text
}

/// What is to be changed in DNS; empty where nothing is.
pub(crate) fn records(plan: &Plan) -> String {
    let mut by_zone = BTreeMap::<_, Vec<&RecordChange>>::new();
    for change in &plan.records {
        by_zone.entry((change.zone.as_deref(), change.publisher.as_deref())).or_default().push(change);
    }
    by_zone.into_iter().map(|((zone, publisher), changes)| changed(zone, publisher, changes)).collect()
}

/// What an operation waits for that somebody changes by hand.
fn by_hand(operation: &Operation) -> String {
    let waits = operation.needs == Some(Need::Records);
    let zones = operation.zones.iter().filter(|zone| waits && zone.publisher == "manual" && !zone.changes.is_empty());
    zones.map(|zone| changed(Some(&zone.name), Some(&zone.publisher), &zone.changes)).collect()
}

/// What is to be changed in a zone, and whose job that is.
fn changed<'a>(
    zone: Option<&str>,
    publisher: Option<&str>,
    changes: impl IntoIterator<Item = &'a RecordChange>,
) -> String {
    let whose = match publisher {
        Some("embedded") => "by our own dns servers",
        Some("rfc2136") => "by an update",
        _ => "by hand",
    };
    let mut text = format!("\nto be changed in {}, {whose}: these lines (-) by those (+)\n", zone.unwrap_or("DNS"));
    for change in changes {
        for line in &change.before {
            let _ = writeln!(text, "  - {line}");
        }
        for line in &change.after {
            let _ = writeln!(text, "  + {line}");
        }
    }
    text
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn lines(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Milliseconds, shown as seconds.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>4}.{} s", self.0 / 1000, self.0 % 1000 / 100)
    }
}
