//! A store that was restored from an old backup, brought forward past what members know.

use std::collections::BTreeSet;

use store::{Expect, StoreError, Transaction};
use topology::document::Topology;

use crate::ahead::{self, Heard};
use crate::audit::{Deed, Hash};
use crate::ledger::{Ledger, put_document};
use crate::publish::{Current, has_pool, zone_keys};
use crate::records::{self, Head, Route, Version};

/// What shall be current, as far as somebody says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// The document; the store's own where it isn't given.
    pub document: Option<String>,
    /// The pool that carries the route; as members say where it isn't given.
    pub pool: Option<String>,
    /// Members whose word doesn't count.
    pub without: Vec<String>,
}

/// What comes next, past all that anybody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// The topology's version.
    pub version: u64,
    /// Its document.
    pub document: String,
    /// The route's epoch.
    pub epoch: u64,
    /// The pool that carries it.
    pub pool: String,
}

/// Why the store isn't brought forward.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// Nobody knows more.
    #[error("no member that is there knows more than the store")]
    NotBehind,
    /// It is another installation's store.
    #[error("{} of the installation {installation}, and this store is that of another one", belong(names))]
    Alien {
        /// Which members.
        names: Vec<String>,
        /// Whose they are.
        installation: String,
    },
    /// There is no number left.
    #[error("{fqdn} says that it goes by {what} {number}, after which nothing comes")]
    Endless {
        /// Which member.
        fqdn: String,
        /// `version` or `epoch`.
        what: &'static str,
        /// Its number.
        number: u64,
    },
    /// They know different pools.
    #[error("members know different pools for epoch {epoch} of the route: {}", pools.join(", "))]
    Divided {
        /// The epoch.
        epoch: u64,
        /// The pools.
        pools: Vec<String>,
    },
    /// The pool isn't in the document.
    #[error("the pool {0} is to carry the route, and is not in the topology")]
    RouteLost(String),
    /// The document is faulty.
    #[error("the topology has faults")]
    Faulty(Vec<String>),
    /// It isn't what was shown.
    #[error("version {version} and epoch {epoch} would come next by now")]
    Moved {
        /// The version.
        version: u64,
        /// The epoch.
        epoch: u64,
    },
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
}

fn belong(names: &[String]) -> String {
    format!("{} {}", names.join(", "), if names.len() == 1 { "is a member" } else { "are members" })
}

/// What comes next: one more than the highest version, and one more than the highest epoch, that the store or any member
/// knows. `everybody` is there, also those of other installations than `installation`.
///
/// # Errors
/// Why it can't be told.
pub fn next(installation: &str, current: &Current, everybody: &[Heard], wish: &Wish) -> Result<Next, RecoverError> {
    let counted: Vec<&Heard> = everybody.iter().filter(|heard| !wish.without.contains(&heard.fqdn)).collect();
    if let Some(alien) = counted.iter().find(|heard| heard.have.installation != installation) {
        let installation = alien.have.installation.clone();
        let names = counted.iter().filter(|heard| heard.have.installation == installation);
        return Err(RecoverError::Alien { names: names.map(|heard| heard.fqdn.clone()).collect(), installation });
    }
    if !counted.iter().any(|heard| ahead::knows_more(&heard.have, current)) {
        return Err(RecoverError::NotBehind);
    }
    let document = wish.document.clone().unwrap_or_else(|| current.document.clone());
    let topology = Topology::read("topology.toml", &document).map_err(|faults| RecoverError::Faulty(faults.drawn()))?;
    let version = above("version", current.version, &counted, |heard| heard.have.version)?;
    let epoch = above("epoch", current.route.epoch, &counted, |heard| heard.have.route.epoch)?;
    let pool = match &wish.pool {
        Some(pool) => pool.clone(),
        None => latest_pool(current, &counted)?,
    };
    if !has_pool(&topology, &pool) {
        return Err(RecoverError::RouteLost(pool));
    }
    Ok(Next { version, document, epoch, pool })
}

fn above(
    what: &'static str,
    stored: u64,
    heard: &[&Heard],
    number: impl Fn(&Heard) -> u64,
) -> Result<u64, RecoverError> {
    let highest = heard.iter().max_by_key(|heard| number(heard));
    let top = highest.map_or(0, |heard| number(heard)).max(stored);
    top.checked_add(1).ok_or_else(|| RecoverError::Endless {
        fqdn: highest.map(|heard| heard.fqdn.clone()).unwrap_or_default(),
        what,
        number: top,
    })
}

/// The pool of the latest epoch that anybody knows whose word counts.
fn latest_pool(current: &Current, counted: &[&Heard]) -> Result<String, RecoverError> {
    let believed = ahead::believed(counted.iter().map(|heard| (*heard).clone()).collect());
    let routes = believed.iter().map(|heard| (heard.have.route.epoch, heard.have.route.pool.as_str()));
    let routes: Vec<(u64, &str)> = routes.chain([(current.route.epoch, current.route.pool.as_str())]).collect();
    let epoch = routes.iter().map(|(epoch, _)| *epoch).max().unwrap_or_default();
    let pools: BTreeSet<&str> = routes.iter().filter(|(of, _)| *of == epoch).map(|(_, pool)| *pool).collect();
    let mut pools: Vec<String> = pools.into_iter().map(str::to_owned).collect();
    if pools.len() > 1 {
        return Err(RecoverError::Divided { epoch, pools });
    }
    Ok(pools.pop().unwrap_or_default())
}

/// Makes it current, if the store still says what `current` says.
///
/// # Errors
/// As the store; a conflict is somebody else's change.
pub async fn recover(
    ledger: &Ledger,
    current: &Current,
    next: &Next,
    (who, why): (&str, &str),
) -> Result<(), RecoverError> {
    let digest = put_document(ledger, &next.document).await?;
    let (head, expect_head) = ledger.one::<Head>(&records::head()).await?;
    let (route, expect_route) = ledger.one::<Route>(&records::route()).await?;
    if head.is_none_or(|head| head.version != current.version) {
        return Err(StoreError::Conflict(records::head()).into());
    }
    if route.as_ref() != Some(&current.route) {
        return Err(StoreError::Conflict(records::route()).into());
    }
    let record = Version { document: digest, at: ledger.now(), who: who.to_owned(), why: why.to_owned() };
    let moved = (next.pool != current.route.pool).then(|| current.route.pool.clone());
    let route = Route {
        epoch: next.epoch,
        pool: next.pool.clone(),
        previous: moved.or_else(|| current.route.previous.clone()),
        // What was under way belongs to a past that the members have left behind.
        operation: None,
    };
    let transaction = Transaction::new()
        .expect(records::head(), expect_head)
        .expect(records::route(), expect_route)
        .expect(records::version(next.version), Expect::Absent)
        .put(records::head(), records::write(&Head { version: next.version }))
        .put(records::version(next.version), records::write(&record))
        .put(records::route(), records::write(&route));
    // A zone may have been signed since, and its key gone with what the store has lost.
    let topology =
        Topology::read("topology.toml", &next.document).map_err(|faults| RecoverError::Faulty(faults.drawn()))?;
    let drawn = zone_keys::drawn(ledger, &topology).await?;
    let keys: String = drawn.iter().flat_map(|drawn| &drawn.told).map(|line| format!("\n{line}")).collect();
    let transaction = drawn.into_iter().fold(transaction, |transaction, drawn| drawn.put(transaction));
    let deed = Deed {
        who: who.to_owned(),
        what: "recover store".to_owned(),
        why: why.to_owned(),
        before: told(current.version, &current.digest, current.route.epoch, &current.route.pool),
        after: told(next.version, &digest, next.epoch, &next.pool) + &keys,
    };
    Ok(ledger.change(&transaction, &deed).await?)
}

fn told(version: u64, digest: &Hash, epoch: u64, pool: &str) -> String {
    format!("version {version}, {digest}\nroute on {pool}, epoch {epoch}")
}

#[cfg(test)]
mod tests;
