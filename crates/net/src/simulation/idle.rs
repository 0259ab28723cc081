//! A stream on which nothing has been said for long, and its line may be dead: who is asked for another way finds that out first.

use std::time::Duration;

use tokio::time::sleep;

use super::border::{Border, Outcome};
use super::host::name;
use super::life::OUTSIDE;
use super::network::Place;
use super::simulated;
use super::speakers::Kind;
use crate::streams::Direction;

/// They are said in some fifteen seconds.
const STANZAS: usize = 1500;

/// How many stanzas went over the streams of that edge server to the partner, of which there is one.
fn carried(border: &Border, edge: Place) -> u64 {
    let host = border.edges.iter().find(|host| host.life.0 == edge).expect("it is an edge server");
    let streams = host.face.streams.list();
    let mut dialed = streams.iter().filter(|info| info.direction == Direction::Dialed);
    let carried = dialed.next().expect("its stream is up").stanzas;
    assert!(dialed.next().is_none(), "it has one stream");
    carried
}

/// The pair goes from one edge server to the other, and the stream that it leaves is silent from then on. Its line is well or
/// dead when that under the other one is away for a while. And whether anything went over the silent one then.
async fn live(is_dead: bool) -> (Outcome, bool) {
    let border = Border::in_flow_of(Kind::Counting, STANZAS).await;
    let idle = border.carrier();
    let other = border.edges.iter().map(|edge| edge.life.0).find(|edge| *edge != idle).expect("there are two");
    border.gateway.members.route(vec![vec![name(other)], vec![name(idle)]]);
    sleep(Duration::from_secs(2)).await;
    let before = carried(&border, idle);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(carried(&border, idle), before, "it is silent");
    if is_dead {
        border.network.freeze(idle, OUTSIDE);
    }
    border.network.freeze(other, OUTSIDE);
    sleep(Duration::from_secs(4)).await;
    let was_used = carried(&border, idle) > before;
    border.network.thaw_between(other, OUTSIDE);
    (border.outcome().await, was_used)
}

#[test]
fn nothing_is_given_to_a_silent_stream_whose_line_is_dead() {
    let (outcome, was_used) = simulated(live(true));
    assert_eq!((outcome.returned, outcome.in_order, was_used), (0, true, false), "returned, in order, and used");
}

#[test]
fn a_silent_stream_whose_line_is_well_is_used_at_once() {
    let (outcome, was_used) = simulated(live(false));
    assert!(was_used, "{} were returned", outcome.returned);
}
