//! Name servers as they are reached over the network, with the keys for those that take updates.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use arc_swap::ArcSwap;
use topology::records::{Change, Contents, Mark};
use topology::zone::{Publisher, Zone};
use zones::ask::Manner;
use zones::key::{Key, KeyError};
use zones::observe::{self, Marked};
use zones::refusal::UpdateError;
use zones::update::Primary;

use super::look::Seen;
use super::{Answering, NameServers, Unwritten};

/// For one question.
const PATIENCE: Duration = Duration::from_secs(2);

/// Name servers, reached over the network.
#[derive(Debug)]
pub struct Keyed {
    keys: ArcSwap<Vec<Key>>,
}

impl Keyed {
    /// With these keys.
    pub fn new(keys: Vec<Key>) -> Keyed {
        Keyed { keys: ArcSwap::from_pointee(keys) }
    }

    /// From now on with these.
    pub fn replace(&self, keys: Vec<Key>) {
        self.keys.store(keys.into());
    }

    /// The name server that takes updates of a zone, with the key for it.
    fn primary(&self, zone: &Zone) -> Result<Primary, String> {
        let Publisher::Rfc2136 { primary, key: name, .. } = &zone.publisher else {
            return Err(format!("{} takes no updates, by the topology", zone.name));
        };
        let key = self.keys.load().iter().find(|key| key.name == *name).cloned();
        let lacking = || {
            format!(
                "this controller has no key {name}, with which updates of {} are signed: name its file under `[dns] key_files` in \
                 control.toml, and send fedge-control a SIGHUP",
                zone.name
            )
        };
        Ok(Primary::new(*primary, &zone.name, key.ok_or_else(lacking)?))
    }
}

/// The keys in these files.
///
/// # Errors
/// When one can't be read.
pub fn keys(files: &[PathBuf]) -> Result<Vec<Key>, KeyError> {
    Ok(files.iter().map(|file| Key::read(file)).collect::<Result<Vec<_>, _>>()?.concat())
}

fn marked(marked: Marked) -> Option<Result<Mark, String>> {
    match marked {
        Marked::Nothing => None,
        Marked::By(mark) => Some(Ok(mark)),
        Marked::Text(text) => Some(Err(text)),
    }
}

impl NameServers for Keyed {
    fn mark<'a>(
        &'a self,
        server: SocketAddr,
        zone: &'a Zone,
    ) -> Answering<'a, Result<Option<Result<Mark, String>>, String>> {
        Box::pin(async move {
            let said = observe::mark(server, &zone.name, Manner::Authority, PATIENCE).await;
            said.map(marked).map_err(|error| error.to_string())
        })
    }

    fn observe<'a>(
        &'a self,
        server: SocketAddr,
        contents: &'a Contents,
        owned: &'a [String],
    ) -> Answering<'a, Result<Seen, String>> {
        Box::pin(async move {
            let seen = observe::observe(server, contents, owned, PATIENCE).await.map_err(|error| error.to_string())?;
            Ok(Seen { mark: marked(seen.mark), sets: seen.sets })
        })
    }

    fn update<'a>(
        &'a self,
        contents: &'a Contents,
        before: Option<&'a Mark>,
        changes: &'a [Change],
    ) -> Answering<'a, Result<(), Unwritten>> {
        Box::pin(async move {
            let primary = self.primary(&contents.zone).map_err(Unwritten::Refused)?;
            let ttl = contents.mark_set().ttl;
            match primary.update(ttl, before, &contents.mark, changes).await {
                Ok(_) => Ok(()),
                Err(UpdateError::Overtaken { .. } | UpdateError::Changed { .. }) => Err(Unwritten::Overtaken),
                Err(error) => Err(Unwritten::Refused(error.to_string())),
            }
        })
    }

    fn writable<'a>(&'a self, contents: &'a Contents, seen: &'a Seen) -> Answering<'a, Result<(), String>> {
        Box::pin(async move {
            let primary = self.primary(&contents.zone)?;
            let mark = observe::mark(primary.server, &contents.zone.name, Manner::Authority, PATIENCE).await;
            let mark = mark.map_err(|error| error.to_string())?;
            let tried = primary.writable(mark.mark(), &seen.sets, &contents.sets).await;
            tried.map_err(|error| error.to_string())
        })
    }

    fn lacking(&self, zone: &Zone) -> Option<String> {
        self.primary(zone).err()
    }
}
