//! Every condition of a move, with whether it may be accepted, and every state of an operation is explained in the documents.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::route::{Kind, State};
use control::route::conditions::{Ground, conditions};
use control::route::sight::{Facts, Sight};
use control::zones::{Look, Seen, Told};
use testkit::document::text;
use topology::document::Role;
use topology::records::{Contents, Mark};
use topology::zone::{Publisher, Zone};

/// The codes of a move from one pool to another at whose port nobody could look, and whether each may be accepted.
fn acceptance(kind: Kind) -> BTreeMap<String, bool> {
    let facts = |role, pool: Option<&str>| Facts {
        role,
        pool: pool.map(str::to_owned),
        reached: true,
        problem: None,
        current: true,
        epoch: Some(1),
        service: None,
        rested: None,
        trunks: BTreeSet::new(),
        partners: 0,
        stanzas: 0,
        uncovered: Vec::new(),
        clock: Some(0),
        streams: 0,
        places: Some(100),
    };
    let edges = ["one", "two"].map(|pool| (format!("edge.{pool}"), facts(Role::Edge, Some(pool))));
    let gateway = ("gateway".to_owned(), facts(Role::Gateway, None));
    let zones = vec![zone("one."), zone("two.")];
    let sight = Sight { members: edges.into_iter().chain([gateway]).collect(), zones, ..Sight::default() };
    let ground = Ground { from: "one", to: "two", kind, uncertain: None, busy: None };
    conditions(&ground, &sight, &[]).into_iter().map(|condition| (condition.code, condition.waivable)).collect()
}

/// A zone that takes updates, and of whose name servers one answers.
fn zone(name: &str) -> Look {
    let servers = ["192.0.2.53:53", "192.0.2.54:53"].map(|server| server.parse().expect("an address"));
    let publisher = Publisher::Rfc2136 { primary: servers[0], servers: servers.to_vec(), key: "fedge-key.".to_owned() };
    let mark = Mark { owner: "a1".to_owned(), epoch: 1, topology: 1 };
    let zone = Zone { name: name.to_owned(), publisher };
    let told = Told { said: Ok(Seen { mark: Some(Ok(mark.clone())), sets: Vec::new() }), age: Duration::ZERO };
    let look = Look::unseen(Contents { zone, mark, sets: Vec::new() });
    Look { told: [(servers[0], told)].into(), writable: Some(Ok(())), ..look }
}

#[test]
fn each_condition_is_explained_and_no_other() {
    let document = text("docs/refusals.md").expect("the document");
    let (switchover, failover) = (acceptance(Kind::Switchover), acceptance(Kind::Failover));
    let codes: BTreeSet<&String> = switchover.keys().chain(failover.keys()).collect();
    let wanted: Vec<(String, &str)> = codes
        .into_iter()
        .map(|code| {
            let word = match (switchover.get(code), failover.get(code)) {
                (Some(true), _) => "yes",
                (_, Some(true)) => "failover",
                _ => "no",
            };
            (code.clone(), word)
        })
        .collect();
    let mut explained: Vec<(String, &str)> = document
        .lines()
        .filter_map(|line| {
            let (code, rest) = line.strip_prefix("| [`")?.split_once('`')?;
            let last = rest.trim_end_matches(" |").rsplit("| ").next()?;
            Some((code.to_owned(), last.split(',').next()?))
        })
        .collect();
    explained.sort();
    assert_eq!(explained, wanted);
    let mut headings: Vec<&str> =
        document.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    headings.sort_unstable();
    assert_eq!(headings, explained.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>());
}

/// All states, in the order in which an operation that goes well has them first.
fn states() -> Vec<State> {
    // So that no state is left out that is added some day.
    let next = |state| match state {
        State::Preparing => Some(State::Ready),
        State::Ready => Some(State::Committed),
        State::Committed => Some(State::Applying),
        State::Applying => Some(State::Verifying),
        State::Verifying => Some(State::Draining),
        State::Draining => Some(State::Done),
        State::Done => Some(State::RolledBack),
        State::RolledBack => Some(State::Degraded),
        State::Degraded => Some(State::Superseded),
        State::Superseded => None,
    };
    std::iter::successors(Some(State::Preparing), |state| next(*state)).collect()
}

#[test]
fn each_state_is_explained_and_no_other() {
    let document = text("docs/moving.md").expect("the document");
    let states = states();
    let wanted: Vec<&str> = states.iter().map(|state| state.word()).collect();
    let table = document.split("\n## States\n").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a table");
    let explained: Vec<&str> =
        table.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once("` |")?.0)).collect();
    assert_eq!(explained, wanted);
}
