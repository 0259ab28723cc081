//! Setting streams up in turns: of all that aren't up yet, few compute at once, those that came first, so that nobody whose
//! stream is up waits behind a crowd.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::Instant;

/// A stream is set up in fewer steps, whatever it is cut into on its way.
const STEPS: usize = 32;

/// Work after which the runtime looks what came in meanwhile, and whoever that is for has his go, before the next step. So much
/// and one step is the most that others wait for.
const LASTS: Duration = Duration::from_micros(250);

/// Who may compute now. A step of a handshake takes a good part of a millisecond; after a move of the route, thousands want
/// to do one at the same moment. Of all of them, as many stand in the runtime's queue as there are processors, and the
/// others in a queue of their own: a stream that is up waits for a step or two, and not for thousands. Who waits for
/// his peer holds no turn, so that nobody is kept out by slow ones. Probes, which are few, and the trunk do without.
///
/// Who came first is let in first, with each of his steps. So some are done early and nobody is done later than if all
/// went on side by side; and of more than can be done in the time that they have, those that came first get through. Who
/// takes more steps than anybody needs goes behind all who are there, and so doesn't keep them out.
#[derive(Debug, Clone)]
pub struct Turns(Arc<Mutex<Queue>>);

/// Somebody waits only while no turn is free.
#[derive(Debug)]
struct Queue {
    /// Turns that nobody has, and for how long each was used since it rested.
    free: Vec<Duration>,
    /// The place of the last one who came.
    last: u64,
    /// Who waits, by place.
    waiting: BTreeMap<u64, Waker>,
    /// Who has been given a turn, and hasn't come for it yet.
    called: BTreeMap<u64, Duration>,
}

impl Queue {
    fn new_place(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl Turns {
    /// One for each processor.
    #[must_use]
    pub fn for_this_machine() -> Turns {
        Turns::of(available_parallelism().map_or(1, usize::from))
    }

    /// So many, whichever machine this is.
    pub(crate) fn of(turns: usize) -> Turns {
        let free = vec![Duration::ZERO; turns];
        let queue = Queue { free, last: 0, waiting: BTreeMap::new(), called: BTreeMap::new() };
        Turns(Arc::new(Mutex::new(queue)))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn is over that was used for so long: it is for the first of those who wait.
    fn pass_on(&self, used: Duration) {
        let first = {
            let mut queue = self.queue();
            let first = queue.waiting.pop_first();
            match &first {
                Some((number, _)) => drop(queue.called.insert(*number, used)),
                None => queue.free.push(used),
            }
            first
        };
        if let Some((_, waker)) = first {
            waker.wake();
        }
    }

    /// Does that, each step of it in its turn. It has to be woken for each, as by everything that can be awaited; and none
    /// may be in another turn, which would wait for it.
    pub async fn take<T>(&self, what: impl Future<Output = T>) -> T {
        let mut what = pin!(what);
        let call = Arc::new(Call { came: AtomicBool::new(true), task: Mutex::new(Waker::noop().clone()) });
        let waker = Waker::from(call.clone());
        // Nothing yet.
        let mut rest = pin!(false.then(yield_now));
        let (mut place, mut done) = (Place::behind_all(self), None);
        poll_fn(|cx| {
            call.is_for(cx.waker());
            if let Some(resting) = rest.as_mut().as_pin_mut() {
                ready!(resting.poll(cx));
                rest.set(None);
                place.turn = Some(Duration::ZERO);
                place.leave();
            }
            if let Some(done) = done.take() {
                return Poll::Ready(done);
            }
            if !call.came.load(Ordering::Acquire) {
                return Poll::Pending;
            }
            ready!(place.enter(cx));
            call.came.store(false, Ordering::Release);
            let began = Instant::now();
            let step = what.as_mut().poll(&mut Context::from_waker(&waker));
            if !place.used_up(began.elapsed()) {
                place.leave();
                return step;
            }
            if let Poll::Ready(value) = step {
                done = Some(value);
            }
            rest.set(Some(yield_now()));
            let _ = rest.as_mut().as_pin_mut().map(|resting| resting.poll(cx));
            Poll::Pending
        })
        .await
    }
}

/// Somebody's place in the queue.
struct Place<'a> {
    turns: &'a Turns,
    number: u64,
    /// How many it may still be used for.
    steps: usize,
    /// For how long the turn that is held was used since it rested.
    turn: Option<Duration>,
}

impl<'a> Place<'a> {
    fn behind_all(turns: &'a Turns) -> Place<'a> {
        Place { turns, number: turns.queue().new_place(), steps: STEPS, turn: None }
    }

    /// Waits for a turn.
    fn enter(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut queue = self.turns.queue();
        self.turn = queue.called.remove(&self.number).or_else(|| queue.free.pop());
        if self.turn.is_none() {
            queue.waiting.insert(self.number, cx.waker().clone());
            return Poll::Pending;
        }
        self.steps -= 1;
        if self.steps == 0 {
            (self.number, self.steps) = (queue.new_place(), STEPS);
        }
        Poll::Ready(())
    }

    /// Gives the turn back, to wait for another one at the same place.
    fn leave(&mut self) {
        if let Some(used) = self.turn.take() {
            self.turns.pass_on(used);
        }
    }

    /// The turn was used for so long just now. Whether it has to rest before the next step.
    fn used_up(&mut self, time: Duration) -> bool {
        let used = self.turn.unwrap_or_default() + time;
        self.turn = Some(used);
        used >= LASTS
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queue = self.turns.queue();
        queue.waiting.remove(&self.number);
        self.turn = self.turn.or(queue.called.remove(&self.number));
        drop(queue);
        self.leave();
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
    const EACH: usize = 3;

    /// Counts its steps, each of which takes as long as that of a handshake.
    async fn handshake(steps: &AtomicUsize) {
        for _ in 0..EACH {
            steps.fetch_add(1, Ordering::Relaxed);
            let began = Instant::now();
            while began.elapsed() < LASTS {}
            yield_now().await;
        }
    }

    /// How many steps of others are done at most between two turns of somebody who isn't among them, who is a task as they are.
    async fn most_steps_between(turns: Option<usize>) -> usize {
        let (turns, steps) = (turns.map(Turns::of), Arc::<AtomicUsize>::default());
        let mut crowd = JoinSet::new();
        for _ in 0..CROWD {
            let (turns, steps) = (turns.clone(), steps.clone());
            crowd.spawn(async move {
                match turns {
                    Some(turns) => turns.take(handshake(&steps)).await,
                    None => handshake(&steps).await,
                }
            });
        }
        let other = tokio::spawn(async move {
            let (mut before, mut most) = (0, 0);
            while before < CROWD * EACH {
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
    async fn who_came_first_is_done_first() {
        let (turns, steps) = (Turns::of(1), Arc::<AtomicUsize>::default());
        let mut crowd = JoinSet::new();
        for _ in 0..CROWD {
            let (turns, steps) = (turns.clone(), steps.clone());
            crowd.spawn(async move { turns.take(handshake(&steps)).await });
        }
        for _ in 0..CROWD / 2 {
            crowd.join_next().await.expect("there are more").expect("it doesn't panic");
        }
        // Side by side, nearly all steps of all would have been done by then.
        let done = steps.load(Ordering::Relaxed);
        assert!(done < CROWD * EACH * 6 / 10, "{done} steps were done before half of them came to their end");
        while crowd.join_next().await.is_some() {}
    }

    #[tokio::test]
    async fn who_comes_to_no_end_keeps_nobody_out() {
        let turns = Turns::of(1);
        let mut endless = JoinSet::new();
        for _ in 0..10 {
            let turns = turns.clone();
            endless.spawn(async move {
                let steps = async {
                    loop {
                        yield_now().await;
                    }
                };
                turns.take(steps).await
            });
        }
        yield_now().await;
        let late = async {
            for _ in 1..STEPS {
                yield_now().await;
            }
        };
        let done = tokio::time::timeout(Duration::from_secs(60), turns.take(late)).await;
        done.expect("it has its turns");
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
