//! A route that changes while a partner's server that can't tell what it has taken still has to read what came by the old one.

use std::time::Duration;

use tokio::time::sleep;

use super::border::{Border, Outcome};
use super::host::name;
use super::life::{GATEWAYS, OUTSIDE};
use super::network::Place;
use super::simulated;
use super::speakers::Kind;

fn move_from(border: &Border, carrier: Place) {
    let other = border.edges.iter().map(|edge| edge.life.0).find(|edge| *edge != carrier).expect("there are two");
    border.gateway.members.route(vec![vec![name(other)]]);
}

/// One in flow, whose partner's server has stopped reading the stream that carries, with nothing in flight; and who carries.
async fn left_unread(kind: Kind) -> (Border, Place) {
    let border = Border::in_flow(kind).await;
    let carrier = border.carrier();
    border.network.leave_unread(OUTSIDE);
    sleep(Duration::from_millis(450)).await;
    border.gateway.face.holder.settled().await;
    (border, carrier)
}

/// The partner's server stops reading the stream that carries, for so long; its system acknowledges what comes, so that
/// nothing is in flight when the route moves to the other edge server. Of a new stream it would read at once. And how many came
/// meanwhile.
async fn live(kind: Kind, unread: Duration) -> (Outcome, usize) {
    let (border, carrier) = left_unread(kind).await;
    move_from(&border, carrier);
    let before = border.delivered();
    sleep(unread).await;
    let meanwhile = border.delivered() - before;
    border.network.thaw();
    (border.outcome().await, meanwhile)
}

#[test]
fn nothing_overtakes_what_a_server_has_not_read() {
    for kind in [Kind::Mute, Kind::Silent] {
        for unread in [0, 500, 2_000, 4_500].map(Duration::from_millis) {
            let (outcome, meanwhile) = simulated(live(kind, unread));
            let seen = (outcome.returned, outcome.in_order, meanwhile);
            assert_eq!(seen, (0, true, 0), "{kind:?}: returned, in order, and overtaking, after {unread:?}");
        }
    }
}

#[test]
fn a_server_that_reads_nothing_is_not_waited_for_for_long() {
    let (outcome, meanwhile) = simulated(live(Kind::Silent, Duration::from_secs(10)));
    assert!(outcome.returned == 0 && meanwhile > 0, "{} were returned, {meanwhile} went on", outcome.returned);
}

#[test]
fn what_a_silent_line_has_is_waited_for_after_the_route_has_moved() {
    for kind in [Kind::Counting, Kind::Mute, Kind::Silent] {
        let outcome = simulated(async {
            let border = Border::in_flow(kind).await;
            border.edges.iter().for_each(|edge| border.network.freeze(edge.life.0, OUTSIDE));
            // By now nothing more is written, and something waits.
            sleep(Duration::from_secs(1)).await;
            move_from(&border, border.carrier());
            sleep(Duration::from_secs(8)).await;
            border.network.thaw();
            border.outcome().await
        });
        assert_eq!((outcome.returned, outcome.in_order), (0, true), "{kind:?}: returned, and in order");
    }
}

#[test]
fn what_is_given_by_a_new_connection_is_not_taken_back_by_what_was_asked_on_the_old_one() {
    for kind in [Kind::Mute, Kind::Silent] {
        let outcome = simulated(async {
            let (border, carrier) = left_unread(kind).await;
            // The carrier is asked, and waits for the server's end.
            move_from(&border, carrier);
            sleep(Duration::from_millis(100)).await;
            border.network.cut(GATEWAYS, carrier);
            sleep(Duration::from_secs(1)).await;
            border.gateway.members.route(vec![vec![name(carrier)]]);
            sleep(Duration::from_secs(8)).await;
            border.network.thaw();
            border.outcome().await
        });
        assert_eq!(outcome.returned, 0, "{kind:?}");
    }
}
