//! The two users of a run: in, in a room of the other's server, listening, and asked in the end whether all still flows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Rig;
use super::flood::{Heard, Seen, Session, Talk, heard, listen};
use crate::client::Client;
use crate::lab::split::Split;

/// Without news for so long, what is missing is lost; longer than anybody here holds anything.
const SILENCE: Duration = Duration::from_secs(25);
/// What is complete may still have doubles on their way.
const SETTLING: Duration = Duration::from_secs(1);
/// Without news for so long, it is tried whether something new passes what is missing.
const QUIET: Duration = Duration::from_secs(2);
/// For a message to pass when all is well again.
const AGAIN: Duration = Duration::from_secs(10);
/// For a message to pass before anything breaks, and how often it is tried again.
const FIRST: Duration = Duration::from_secs(15);
const TRIES: u32 = 4;
/// For a room to answer when messages pass.
const ROOM: Duration = Duration::from_secs(5);

/// Both users.
pub(super) struct Sides {
    users: [String; 2],
    sessions: [watch::Sender<Option<Arc<Client>>>; 2],
    /// What is said out, and in.
    pub(super) talks: [Talk; 2],
    seen: Seen,
    listeners: JoinSet<()>,
    /// How often it was tried whether messages pass.
    rounds: u32,
}

impl Sides {
    /// Logs both in, and waits until messages pass both ways and both are in a room of the other's server.
    pub(super) async fn enter(split: &Split, run: u32, domain: &str, messages: [usize; 2]) -> anyhow::Result<Sides> {
        let users = Rig::users(domain);
        let [alice, bob] = [&users[0], &users[1]];
        let tags = ["out", "in"].map(|way| format!("rig-{run}-{way}-"));
        let talks = [
            Talk::new(tags[0].clone(), bob.clone(), messages[0]),
            Talk::new(tags[1].clone(), alice.clone(), messages[1]),
        ];
        let clients = [Arc::new(split.login(alice).await?), Arc::new(split.login(bob).await?)];
        for (index, client) in clients.iter().enumerate() {
            first(client, &clients[1 - index], &tags[index]).await?;
            client.join_muc(&room(&tags[index], &users[1 - index]), "somebody").await.context("before the fault")?;
        }
        let sessions = clients.map(|client| watch::channel(Some(client)).0);
        let (seen, listeners) = (Seen::default(), JoinSet::new());
        let mut sides = Sides { users, sessions, talks, seen, listeners, rounds: 0 };
        sides.listen(0);
        sides.listen(1);
        Ok(sides)
    }

    /// The session of one of them, also when it will be another.
    pub(super) fn session(&self, side: usize) -> Session {
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

    /// Gives one of them a new session, whose old one ended.
    pub(super) async fn login_again(&mut self, split: &Split, side: usize) -> anyhow::Result<()> {
        let client = split.login(&self.users[side]).await?;
        self.sessions[side].send_replace(Some(Arc::new(client)));
        self.listen(side);
        Ok(())
    }

    /// Waits until all is known; or until what is missing won't come any more: something new has passed it or come
    /// back, as no server and no link sends what is new before what is old, and `held` says that no member has
    /// anything.
    pub(super) async fn settle(&mut self, held: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let mut passed = false;
        loop {
            let (mut open, mut quiet) = (false, Duration::MAX);
            for talk in &self.talks {
                let account = talk.account();
                open |= account.lost().next().is_some();
                quiet = quiet.min(account.news.elapsed());
            }
            let enough = if open && !passed { SILENCE } else { SETTLING };
            if quiet > enough {
                return Ok(());
            }
            if open && !passed && quiet > QUIET && self.pass(QUIET).await.iter().all(Option::is_some) {
                let began = Instant::now();
                // What passed may not be acknowledged yet itself; and what it shook loose has its time to come.
                while !passed && began.elapsed() < QUIET {
                    tokio::time::sleep(SETTLING / 2).await;
                    passed = !held()?;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whether messages pass in the end, out and in.
    pub(super) async fn flows(&mut self) -> [bool; 2] {
        let (began, mut flows) = (Instant::now(), [false; 2]);
        while flows != [true; 2] && began.elapsed() < AGAIN {
            let heard = self.pass(QUIET).await;
            flows = [0, 1].map(|side| flows[side] || heard[side] == Some(Heard::Arrived));
            // Errors come at once.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        flows
    }

    /// What becomes within `bound` of a message out and one in.
    async fn pass(&mut self, bound: Duration) -> [Option<Heard>; 2] {
        self.rounds += 1;
        let ids = [0, 1].map(|side| format!("{}last-{}", self.talks[side].tag, self.rounds));
        for (side, id) in ids.iter().enumerate() {
            if let Some(client) = self.present(side) {
                client.message(&self.users[1 - side], id, "last");
            }
        }
        self.heard(&ids, bound).await
    }

    async fn heard(&self, ids: &[String; 2], bound: Duration) -> [Option<Heard>; 2] {
        let (out, back) = tokio::join!(heard(&self.seen, &ids[0], bound), heard(&self.seen, &ids[1], bound));
        [out, back]
    }

    /// In how many rooms the users can still speak.
    pub(super) async fn rooms_kept(&self) -> usize {
        let ids = [0, 1].map(|side| format!("{}room", self.talks[side].tag));
        for (side, id) in ids.iter().enumerate() {
            let Some(client) = self.present(side) else { continue };
            let to = room(&self.talks[side].tag, &self.users[1 - side]);
            client.send(format!("<message to='{to}' id='{id}' type='groupchat'><body>still here</body></message>"));
        }
        self.heard(&ids, ROOM).await.iter().filter(|heard| **heard == Some(Heard::Arrived)).count()
    }
}

/// Waits until a message passes. The first one may come back: by a stream that looked alive and that the fault of
/// the run before had killed.
async fn first(from: &Client, to: &Client, tag: &str) -> anyhow::Result<()> {
    let mut tries = 0;
    loop {
        let id = format!("{tag}first-{tries}");
        from.message(to.jid(), &id, "first");
        match to.message_with_id(&id, FIRST).await {
            Ok(first) => {
                ensure!(!first.is_error(), "before anything was done to it: {first}");
                return Ok(());
            }
            Err(error) if tries == TRIES => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

/// A room at the server of `at`.
fn room(tag: &str, at: &str) -> String {
    format!("{}@conference.{}", tag.trim_end_matches('-'), xmpp::jid::domain_of(at))
}
