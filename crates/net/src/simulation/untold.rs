//! A way that closed while nobody could be told of it: whoever comes back hears of it before the pair comes back to it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::border::Border;
use super::host::name;
use super::life::{GATEWAYS, OUTSIDE};
use super::simulated;
use super::speakers::Kind;

const LOOK: Duration = Duration::from_millis(50);

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
    let first = border.carrier();
    let second = border.edges.iter().map(|edge| edge.life.0).find(|edge| *edge != first).expect("there are two");
    border.gateway.members.route(vec![vec![name(first)], vec![name(second)]]);
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
