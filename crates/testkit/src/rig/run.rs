//! One run: streams up, both flood, the fault falls into the middle, everything is counted, everything is made good.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use tokio::task::{JoinSet, block_in_place};

use super::account::{self, Outcome};
use super::cause::{self, Circumstances};
use super::fault::{Chances, Fault, Victim};
use super::flood::Talk;
use super::late::Lateness;
use super::log::Since;
use super::random::Random;
use super::sides::Sides;
use super::{PATIENCE, Rig};
use crate::lab::split::{GATEWAYS, edges};
use crate::lab::{CONTOSO, FABRIKAM, TAILSPIN};

/// Partners' servers.
const PROSODY: &str = "prosody";
const EJABBERD: &str = "ejabberd";

/// Most lost ids that are named.
const NAMED: usize = 10;

/// What shall happen. The same order makes the same choices.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// What breaks.
    pub fault: Fault,
    /// Decides everything else: whom it hits, when, for how long, with which partner.
    pub seed: u64,
    /// How many messages go each way.
    pub messages: usize,
    /// How many of them in a second.
    pub per_second: usize,
    /// Only what comes in is said, and whom it comes by is hit: all that can be done behind a rival.
    pub inward: bool,
}

impl Order {
    /// What runs at the partner: `prosody` or `ejabberd`.
    pub fn partner(&self) -> &'static str {
        // Odd ones with the one, and those of each tenth in turn.
        if (self.seed + self.seed / 10) % 2 == 1 { PROSODY } else { EJABBERD }
    }
}

/// What happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// What runs at the partner: `prosody` or `ejabberd`.
    pub partner: String,
    /// Who was hit, of gateways and edge servers.
    pub victims: Vec<String>,
    /// After how many messages.
    pub after: usize,
    /// For how long, in milliseconds, where it was undone during the run.
    pub lasted_ms: u64,
    /// From the internal server to the partner.
    pub outbound: Outcome,
    /// From the partner to the internal server.
    pub inbound: Outcome,
    /// Of the users' two rooms, one on each side, those in which they still are, and could be.
    pub rooms: [usize; 2],
    /// Whether messages passed both ways in the end, without anybody having been started again.
    pub flows: bool,
    /// The same for what goes out, and what comes in.
    #[serde(default)]
    pub flowed: [bool; 2],
    /// What went otherwise than it should.
    pub notes: Vec<String>,
    /// The longest time that a timer of the rig was late from the fault on, in milliseconds. A pause that was
    /// measured while the machine had too much to do says nothing.
    #[serde(default)]
    pub late_ms: u64,
    /// Whether an edge server was hit that had the partner's stream.
    #[serde(default)]
    pub hits_inbound: bool,
    /// How long it all took.
    pub seconds: u64,
}

impl Rig {
    /// Runs it. The laboratory can be used again when messages flowed in the end.
    ///
    /// # Errors
    /// When the run can't be done: what was to be started doesn't start, or nothing passes before the fault.
    pub fn run(&mut self, order: &Order) -> anyhow::Result<Report> {
        self.runs += 1;
        let began = Instant::now();
        self.heal()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let report = runtime.block_on(self.flooded(order));
        runtime.shutdown_background();
        Ok(Report { seconds: began.elapsed().as_secs(), ..report? })
    }

    async fn flooded(&mut self, order: &Order) -> anyhow::Result<Report> {
        let began = Instant::now();
        let mut random = Random(order.seed);
        let chances = Chances::draw(&mut random, order.inward);
        let kind = order.partner();
        let domain = if kind == PROSODY { FABRIKAM } else { TAILSPIN };
        let share = random.between(20, 50);
        let after = order.messages * usize::try_from(share).unwrap_or_default() / 100;
        let messages = if order.inward { [0, order.messages] } else { [order.messages; 2] };
        let mut sides = Sides::enter(&self.split, self.runs, domain, messages).await?;
        let victims = block_in_place(|| order.fault.victims(&self.split, domain, &chances))?;
        let hits_inbound = block_in_place(|| Fault::hits_inbound(&self.split, domain, &victims))?;

        let logs = [Since::now(&self.split, CONTOSO)?, Since::now(&self.split, domain)?];
        let mut speakers = JoinSet::new();
        for (side, talk) in sides.talks.iter().enumerate() {
            speakers.spawn(talk.clone().speak(sides.session(side), messages[side], order.per_second));
        }
        while sides.talks[usize::from(order.inward)].account().progress() < after {
            ensure!(began.elapsed() < 4 * PATIENCE, "the flood doesn't get under way");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (fault, lateness) = (Instant::now(), Lateness::watch());
        let mut standing = block_in_place(|| order.fault.strike(&mut self.split, domain, &victims, &chances))?;
        if order.fault.ends_sessions() {
            sides.login_again(&self.split, usize::from(order.fault.victim == Victim::Partner)).await?;
        }
        if order.fault.stands() {
            tokio::time::sleep_until((fault + chances.lasts).into()).await;
        }
        block_in_place(|| standing.undo(&mut self.split, &chances))?;
        let lasted = fault.elapsed();
        while speakers.join_next().await.is_some() {}
        sides.settle(|| block_in_place(|| self.split.holds_anything())).await?;
        let late_ms = lateness.longest_ms();

        let flowed = sides.flows().await;
        let flows = flowed == [true; 2];
        let rooms = if flows && !order.fault.ends_sessions() { [sides.rooms_kept().await, 2] } else { [0, 0] };
        let [outbound, inbound] = [0, 1].map(|side| {
            let circumstances = Circumstances::of(order.fault, side == 1, kind);
            let outcome = block_in_place(|| {
                self.outcome(&sides.talks[side], fault, side == 1, domain, &logs[side], &circumstances)
            });
            let server_ms = account::milliseconds(sides.talks[1 - side].account().longest_wait(fault));
            outcome.map(|outcome| Outcome { server_ms, ..outcome })
        });
        Ok(Report {
            partner: kind.to_owned(),
            victims: victims.iter().map(|victim| (*victim).to_owned()).collect(),
            after,
            lasted_ms: u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
            outbound: outbound?,
            inbound: inbound?,
            rooms,
            flows,
            flowed,
            notes: standing.notes,
            late_ms,
            hits_inbound,
            seconds: 0,
        })
    }

    /// What became of what was said in one direction, and who lost what is lost.
    fn outcome(
        &self,
        talk: &Talk,
        fault: Instant,
        inward: bool,
        partner: &str,
        log: &Since,
        circumstances: &Circumstances,
    ) -> anyhow::Result<Outcome> {
        let ids: Vec<String> = talk.account().lost().map(|number| format!("{}{number}", talk.tag)).collect();
        let (members, from, to) = if inward {
            (edges().collect::<Vec<_>>(), partner, CONTOSO)
        } else {
            (GATEWAYS.to_vec(), CONTOSO, partner)
        };
        let fates = cause::fates(&self.split, &members, (from, to), &ids)?;
        let said = log.said(&self.split, to)?;
        Ok(Outcome {
            streams: said.streams,
            unacknowledged: said.unacknowledged,
            lost_by: if self.split.rival().is_some() {
                BTreeMap::new()
            } else {
                cause::blame(&fates, said.dropped, circumstances)
            },
            lost_at: cause::places(&fates),
            server_said: said.lines,
            lost_ids: ids.into_iter().take(NAMED).collect(),
            ..talk.account().outcome(fault)
        })
    }
}
