//! Name servers that lie in memory, for tests: a primary that compares and sets, and secondaries that take what it has when told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use topology::records::{Change, Contents, Mark};
use topology::zone::{Publisher, Zone};

use super::look::{Look, Seen, Told};
use super::{Answering, NameServers, Unwritten, wanted};
use crate::ahead::tests::{DOCUMENT, by};
use crate::publish::Current;

/// The name servers of the zone that takes updates; the first is its primary.
pub(crate) const SERVERS: [&str; 2] = ["192.0.2.53:53", "192.0.2.54:53"];
/// A zone that takes updates.
pub(crate) const UPDATED: &str = "[[zone]]\nname = \"contoso.test\"\npublisher = \"rfc2136\"\nservers = [\"192.0.2.53\", \"192.0.2.54\"]\nkey = \"fedge-key.\"\n";
/// One for which somebody is told what to change.
pub(crate) const BY_HAND: &str =
    "[[zone]]\nname = \"contoso.test\"\npublisher = \"manual\"\nservers = [\"192.0.2.53\", \"192.0.2.54\"]\n";

/// The name servers' addresses.
pub(crate) fn servers() -> [SocketAddr; 2] {
    SERVERS.map(|server| server.parse().expect("an address"))
}

/// What the store says where the example of a topology has this zone.
pub(crate) fn zoned(zone: &str, version: u64, epoch: u64) -> Current {
    by(&format!("{DOCUMENT}\n{zone}"), version, epoch)
}

/// What a name server answers that has all of it.
pub(crate) fn holding(contents: &Contents) -> Seen {
    Seen { mark: Some(Ok(contents.mark.clone())), sets: contents.sets.clone() }
}

/// What they have, and how they misbehave.
#[derive(Debug, Default)]
pub(crate) struct Served {
    /// What each name server answers; one that isn't here answers nothing.
    pub(crate) answers: BTreeMap<SocketAddr, Seen>,
    /// Why updates are refused, where they are.
    pub(crate) refuses: Option<String>,
    /// Whether the reply to the next update is lost that was done.
    pub(crate) loses: bool,
    /// How many updates were done.
    pub(crate) updates: usize,
    /// What somebody else writes right before the next update comes.
    pub(crate) faster: Option<Seen>,
}

/// What is known of a zone of which both name servers say this.
pub(crate) fn look(contents: Contents, said: [Result<Seen, String>; 2]) -> Look {
    let told = servers().into_iter().zip(said).map(|(server, said)| (server, Told { said, age: Duration::ZERO }));
    let owned = contents.sets.iter().map(|set| set.name.clone()).collect();
    Look { told: told.collect(), owned, writable: Some(Ok(())), ..Look::unseen(contents) }
}

/// What is known of this zone while all is well, by version 1 and this epoch.
pub(crate) fn well(zone: &str, epoch: u64, pool: &str) -> Look {
    let mut current = zoned(zone, 1, epoch);
    current.route.pool = pool.to_owned();
    let contents = wanted(&current, "a1").remove(0);
    let seen = holding(&contents);
    look(contents, [Ok(seen.clone()), Ok(seen)])
}

#[derive(Debug, Default)]
pub(crate) struct Played(Mutex<Served>);

impl Played {
    pub(crate) fn served(&self) -> MutexGuard<'_, Served> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them answer this.
    pub(crate) fn answer(&self, servers: &[SocketAddr], seen: &Seen) {
        let mut served = self.served();
        served.answers.extend(servers.iter().map(|server| (*server, seen.clone())));
    }
}

/// A zone after these changes.
pub(crate) fn changed(mut seen: Seen, changes: &[Change], after: &Mark) -> Seen {
    for change in changes {
        if let Change::Replace { before: gone, .. } | Change::Remove(gone) = change {
            seen.sets.retain(|set| set != gone);
        }
        if let Change::Add(set) | Change::Replace { after: set, .. } = change {
            seen.sets.push(set.clone());
        }
    }
    seen.mark = Some(Ok(after.clone()));
    seen
}

impl NameServers for Played {
    fn mark<'a>(
        &'a self,
        server: SocketAddr,
        _zone: &'a Zone,
    ) -> Answering<'a, Result<Option<Result<Mark, String>>, String>> {
        let seen = self.served().answers.get(&server).map(|seen| seen.mark.clone());
        Box::pin(async move { seen.ok_or_else(|| "nothing came".to_owned()) })
    }

    fn observe<'a>(
        &'a self,
        server: SocketAddr,
        _contents: &'a Contents,
        _owned: &'a [String],
    ) -> Answering<'a, Result<Seen, String>> {
        let seen = self.served().answers.get(&server).cloned();
        Box::pin(async move { seen.ok_or_else(|| "nothing came".to_owned()) })
    }

    fn update<'a>(
        &'a self,
        contents: &'a Contents,
        before: Option<&'a Mark>,
        changes: &'a [Change],
    ) -> Answering<'a, Result<(), Unwritten>> {
        let done = || {
            let Publisher::Rfc2136 { primary, .. } = &contents.zone.publisher else { panic!("it takes no updates") };
            let mut served = self.served();
            if let Some(why) = &served.refuses {
                return Err(Unwritten::Refused(why.clone()));
            }
            if let Some(faster) = served.faster.take() {
                served.answers.insert(*primary, faster);
            }
            let seen = served.answers.get(primary).cloned().ok_or(Unwritten::Refused("nothing came".to_owned()))?;
            if seen.mark.as_ref().map(Result::as_ref) != before.map(Ok) {
                return Err(Unwritten::Overtaken);
            }
            served.answers.insert(*primary, changed(seen, changes, &contents.mark));
            served.updates += 1;
            if std::mem::take(&mut served.loses) { Err(Unwritten::Overtaken) } else { Ok(()) }
        };
        let done = done();
        Box::pin(async move { done })
    }

    fn writable<'a>(&'a self, _contents: &'a Contents, _seen: &'a Seen) -> Answering<'a, Result<(), String>> {
        let refuses = self.served().refuses.clone();
        Box::pin(async move { refuses.map_or(Ok(()), Err) })
    }

    fn lacking(&self, _zone: &Zone) -> Option<String> {
        None
    }
}
