//! An alarm: a timer that whoever waits in turns keeps over all of them.
//!
//! What is waited for mostly moves away, turn after turn, and a timer of its own for each turn would be entered and struck out
//! under a lock each time. This one is only set to something earlier than it rings at; where it rings too early, it is set anew.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

use crate::clock::now;

/// A timer that is kept.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    /// Made when it is first needed.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Sleeps until then; for ever if there is no then. Can be given up and begun again.
    pub(crate) async fn until(&mut self, when: Option<Instant>) {
        match when {
            Some(when) => poll_fn(|cx| self.poll(cx, when)).await,
            None => pending().await,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, when: Instant) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(when.into())));
        if when < sleep.deadline().into_std() {
            sleep.as_mut().reset(when.into());
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if now() >= when {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(when.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const STEP: Duration = Duration::from_secs(1);

    /// Waits with the alarm in as many turns, which are told apart by something else that happens.
    async fn turn(alarm: &mut Alarm, when: Option<Instant>, length: Duration) -> bool {
        tokio::select! {
            biased;
            () = alarm.until(when) => true,
            () = tokio::time::sleep(length) => false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_rings_in_time_wherever_that_moves() {
        let mut alarm = Alarm::default();
        let began = now();
        assert!(!turn(&mut alarm, Some(began + 3 * STEP), STEP).await);
        assert!(!turn(&mut alarm, Some(began + 9 * STEP), STEP).await, "it has moved away");
        assert!(!turn(&mut alarm, Some(began + 9 * STEP), 4 * STEP).await, "it rings for what was before");
        assert!(turn(&mut alarm, Some(began + 9 * STEP), 9 * STEP).await);
        assert_eq!(now(), began + 9 * STEP);
        assert!(!turn(&mut alarm, Some(began + 30 * STEP), STEP).await);
        assert!(turn(&mut alarm, Some(began + 12 * STEP), 9 * STEP).await, "it has come nearer");
        assert_eq!(now(), began + 12 * STEP);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_past_rings_at_once_and_again() {
        let mut alarm = Alarm::default();
        let began = now();
        tokio::time::sleep(STEP).await;
        for when in [began, began + STEP, began] {
            assert!(turn(&mut alarm, Some(when), STEP).await);
            assert_eq!(now(), began + STEP);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_time_it_never_rings_and_keeps_nothing() {
        let mut alarm = Alarm::default();
        let began = now();
        assert!(!turn(&mut alarm, None, 1000 * STEP).await);
        assert!(alarm.sleep.is_none(), "thousands have nothing to wait for");
        assert!(!turn(&mut alarm, Some(began + 1001 * STEP), STEP / 2).await);
        assert!(!turn(&mut alarm, None, 1000 * STEP).await, "nor because of what was before");
    }
}
