//! Costly work in turns: few of many handshakes compute at once, so that nobody else waits behind all of them.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::available_parallelism;

use tokio::sync::Semaphore;
use tokio::task::yield_now;

/// Who may compute now. A step of a handshake takes a good part of a millisecond; after a move of the route, thousands want
/// to do one at the same moment. Of all of them, as many stand in the runtime's queue as there are processors, and the
/// others in a queue of their own: a stream that is up waits for a step or two, and not for thousands. Who waits for
/// his peer holds no turn, so that nobody is kept out by slow ones.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Turns {
    /// One for each processor.
    pub(super) fn new() -> Turns {
        Turns::of(available_parallelism().map_or(1, usize::from))
    }

    fn of(turns: usize) -> Turns {
        Turns(Arc::new(Semaphore::new(turns)))
    }

    /// Does that, each step of it in its turn.
    pub(super) async fn take<T>(&self, what: impl Future<Output = T>) -> T {
        let mut what = pin!(what);
        let call = Arc::new(Call { came: AtomicBool::new(true), task: Mutex::new(Waker::noop().clone()) });
        let waker = Waker::from(call.clone());
        let (mut turn, mut held, mut done) = (None, None, None);
        let mut rest: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = None;
        poll_fn(|cx| {
            call.is_for(cx.waker());
            if let Some(resting) = rest.as_mut() {
                ready!(resting.as_mut().poll(cx));
                rest = None;
                held = None;
            }
            if let Some(done) = done.take() {
                return Poll::Ready(done);
            }
            if !call.came.load(Ordering::Acquire) {
                return Poll::Pending;
            }
            let acquire = turn.get_or_insert_with(|| Box::pin(self.0.acquire()));
            held = Some(ready!(acquire.as_mut().poll(cx)));
            turn = None;
            call.came.store(false, Ordering::Release);
            if let Poll::Ready(value) = what.as_mut().poll(&mut Context::from_waker(&waker)) {
                done = Some(value);
            }
            // A turn lasts until the runtime has looked what came in meanwhile, and whoever that is for has had his.
            let resting = rest.insert(Box::pin(yield_now()));
            let _ = resting.as_mut().poll(cx);
            Poll::Pending
        })
        .await
    }
}

/// Whether the work has been called to its next step, as opposed to its task to something else.
struct Call {
    came: AtomicBool,
    task: Mutex<Waker>,
}

impl Call {
    fn is_for(&self, waker: &Waker) {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).clone_from(waker);
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.came.store(true, Ordering::Release);
        self.task.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Notify;
    use tokio::task::JoinSet;

    use super::*;

    /// Handshakes that all want to compute now.
    const CROWD: usize = 500;
    /// Steps of each.
    const STEPS: usize = 3;

    /// How many steps of others are done at most between two turns of somebody who isn't among them, who is a task as they are.
    async fn most_steps_between(turns: Option<usize>) -> usize {
        let (turns, steps) = (turns.map(Turns::of), Arc::<AtomicUsize>::default());
        let mut crowd = JoinSet::new();
        for _ in 0..CROWD {
            let (turns, steps) = (turns.clone(), steps.clone());
            crowd.spawn(async move {
                let handshake = async {
                    for _ in 0..STEPS {
                        steps.fetch_add(1, Ordering::Relaxed);
                        yield_now().await;
                    }
                };
                match turns {
                    Some(turns) => turns.take(handshake).await,
                    None => handshake.await,
                }
            });
        }
        let other = tokio::spawn(async move {
            let (mut before, mut most) = (0, 0);
            while before < CROWD * STEPS {
                yield_now().await;
                let done = steps.load(Ordering::Relaxed);
                most = most.max(done - before);
                before = done;
            }
            most
        });
        while crowd.join_next().await.is_some() {}
        other.await.expect("it only looks")
    }

    #[tokio::test]
    async fn a_crowd_stands_in_nobody_elses_way() {
        let between = most_steps_between(Some(2)).await;
        assert!(between <= 4, "{between} steps of a crowd came between");
        assert!(most_steps_between(None).await >= CROWD, "without turns, all of it does");
    }

    #[tokio::test]
    async fn who_waits_for_his_peer_holds_no_turn() {
        let (turns, answer) = (Turns::of(1), Arc::<Notify>::default());
        let slow = tokio::spawn({
            let (turns, answer) = (turns.clone(), answer.clone());
            async move { turns.take(answer.notified()).await }
        });
        for _ in 0..10 {
            turns.take(yield_now()).await;
        }
        answer.notify_one();
        slow.await.expect("it goes on once its peer has answered");
    }

    #[tokio::test]
    async fn who_leaves_the_queue_leaves_his_turn_to_others() {
        let turns = Turns::of(1);
        let mut waiting = JoinSet::new();
        for _ in 0..10 {
            let turns = turns.clone();
            waiting.spawn(async move { turns.take(std::future::pending::<()>()).await });
        }
        yield_now().await;
        waiting.shutdown().await;
        turns.take(async {}).await;
    }
}
