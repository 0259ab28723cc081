//! A way that is closed and that nobody knows of, as it closed while none could be told, or was forgotten since: it is said
//! before the pair waits there.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::border::Border;
use super::life::{GATEWAYS, OUTSIDE};
use super::simulated;
use super::speakers::Kind;

const LOOK: Duration = Duration::from_millis(50);
/// What is said seldom.
const FEW: usize = 5;

/// The longest time in which nothing came, for so long.
async fn pause(border: &Border, during: Duration) -> Duration {
    let (began, mut news, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
    let mut delivered = border.delivered();
    while began.elapsed() < during {
        sleep(LOOK).await;
        if std::mem::replace(&mut delivered, border.delivered()) != delivered {
            news = Instant::now();
        }
        longest = longest.max(news.elapsed());
    }
    longest
}

/// The edge server of the first pool is cut off on both sides for that long, with something on its line to the partner's server;
/// then it is back on the trunk only. Gives the longest pause after that.
async fn live(kind: Kind, away: Duration) -> Duration {
    let border = Border::in_flow_of(kind, 2000).await;
    let first = border.prefer_carrier();
    border.network.freeze(first, OUTSIDE);
    sleep(Duration::from_millis(300)).await;
    border.network.freeze(first, GATEWAYS);
    sleep(away).await;
    border.network.thaw_between(first, GATEWAYS);
    let pause = pause(&border, Duration::from_secs(6)).await;
    border.network.thaw();
    assert!(border.outcome().await.in_order, "{kind:?}, after {away:?}");
    pause
}

#[test]
fn a_pair_does_not_come_back_to_a_line_that_is_dead() {
    for kind in [Kind::Counting, Kind::Mute, Kind::Silent] {
        for away in (3_000..9_000).step_by(250).map(Duration::from_millis) {
            let pause = simulated(live(kind, away));
            assert!(pause < Duration::from_secs(1), "{kind:?}: {pause:?}, after {away:?}");
        }
    }
}

#[test]
fn who_speaks_seldom_is_not_sent_into_a_dead_line_again_and_again() {
    for pause in [5, 30, 62, 70, 130].map(Duration::from_secs) {
        let outcome = simulated(async {
            let mut border = Border::in_flow_of(Kind::Counting, 100).await;
            border.say(FEW).await;
            border.network.freeze(border.prefer_carrier(), OUTSIDE);
            for time in 1..=10 {
                let took = border.say(FEW).await;
                assert!(took < Duration::from_secs(3), "{took:?}, the {time}. time, with {pause:?} between");
                sleep(pause).await;
            }
            border.outcome().await
        });
        // What was on the line when it died.
        assert!(
            outcome.returned <= FEW && outcome.in_order,
            "{} were returned, with {pause:?} between",
            outcome.returned
        );
    }
}
