//! Trying targets one after another, the next one before the last has failed: happy eyeballs that
//! go on until the stream is ready.

use std::future::Future;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long a target may leave us waiting before the next is tried beside it.
#[derive(Debug, Clone)]
pub struct Pace {
    /// For the connection to come up (RFC 8305 §5).
    pub connect: Duration,
    /// From there for the stream to be ready.
    pub stream: Duration,
    /// How many are tried beside each other so soon; more only when the last one has left us waiting
    /// for `stream`, whether it is connected or not.
    pub at_once: usize,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { connect: Duration::from_millis(250), stream: Duration::from_secs(2), at_once: 4 }
    }
}

/// By which an attempt tells how far it came.
#[derive(Debug, Clone)]
pub struct Milestone {
    index: usize,
    told: mpsc::UnboundedSender<usize>,
}

impl Milestone {
    /// The connection is up; what remains is the stream.
    pub fn connected(&self) {
        // Nobody listens once another target has won.
        let _ = self.told.send(self.index);
    }
}

/// Runs `attempt` with each target, in order, until one succeeds; the others are dropped then. Those that
/// keep us waiting for so long that another is tried are told to `overtaken`.
///
/// # Errors
/// Each target's own, when none did.
pub async fn race<A, T, E, F>(
    targets: Vec<A>,
    pace: Pace,
    attempt: impl Fn(A, Milestone) -> F,
    overtaken: impl Fn(&A),
) -> Result<T, Vec<(A, E)>>
where
    A: Clone,
    T: Send + 'static,
    E: Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    let (told, mut milestones) = mpsc::unbounded_channel();
    let mut running = JoinSet::new();
    let mut failures: Vec<(usize, E)> = Vec::new();
    let mut next = 0;
    // When to try the next target though the last hasn't failed.
    let mut patience = Instant::now();
    loop {
        let may_start = next < targets.len();
        if running.is_empty() && !may_start {
            break;
        }
        tokio::select! {
            biased;
            // Before its attempt's end, which may have come right after it.
            Some(index) = milestones.recv() => if index + 1 == next {
                patience = Instant::now() + pace.stream;
            },
            Some(ended) = running.join_next() => match ended {
                Ok((_, Ok(value))) => return Ok(value),
                Ok((index, Err(error))) => {
                    failures.push((index, error));
                    patience = Instant::now();
                }
                // An attempt that panicked has told so; the others go on.
                Err(_) => patience = Instant::now(),
            },
            () = tokio::time::sleep_until(patience), if may_start => {
                let failed = |index: &usize| failures.iter().any(|(other, _)| other == index);
                if let Some(last) = next.checked_sub(1).filter(|last| !failed(last)) {
                    overtaken(&targets[last]);
                }
                let milestone = Milestone { index: next, told: told.clone() };
                let (index, attempt) = (next, attempt(targets[next].clone(), milestone));
                running.spawn(async move { (index, attempt.await) });
                next += 1;
                let crowded = running.len() >= pace.at_once;
                patience = Instant::now() + if crowded { pace.stream } else { pace.connect };
            }
        }
    }
    failures.sort_by_key(|(index, _)| *index);
    Err(failures.into_iter().map(|(index, error)| (targets[index].clone(), error)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::Target;
    use std::sync::{Arc, Mutex};

    /// What a target does: after how long it is connected, after how long from there it is done.
    #[derive(Clone, Copy)]
    struct Behaviour(Option<u64>, Option<u64>, bool);

    const NEVER: Option<u64> = None;
    /// Without anybody else having had his turn.
    const NOW: Option<u64> = Some(0);

    async fn wait(milliseconds: Option<u64>) {
        match milliseconds {
            NOW => {}
            Some(milliseconds) => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
            None => std::future::pending().await,
        }
    }

    fn target(index: usize) -> Target {
        let number = u8::try_from(index).expect("few targets");
        Target { host: index.to_string(), address: ([127, 0, 0, number], 5269).into(), direct_tls: false }
    }

    /// Who won after how many milliseconds, who was overtaken, and the order of the attempts.
    async fn run(behaviours: Vec<Behaviour>) -> (Option<(usize, Vec<String>)>, u64, Vec<usize>) {
        let began = Instant::now();
        let order = Arc::new(Mutex::new(Vec::new()));
        let overtaken = Mutex::new(Vec::new());
        let targets = (0..behaviours.len()).map(target).collect();
        let attempt = |target: Target, milestone: Milestone| {
            let index: usize = target.host.parse().expect("a number");
            order.lock().expect("no panic").push(index);
            let Behaviour(connect, done, good) = behaviours[index];
            async move {
                wait(connect).await;
                milestone.connected();
                wait(done).await;
                if good { Ok(index) } else { Err(()) }
            }
        };
        let told = |target: &Target| overtaken.lock().expect("no panic").push(target.host.clone());
        let won = race(targets, Pace::default(), attempt, told).await.ok();
        let won = won.map(|winner| (winner, overtaken.into_inner().expect("no panic")));
        let elapsed = u64::try_from(began.elapsed().as_millis()).expect("not long");
        let order = order.lock().expect("no panic").clone();
        (won, elapsed, order)
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_target_wins_where_it_works() {
        let (won, elapsed, order) = run(vec![Behaviour(Some(10), Some(100), true); 3]).await;
        assert_eq!((won, elapsed, order), (Some((0, vec![])), 110, vec![0]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_moves_on_at_once() {
        let refuses = Behaviour(Some(0), Some(5), false);
        let good = Behaviour(Some(0), Some(10), true);
        let (won, elapsed, _) = run(vec![refuses, refuses, good]).await;
        assert_eq!((won, elapsed), (Some((2, vec![])), 20));
        let closes = Behaviour(NOW, NOW, false);
        let (won, elapsed, _) = run(vec![closes, closes, good]).await;
        assert_eq!((won, elapsed), (Some((2, vec![])), 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_target_is_overtaken() {
        let good = Behaviour(Some(10), Some(10), true);
        let (won, elapsed, _) = run(vec![Behaviour(NEVER, NEVER, false), good]).await;
        assert_eq!((won, elapsed), (Some((1, vec!["0".to_owned()])), 270));
        let (won, elapsed, _) = run(vec![Behaviour(Some(10), NEVER, false), good]).await;
        assert_eq!((won, elapsed), (Some((1, vec!["0".to_owned()])), 10 + 2000 + 20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_one_may_still_win() {
        let (won, _, order) = run(vec![Behaviour(Some(400), Some(100), true), Behaviour(Some(400), NEVER, true)]).await;
        assert_eq!((won, order), (Some((0, vec!["0".to_owned()])), vec![0, 1]));
    }

    #[tokio::test(start_paused = true)]
    async fn many_silent_ones_dont_hide_a_good_one() {
        let mut behaviours = vec![Behaviour(NEVER, NEVER, false); 6];
        behaviours.push(Behaviour(Some(10), Some(10), true));
        let (won, elapsed, _) = run(behaviours).await;
        assert_eq!(won.map(|(winner, overtaken)| (winner, overtaken.len())), Some((6, 6)));
        // The first four soon after each other, the others every two seconds.
        assert_eq!(elapsed, 3 * 250 + 3 * 2000 + 20);
    }

    #[tokio::test(start_paused = true)]
    async fn every_failure_is_told() {
        let (won, elapsed, order) = run(vec![Behaviour(Some(60_000), Some(0), false); 6]).await;
        assert_eq!((won, order), (None, (0..6).collect()));
        assert_eq!(elapsed, 3 * 250 + 2 * 2000 + 60_000);
    }
}
