//! A plan of a move, for people.

use std::fmt::Write as _;

use api::route::Plan;
use comfy_table::{Table, presets};

/// Draws it: the pools before and after, what must be so, what it does, and what changes in DNS.
pub(super) fn drawn(plan: &Plan) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["pool", "site", "before", "after", "serving", "partners"]);
    for pool in &plan.pools {
        let serving = format!("{} of {}", pool.serving, pool.edges);
        let row = [&pool.fqdn, &pool.site, &pool.before, &pool.after, &serving, &pool.partners.to_string()];
        table.add_row(row);
    }
    let (kind, from, to, epoch, hash) = (plan.kind, &plan.from, &plan.to, plan.epoch, &plan.hash);
    let mut text = format!("{kind} from {from} to {to}, epoch {epoch}; plan {hash}\n\n");
    text.extend(table.lines().map(|line| line.trim().to_owned() + "\n"));
    text.push('\n');
    for condition in &plan.conditions {
        let mark = match (condition.holds, condition.accepted) {
            (true, _) => "good",
            (false, true) => "accepted",
            (false, false) => "REFUSES",
        };
        let _ = writeln!(text, "{mark:8}  {}: {}", condition.code, condition.seen);
        if condition.refuses() {
            let _ = writeln!(text, "          {}", condition.fix);
        }
    }
    text.push('\n');
    for (number, step) in (1..).zip(&plan.steps) {
        let _ = writeln!(text, "{number}. {}: {}", step.name, step.what);
    }
    for change in &plan.records {
        for (mark, lines) in [("-", &change.before), ("+", &change.after)] {
            for line in lines {
                let _ = writeln!(text, "{mark} {line}");
            }
        }
    }
    text
}
