//! The store of a simulation, and the line to it that each controller has: slow, lossy, cut, by seed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use store::{Answer, Hints, Keys, Memory, Revision, Snapshot, Store, StoreError, Transaction};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::judge::Judge;
use super::process::{Halt, Moment, Process};
use super::random::Random;

/// How well questions and answers get through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    /// The longest way, in milliseconds.
    pub(super) slow: u64,
    /// Of a hundred questions, those that the store refuses for want of a majority.
    pub(super) refused: u64,
    /// Of a hundred transactions, those whose answer is lost.
    pub(super) lost: u64,
}

impl Weather {
    pub(super) const FAIR: Weather = Weather { slow: 3, refused: 0, lost: 0 };
}

/// The store. Copies are the same one.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    pub(super) memory: Memory,
    pub(super) judge: Arc<Judge>,
    random: Random,
    weather: Arc<Mutex<Weather>>,
}

/// A controller's line to the store.
#[derive(Debug)]
pub(super) struct Line {
    shelf: Shelf,
    who: String,
    life: u64,
    process: Process,
    /// Hints don't come.
    deaf: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cut: bool,
    /// Transactions that were asked for.
    asked: u64,
    /// At which of them the process halts.
    halt: Option<Halt>,
    /// What becomes of one of them.
    fate: Option<(u64, Fate)>,
}

/// What becomes of a transaction.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    Done,
    Refused,
    /// Nobody heard of it.
    Lost,
    /// It was done, and nobody heard of that.
    Unheard,
    /// It is done when nobody waits for it any more.
    Late,
}

impl Shelf {
    pub(super) fn new(memory: Memory, judge: Arc<Judge>, random: Random) -> Shelf {
        Shelf { memory, judge, random, weather: Arc::new(Mutex::new(Weather::FAIR)) }
    }

    pub(super) fn becomes(&self, weather: Weather) {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn way(&self) -> Duration {
        self.random.milliseconds(0, self.weather().slow)
    }

    fn fate(&self) -> Fate {
        let weather = self.weather();
        if self.random.percent(weather.refused) {
            return Fate::Refused;
        }
        if !self.random.percent(weather.lost) {
            return Fate::Done;
        }
        self.random.of(&[Fate::Lost, Fate::Unheard, Fate::Late]).unwrap_or(Fate::Lost)
    }
}

impl Line {
    pub(super) fn new(shelf: Shelf, who: &str, life: u64, process: Process, deaf: bool) -> Line {
        Line { shelf, who: who.to_owned(), life, process, deaf, state: Mutex::default() }
    }

    pub(super) fn cut(&self, cut: bool) {
        self.state().cut = cut;
    }

    /// It is whole again, and the process halts nowhere.
    pub(super) fn heal(&self) {
        let mut state = self.state();
        (state.cut, state.halt) = (false, None);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.state().cut
    }

    /// The process halts at the transaction with that number.
    pub(super) fn halts_at(&self, halt: Halt) {
        self.state().halt = Some(halt);
    }

    /// This becomes of the transaction with that number.
    pub(super) fn has_fate(&self, at: u64, fate: Fate) {
        self.state().fate = Some((at, fate));
    }

    /// Transactions that were asked for.
    pub(super) fn asked(&self) -> u64 {
        self.state().asked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it is wanted, nothing comes after this.
    async fn passes(&self, number: u64, moment: Moment) {
        let halt = self.state().halt;
        if halt.is_some_and(|halt| halt.halts(&self.process, number, moment)) {
            // Others go on here.
            tokio::task::yield_now().await;
        }
    }

    fn done(
        &self,
        number: u64,
        transaction: &Transaction,
        after: Duration,
    ) -> oneshot::Receiver<Result<Revision, StoreError>> {
        let (answer, answered) = oneshot::channel();
        let (shelf, transaction) = (self.shelf.clone(), transaction.clone());
        let (who, life) = (self.who.clone(), self.life);
        // What was sent arrives, whatever becomes of who sent it.
        tokio::spawn(async move {
            sleep(after).await;
            let done = shelf.memory.transact(&transaction).await;
            if done.is_ok() {
                shelf.judge.transacted((&who, life), number, &transaction).await;
            }
            let _ = answer.send(done);
        });
        answered
    }
}

impl Store for Line {
    fn read<'a>(&'a self, keys: &'a [Keys]) -> Answer<'a, Snapshot> {
        Box::pin(async move {
            sleep(self.shelf.way()).await;
            if self.is_cut() || self.shelf.random.percent(self.shelf.weather().refused) {
                return Err(StoreError::Unreachable("no majority".to_owned()));
            }
            let snapshot = self.shelf.memory.read(keys).await;
            sleep(self.shelf.way()).await;
            snapshot
        })
    }

    fn transact<'a>(&'a self, transaction: &'a Transaction) -> Answer<'a, Revision> {
        Box::pin(async move {
            let number = {
                let mut state = self.state();
                state.asked += 1;
                state.asked
            };
            self.passes(number, Moment::Before).await;
            let meant = self.state().fate.filter(|(at, _)| *at == number).map(|(_, fate)| fate);
            let fate = match meant {
                Some(fate) => fate,
                None if self.is_cut() => Fate::Refused,
                None => self.shelf.fate(),
            };
            let unknown = || Err(StoreError::Unknown("no answer".to_owned()));
            match fate {
                Fate::Refused => {
                    sleep(self.shelf.way()).await;
                    Err(StoreError::Unreachable("no majority".to_owned()))
                }
                Fate::Done | Fate::Unheard => {
                    let done = self.done(number, transaction, self.shelf.way()).await;
                    let done = done.unwrap_or_else(|_| unknown());
                    self.passes(number, Moment::After).await;
                    sleep(self.shelf.way()).await;
                    if matches!(fate, Fate::Unheard) { unknown() } else { done }
                }
                Fate::Lost => {
                    sleep(Duration::from_millis(500)).await;
                    unknown()
                }
                Fate::Late => {
                    let _forgotten = self.done(number, transaction, self.shelf.random.milliseconds(100, 3000));
                    sleep(self.shelf.random.milliseconds(100, 1000)).await;
                    unknown()
                }
            }
        })
    }

    fn watch(&self, keys: &Keys) -> Hints {
        if self.deaf { Hints::new().1 } else { self.shelf.memory.watch(keys) }
    }

    fn name(&self) -> String {
        "simulation".to_owned()
    }
}
