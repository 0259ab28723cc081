//! How plans, findings and answers of DNS read on a terminal.

use std::fmt::Write as _;

use api::dns::{Answer, Answers, Applied, Checked, Contents, Plan, Severity, Signed};
use api::route::RecordChange;

/// A plan: each zone with its name servers, what changes and by whom.
pub(super) fn plan(plan: &Plan) -> String {
    let mut text =
        format!("partners are to find {} first (epoch {}, topology {})\n", plan.pool, plan.epoch, plan.topology);
    for planned in &plan.zones {
        let zone = &planned.zone;
        let _ = write!(text, "\nzone {}\n  {}\n", zone.name.trim_end_matches('.'), publisher(&zone.publisher));
        for server in &zone.servers {
            let _ = writeln!(text, "  {} {}", if server.current { "ok  " } else { "NOT " }, server.answers);
        }
        if let Some(why) = &planned.hindered {
            let _ = writeln!(text, "  as it is, it can't be changed: {why}");
        }
        if !planned.foreign.is_empty() {
            text.push_str("  there now, put there by somebody else; `--adopt` takes these names over:\n");
            planned.foreign.iter().for_each(|line| text.push_str(&format!("    {line}\n")));
        }
        if !planned.left.is_empty() {
            text.push_str("  left alone, because they differ only in how long they may be kept:\n");
            planned.left.iter().for_each(|line| text.push_str(&format!("    {line}\n")));
        }
        match &planned.message {
            Some(message) => text.push_str(&indented(message)),
            None if zone.changes.is_empty() && planned.is_done() => text.push_str("  nothing is to be changed\n"),
            None => changes(&zone.changes, &mut text),
        }
    }
    if !plan.elsewhere.is_empty() {
        text.push_str("\nin no zone of the topology, so that nobody here looks after them:\n");
        plan.elsewhere.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    let _ = write!(
        text,
        "\nthe plan's hash is {}; `fedge dns apply --plan {}` carries out this one and no other\n",
        plan.hash, plan.hash
    );
    text
}

fn publisher(word: &str) -> &'static str {
    match word {
        "embedded" => "our own name servers answer for it, and follow by themselves",
        "rfc2136" => "a name server takes updates; `fedge dns apply` sends them, and so does a move",
        _ => "somebody changes it by hand",
    }
}

fn changes(changes: &[RecordChange], text: &mut String) {
    for change in changes {
        change.before.iter().for_each(|line| text.push_str(&format!("  - {line}\n")));
        change.after.iter().for_each(|line| text.push_str(&format!("  + {line}\n")));
    }
}

fn indented(message: &str) -> String {
    let lines = message.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  | {line}\n") });
    lines.collect()
}

/// What became of each zone.
pub(super) fn applied(all: &[Applied]) -> String {
    let mut text = String::new();
    for one in all {
        let word = match (one.done, one.refused) {
            (true, _) => "done",
            (_, true) => "refused",
            (false, false) => "waits",
        };
        let _ = writeln!(text, "{word:<8}{}: {}", one.zone.trim_end_matches('.'), one.what);
        if one.done {
            changes(&one.changes, &mut text);
        }
    }
    text
}

/// What is wrong, each with what to do.
pub(super) fn checked(checked: &Checked) -> String {
    let mut text = format!("{} names were asked for at {}\n", checked.names, checked.asked.join(", "));
    for finding in &checked.findings {
        let word = if finding.severity == Severity::Fault { "FAULT  " } else { "warning" };
        let _ = write!(text, "{word} {}: {}\n        {}\n", finding.code, finding.seen, finding.fix);
    }
    let faults = checked.findings.iter().filter(|finding| finding.severity == Severity::Fault).count();
    let _ = writeln!(text, "{faults} faults, {} warnings", checked.findings.len() - faults);
    text
}

/// Zones as zone files have them.
pub(super) fn contents(all: &[Contents]) -> String {
    let zone = |contents: &Contents| {
        let lines = contents.lines.iter().map(|line| format!("{line}\n"));
        format!(
            "; zone {} ({})\n{}",
            contents.zone.trim_end_matches('.'),
            contents.publisher,
            lines.collect::<String>()
        )
    };
    all.iter().map(zone).collect::<Vec<_>>().join("\n")
}

/// What parents are to have of signed zones, each line with what it is for.
pub(super) fn signed(all: &[Signed]) -> String {
    let zone = |signed: &Signed| {
        format!(
            "; for the parent of {}: this line, or the key itself where it makes that of it\n{}\n{}\n",
            signed.zone.trim_end_matches('.'),
            signed.ds,
            signed.dnskey
        )
    };
    all.iter().map(zone).collect::<Vec<_>>().join("\n")
}

/// What everybody answers; after the first time only what isn't as it was.
pub(super) fn answers(answers: &Answers, before: Option<&Answers>) -> String {
    let mut text = String::new();
    if before.is_none() {
        let _ = writeln!(text, "partners are to find {} first (epoch {})", answers.pool, answers.epoch);
    }
    let same = |answer: &Answer, old: &Answer| {
        (&answer.name, &answer.kind, &answer.server, answer.right, &answer.answers)
            == (&old.name, &old.kind, &old.server, old.right, &old.answers)
    };
    let is_new = |answer: &&Answer| before.is_none_or(|before| !before.answers.iter().any(|old| same(answer, old)));
    for answer in answers.answers.iter().filter(is_new) {
        let word = if answer.right { "ok " } else { "NOT" };
        let who = if answer.resolver { "resolver" } else { "server  " };
        let ttl = match (answer.resolver, answer.ttl) {
            (true, Some(ttl)) => format!(" (for {ttl} s more)"),
            _ => String::new(),
        };
        let _ = writeln!(
            text,
            "{word} {who} {}: {} {} {}{ttl}",
            answer.server,
            answer.name,
            answer.kind,
            answer.answers.join(", ")
        );
    }
    if answers.are_right() {
        text.push_str("all answer what they should\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use api::dns::Planned;
    use api::route::{Zone, ZoneServer};

    use super::*;

    #[test]
    fn what_is_left_alone_is_told_beside_what_is_to_be_changed() {
        let server =
            ZoneServer { server: "ns1".to_owned(), current: true, answers: "ns1 answers what it should".to_owned() };
        let zone = Zone {
            name: "contoso.test.".to_owned(),
            publisher: "manual".to_owned(),
            servers: vec![server],
            changes: Vec::new(),
        };
        let planned = Planned {
            zone,
            foreign: Vec::new(),
            left: vec!["pool1.contoso.test. 120 IN A 192.0.2.1".to_owned()],
            hindered: None,
            message: None,
        };
        let told = plan(&Plan {
            hash: "0123".to_owned(),
            pool: "pool1.contoso.test".to_owned(),
            epoch: 1,
            topology: 1,
            zones: vec![planned],
            elsewhere: Vec::new(),
        });
        let expected = "may be kept:\n    pool1.contoso.test. 120 IN A 192.0.2.1\n  nothing is to be changed\n";
        assert!(told.contains("  left alone, because") && told.contains(expected), "{told}");
    }

    fn answer(server: &str, right: bool, first: &str) -> Answer {
        Answer {
            name: "_xmpp-server._tcp.contoso.test.".to_owned(),
            kind: "SRV".to_owned(),
            server: server.to_owned(),
            resolver: true,
            right,
            answers: vec![format!("10 0 5269 {first}.contoso.test.")],
            ttl: Some(12),
        }
    }

    #[test]
    fn who_watches_is_told_only_what_is_new() {
        let all = |answers: Vec<Answer>| Answers { pool: "pool2.contoso.test".to_owned(), epoch: 2, answers };
        let first = all(vec![answer("192.0.2.1:53", false, "pool1"), answer("192.0.2.2:53", true, "pool2")]);
        let told = answers(&first, None);
        assert!(
            told.starts_with("partners are to find pool2.contoso.test first (epoch 2)\nNOT resolver 192.0.2.1:53: "),
            "{told}"
        );
        assert!(told.contains("(for 12 s more)"), "{told}");
        let second = all(vec![answer("192.0.2.1:53", true, "pool2"), answer("192.0.2.2:53", true, "pool2")]);
        let told = answers(&second, Some(&first));
        assert_eq!(told.lines().count(), 2, "{told}");
        assert!(told.ends_with("all answer what they should\n"), "{told}");
    }
}
