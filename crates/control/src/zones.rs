//! What DNS holds of ours: looked at on each name server, owned by what the store says, and changed by whoever publishes there.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use api::route::{RecordChange, ZoneServer};
use topology::records::{Change, Contents, Mark, Published};
use topology::zone::Zone;

use crate::publish::Current;

pub mod apply;
pub mod concerns;
pub mod heard;
pub mod keeper;
pub mod lint;
pub mod look;
pub mod owned;
pub mod planned;
pub mod reached;
pub mod servers;
pub mod shown;
#[cfg(test)]
pub(crate) mod testing;
pub mod trust;

pub use apply::{Applied, ApplyError};
pub use keeper::Zones;
pub use look::{Look, Publishing, Seen, Standing, Told};

/// What will be answered.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Name servers, as a controller reaches them.
pub trait NameServers: Debug + Send + Sync + 'static {
    /// The mark that this one answers, or the text in its place; or why it doesn't, in a sentence.
    fn mark<'a>(
        &'a self,
        server: SocketAddr,
        zone: &'a Zone,
    ) -> Answering<'a, Result<Option<Result<Mark, String>>, String>>;

    /// What this one answers, with authority, for the mark, for each name of ours, and for these names besides; or why it
    /// doesn't, in a sentence.
    fn observe<'a>(
        &'a self,
        server: SocketAddr,
        contents: &'a Contents,
        owned: &'a [String],
    ) -> Answering<'a, Result<Seen, String>>;

    /// Makes these changes in a zone that takes updates, if it has this mark before, or none, and gives it that of its contents:
    /// all at once, or nothing.
    fn update<'a>(
        &'a self,
        contents: &'a Contents,
        before: Option<&'a Mark>,
        changes: &'a [Change],
    ) -> Answering<'a, Result<(), Unwritten>>;

    /// Whether a zone in which this was seen would be changed if it were asked to be; nothing is changed by asking.
    fn writable<'a>(&'a self, contents: &'a Contents, seen: &'a Seen) -> Answering<'a, Result<(), String>>;

    /// Why a zone can't be changed from here, where that is known without asking: its key isn't there.
    fn lacking(&self, zone: &Zone) -> Option<String>;
}

/// Why a zone wasn't changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unwritten {
    /// It isn't what it was expected to be: somebody else was faster.
    #[error("somebody else has changed it meanwhile")]
    Overtaken,
    /// Anything else, in a sentence.
    #[error("{0}")]
    Refused(String),
}

/// What each zone should hold of ours by what the store says; `installation` is whose it is.
pub fn wanted(current: &Current, installation: &str) -> Vec<Contents> {
    if current.topology.zones.is_empty() {
        return Vec::new();
    }
    let mark = Mark { owner: installation.to_owned(), epoch: current.route.epoch, topology: current.version };
    // The route is never with a pool that isn't in the topology.
    Published::of(&current.topology).contents(&current.route.pool, &mark).unwrap_or_default()
}

/// What the API says of a zone.
pub fn told(look: &Look) -> api::route::Zone {
    let (zone, publisher) = (&look.contents.zone.name, look.contents.zone.publisher.word());
    let servers = look.contents.zone.publisher.servers().into_iter().map(|server| {
        let (standing, server) = (look.standing(server, Duration::MAX), look.named(server));
        ZoneServer { current: standing == Standing::Current, answers: standing.told(&server), server }
    });
    api::route::Zone {
        name: zone.clone(),
        publisher: publisher.to_owned(),
        servers: servers.collect(),
        changes: look.changes().unwrap_or_default().into_iter().map(|change| changed(look, change)).collect(),
    }
}

fn changed(look: &Look, change: Change) -> RecordChange {
    let (before, after) = match change {
        Change::Add(after) => (Vec::new(), after.lines()),
        Change::Replace { before, after } => (before.lines(), after.lines()),
        Change::Remove(before) => (before.lines(), Vec::new()),
    };
    let zone = &look.contents.zone;
    RecordChange { zone: Some(zone.name.clone()), publisher: Some(zone.publisher.word().to_owned()), before, after }
}
