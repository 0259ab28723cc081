//! A line that comes back in the moment in which another way was found: its peer's system has taken what was on it, so that
//! nothing may overtake that, and nothing has to go back.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::border::{Border, Outcome, settings};
use super::life::OUTSIDE;
use super::simulated;
use super::speakers::Kind;

/// The line is away for so long; then it is back, but the partner's server reads nothing for a moment. After that the
/// line that carried is either well or silent for good. And how long it took until all had their outcome.
async fn live(away: Duration, silent_again: bool) -> (Outcome, Duration) {
    let border = Border::in_flow(Kind::Counting).await;
    let carrier = border.carrier();
    for edge in &border.edges {
        border.network.freeze(edge.life.0, OUTSIDE);
    }
    sleep(away).await;
    border.network.thaw_unread(OUTSIDE);
    sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    border.network.thaw();
    if silent_again {
        border.network.freeze(carrier, OUTSIDE);
    }
    let outcome = border.outcome().await;
    (outcome, began.elapsed())
}

/// Whenever that is between two looks at the line.
fn moments() -> impl Iterator<Item = Duration> {
    (2_400..2_900).step_by(25).map(Duration::from_millis)
}

#[test]
fn nothing_overtakes_or_returns_what_a_line_brought_that_is_back() {
    for away in moments() {
        let (outcome, _) = simulated(live(away, false));
        assert_eq!((outcome.returned, outcome.in_order), (0, true), "returned, and in order, after {away:?}");
    }
}

#[test]
fn a_line_that_falls_silent_again_is_not_waited_for_as_another_way_was_found() {
    for away in moments() {
        let (Outcome { returned, .. }, took) = simulated(live(away, true));
        assert!(returned <= settings().hold.window_stanzas, "{returned} were returned, after {away:?}");
        // It has acknowledged what came, so only its server is silent; without another way it would be waited for as long as this.
        assert!(took < settings().hold.age, "it took {took:?}, after {away:?}");
    }
}
