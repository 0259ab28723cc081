//! One run: streams up, both flood, the fault falls into the middle, everything is counted, everything is made good.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::{JoinSet, block_in_place};

use super::account::Outcome;
use super::cause::{self, Since};
use super::fault::{Chances, Fault, Victim};
use super::flood::{Seen, Session, Talk, listen, saw};
use super::random::Random;
use super::{PATIENCE, Rig};
use crate::client::Client;
use crate::lab::split::{GATEWAYS, edges};
use crate::lab::{CONTOSO, FABRIKAM, TAILSPIN};

/// Without news for so long, what is missing is lost; longer than anybody here holds anything.
const SILENCE: Duration = Duration::from_secs(25);
/// What is complete may still have doubles on their way.
const SETTLING: Duration = Duration::from_secs(2);
/// For a message to pass when all is well again.
const AGAIN: Duration = Duration::from_secs(20);
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
}

/// What happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// What runs at the partner: `prosody` or `ejabberd`.
    pub partner: String,
    /// Who was hit, of gateways and edge servers.
    pub victims: Vec<String>,
    /// After how many messages of the internal server.
    pub after: usize,
    /// For how long, in milliseconds, where it was undone during the run.
    pub lasted_ms: u64,
    /// From the internal server to the partner.
    pub outbound: Outcome,
    /// From the partner to the internal server.
    pub inbound: Outcome,
    /// Of the users' two rooms, one on each side, those in which they still are, and could be before.
    pub rooms: [usize; 2],
    /// Whether messages passed both ways in the end, without anybody having been started again.
    pub flows: bool,
    /// What went otherwise than it should.
    pub notes: Vec<String>,
    /// How long it all took.
    pub seconds: u64,
}

struct Sides {
    users: [String; 2],
    sessions: [watch::Sender<Option<Arc<Client>>>; 2],
    talks: [Talk; 2],
    seen: Seen,
    listeners: JoinSet<()>,
}

impl Rig {
    /// Runs it. The laboratory can be used again when messages flowed in the end.
    ///
    /// # Errors
    /// When the run can't be done: what was to be started doesn't start, or nothing passes before the fault.
    pub fn run(&mut self, order: &Order) -> anyhow::Result<Report> {
        self.runs += 1;
        self.heal()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let report = runtime.block_on(self.flooded(order));
        runtime.shutdown_background();
        report
    }

    async fn flooded(&mut self, order: &Order) -> anyhow::Result<Report> {
        let began = Instant::now();
        let mut random = Random(order.seed);
        let chances = Chances::draw(&mut random);
        // Odd ones with the one, and those of each tenth in turn.
        let (domain, kind) =
            if (order.seed + order.seed / 10) % 2 == 1 { (FABRIKAM, "prosody") } else { (TAILSPIN, "ejabberd") };
        let share = random.between(20, 50);
        let after = order.messages * usize::try_from(share).unwrap_or_default() / 100;
        let mut sides = self.sides(domain, order.messages).await?;
        let victims = block_in_place(|| order.fault.victims(&self.split, domain, &chances))?;

        let per_second = if order.messages > 5000 { 1000 } else { 300 };
        let logs = [Since::now(&self.split, CONTOSO)?, Since::now(&self.split, domain)?];
        let mut speakers = JoinSet::new();
        for (talk, session) in sides.talks.iter().zip(&sides.sessions) {
            speakers.spawn(talk.clone().speak(session.subscribe(), order.messages, per_second));
        }
        while sides.talks[0].account().progress() < after {
            ensure!(began.elapsed() < 4 * PATIENCE, "the flood doesn't get under way");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let fault = Instant::now();
        let mut standing = block_in_place(|| order.fault.strike(&mut self.split, domain, &victims, &chances))?;
        if order.fault.ends_sessions() {
            sides.login_again(&self.split, usize::from(order.fault.victim == Victim::Partner)).await?;
        }
        tokio::time::sleep_until((fault + chances.lasts).into()).await;
        block_in_place(|| standing.undo(&mut self.split, &chances))?;
        let lasted = fault.elapsed();
        while speakers.join_next().await.is_some() {}
        sides.settle().await;

        let rooms_kept = sides.rooms_kept().await;
        let flows = sides.flows().await;
        let mut outbound = self.outcome(&sides.talks[0], fault, &GATEWAYS, &format!("{CONTOSO} -> {domain}"))?;
        let edges: Vec<_> = edges().collect();
        let mut inbound = self.outcome(&sides.talks[1], fault, &edges, &format!("{domain} -> {CONTOSO}"))?;
        for (outcome, log) in [&mut outbound, &mut inbound].into_iter().zip(&logs) {
            outcome.unacknowledged = log.as_ref().map_or(Ok(0), Since::unacknowledged)?;
        }
        Ok(Report {
            partner: kind.to_owned(),
            victims: victims.iter().map(|victim| (*victim).to_owned()).collect(),
            after,
            lasted_ms: u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
            outbound,
            inbound,
            rooms: [rooms_kept, 2],
            flows,
            notes: standing.notes,
            seconds: began.elapsed().as_secs(),
        })
    }

    /// Logs both in, and waits until messages pass both ways and both are in a room of the other's server.
    async fn sides(&self, domain: &str, messages: usize) -> anyhow::Result<Sides> {
        let users = Rig::users(domain);
        let [alice, bob] = [&users[0], &users[1]];
        let tags = ["out", "in"].map(|way| format!("rig-{}-{way}-", self.runs));
        let talks =
            [Talk::new(tags[0].clone(), bob.clone(), messages), Talk::new(tags[1].clone(), alice.clone(), messages)];
        let clients = [Arc::new(self.split.login(alice).await?), Arc::new(self.split.login(bob).await?)];
        for (index, client) in clients.iter().enumerate() {
            let (id, other) = (format!("{}first", tags[index]), &clients[1 - index]);
            client.message(other.jid(), &id, "first");
            let first = other.message_with_id(&id, PATIENCE).await?;
            ensure!(!first.is_error(), "before anything was done to it: {first}");
            client.join_muc(&room(&tags[index], &users[1 - index]), "somebody").await.context("before the fault")?;
        }
        let sessions = clients.map(|client| watch::channel(Some(client)).0);
        let mut sides = Sides { users, sessions, talks, seen: Seen::default(), listeners: JoinSet::new() };
        sides.listen(0);
        sides.listen(1);
        Ok(sides)
    }

    fn outcome(&self, talk: &Talk, fault: Instant, members: &[&'static str], pair: &str) -> anyhow::Result<Outcome> {
        let ids: Vec<String> = talk.account().lost().map(|number| format!("{}{number}", talk.tag)).collect();
        let lost_at = block_in_place(|| cause::ask(&self.split, members, pair, &ids))?;
        let lost_ids = ids.into_iter().take(NAMED).collect();
        Ok(Outcome { lost_at, lost_ids, ..talk.account().outcome(fault) })
    }
}

/// A room at the server of `at`.
fn room(tag: &str, at: &str) -> String {
    format!("{}@conference.{}", tag.trim_end_matches('-'), xmpp::jid::domain_of(at))
}

impl Sides {
    fn session(&self, side: usize) -> Session {
        self.sessions[side].subscribe()
    }

    fn present(&self, side: usize) -> Option<Arc<Client>> {
        self.session(side).borrow().clone()
    }

    fn listen(&mut self, side: usize) {
        if let Some(client) = self.present(side) {
            let (own, others) = (self.talks[side].clone(), self.talks[1 - side].clone());
            self.listeners.spawn(listen(client, own, others, self.seen.clone()));
        }
    }

    async fn login_again(&mut self, split: &crate::lab::split::Split, side: usize) -> anyhow::Result<()> {
        let client = split.login(&self.users[side]).await?;
        self.sessions[side].send_replace(Some(Arc::new(client)));
        self.listen(side);
        Ok(())
    }

    /// Waits until all is known, or nothing new comes.
    async fn settle(&self) {
        loop {
            let (mut open, mut news) = (false, None);
            for talk in &self.talks {
                let account = talk.account();
                open |= account.lost().next().is_some();
                news = news.max(Some(account.news));
            }
            let quiet = news.map(|news| news.elapsed()).unwrap_or_default();
            if quiet > if open { SILENCE } else { SETTLING } {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// In how many rooms the users can still speak.
    async fn rooms_kept(&self) -> usize {
        let mut kept = 0;
        for side in 0..2 {
            let (Some(client), id) = (self.present(side), format!("{}room", self.talks[side].tag)) else { continue };
            let to = room(&self.talks[side].tag, &self.users[1 - side]);
            client.send(format!("<message to='{to}' id='{id}' type='groupchat'><body>still here</body></message>"));
            kept += usize::from(saw(&self.seen, &id, AGAIN / 2).await);
        }
        kept
    }

    /// Whether messages pass both ways.
    async fn flows(&self) -> bool {
        let began = Instant::now();
        let mut passed = [false; 2];
        let mut round = 0;
        while passed != [true; 2] && began.elapsed() < AGAIN {
            for (side, passed) in passed.iter_mut().enumerate() {
                let (Some(client), false) = (self.present(side), *passed) else { continue };
                let id = format!("{}last-{round}", self.talks[side].tag);
                client.message(&self.users[1 - side], &id, "last");
                *passed = saw(&self.seen, &id, Duration::from_secs(2)).await;
            }
            round += 1;
        }
        passed == [true; 2]
    }
}
