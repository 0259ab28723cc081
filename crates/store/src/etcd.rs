//! A store in an etcd cluster: for controllers on several machines.
//!
//! There is one client for each endpoint, and each request has its own end: the client's balancer hides a dead endpoint
//! behind a request that never ends.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, DeleteOptions, GetOptions, GetResponse, PutOptions, Txn, TxnOp, TxnOpResponse,
    WatchOptions,
};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::StoreError;
use crate::hints::{Hinter, Hints};
use crate::key::{Key, Keys};
use crate::transaction::{Expect, MOST_WRITES, Transaction, Write};
use crate::{Answer, Entry, Revision, Snapshot, Store};

mod address;
mod refusals;

pub use address::{Address, SETTINGS};
use refusals::{of_reading, of_transacting};

/// For an endpoint to answer. An election takes one to three seconds; it is not waited for in one request.
const PATIENCE: Duration = Duration::from_secs(2);
/// A watch that says nothing for so long is made anew, and a hint given for what it may have missed.
const SILENCE: Duration = Duration::from_secs(5);
/// Before another endpoint is tried for a watch.
const PAUSE: Duration = Duration::from_millis(250);
/// How many keys come at most in one answer, of each of the ranges that are asked for: one answer has to come in time,
/// however much there is.
const PART: i64 = 100;
/// The longest answer: so many values of the greatest length.
const ANSWER: usize = 64 * 1024 * 1024;

/// A store in an etcd cluster. Copies are the same store.
#[derive(Clone)]
pub struct Etcd(Arc<Shared>);

struct Shared {
    address: Address,
    endpoints: Vec<Endpoint>,
    /// The endpoint that answered last.
    good: AtomicUsize,
}

struct Endpoint {
    url: String,
    /// None until it is used, and after anything went wrong with it: then also a new token is asked for.
    client: Mutex<Option<Client>>,
}

/// One of etcd's keys, or all from the first to before the end.
struct Range {
    first: Vec<u8>,
    end: Option<Vec<u8>>,
}

type Going<'a, T> = Pin<Box<dyn Future<Output = Went<T>> + Send + 'a>>;

/// Whether something may be done through another endpoint as well.
enum Went<T> {
    Well(T),
    /// It wasn't done here and may be tried elsewhere.
    Nowhere(String),
    /// It wasn't done because we aren't known any more, and may be tried once we are.
    Forgotten(String),
    /// There is nothing to try elsewhere.
    Wrong(StoreError),
}

impl Etcd {
    /// A store there. Nothing is dialed yet; the files that the address names are read.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn new(address: Address) -> Result<Etcd, StoreError> {
        let endpoint = |url: &String| Endpoint { url: url.clone(), client: Mutex::default() };
        let endpoints = address.endpoints.iter().map(endpoint).collect();
        address.options()?;
        Ok(Etcd(Arc::new(Shared { address, endpoints, good: AtomicUsize::new(0) })))
    }

    /// Does `work` through one endpoint after the other until it went well or wrong.
    async fn anywhere<'a, T>(&'a self, work: impl Fn(Client) -> Going<'a, T> + Send) -> Result<T, StoreError> {
        let shared = &self.0;
        let first = shared.good.load(Ordering::Relaxed);
        let mut reasons = Vec::new();
        for index in (0..shared.endpoints.len()).map(|step| (first + step) % shared.endpoints.len()) {
            let endpoint = &shared.endpoints[index];
            let mut went = shared.through(endpoint, &work).await;
            if let Went::Forgotten(_) = went {
                // A token ends with the member that gave it, after five idle minutes, and with a new password.
                *endpoint.client.lock().await = None;
                went = shared.through(endpoint, &work).await;
            }
            match went {
                Went::Well(done) => {
                    shared.good.store(index, Ordering::Relaxed);
                    return Ok(done);
                }
                Went::Wrong(error) => {
                    if matches!(error, StoreError::Unknown(_)) {
                        // What comes next is tried elsewhere first.
                        shared.good.store((index + 1) % shared.endpoints.len(), Ordering::Relaxed);
                        *endpoint.client.lock().await = None;
                    }
                    return Err(error);
                }
                Went::Nowhere(reason) | Went::Forgotten(reason) => {
                    *endpoint.client.lock().await = None;
                    reasons.push(format!("{}: {reason}", endpoint.url));
                }
            }
        }
        Err(StoreError::Unreachable(reasons.join("; ")))
    }

    fn etcd_key(&self, key: &Key) -> Vec<u8> {
        format!("{}/{key}", self.0.address.prefix).into_bytes()
    }

    /// What etcd calls these keys.
    fn range(&self, keys: &Keys) -> Range {
        let below = |first: Vec<u8>| {
            // What comes after the slash is `0`.
            let end = [&first[..first.len() - 1], b"0"].concat();
            Range { first, end: Some(end) }
        };
        match keys {
            Keys::One(key) => Range { first: self.etcd_key(key), end: None },
            Keys::Under(key) => below([&self.etcd_key(key)[..], b"/"].concat()),
            Keys::All => below(format!("{}/", self.0.address.prefix).into_bytes()),
        }
    }

    /// Takes what an answer has into `entries`.
    fn take(&self, answer: &GetResponse, entries: &mut BTreeMap<Key, Entry>) -> Result<(), StoreError> {
        for pair in answer.kvs() {
            let text = String::from_utf8_lossy(pair.key());
            let key = text.strip_prefix(&self.0.address.prefix).and_then(|text| text.strip_prefix('/'));
            let key = key.and_then(|key| key.parse::<Key>().ok()).ok_or_else(|| StoreError::Damaged {
                what: format!("there is something at `{text}` in etcd, which is no key"),
                fix: "has somebody else written below fedge's prefix? Take it away".to_owned(),
            })?;
            entries.insert(key, Entry { value: pair.value().to_vec(), revision: revision(pair.mod_revision()) });
        }
        Ok(())
    }

    /// Reads the first part of each of these; at `at`, where an earlier request was at that revision. Adds the rest of
    /// those that have one to `rest`.
    async fn read_some(
        &self,
        client: &Client,
        ranges: &[Range],
        at: Option<Revision>,
        rest: &mut Vec<Range>,
    ) -> Result<Snapshot, Went<Snapshot>> {
        let get = |range: &Range| {
            let mut options = GetOptions::new().with_limit(PART);
            if let Some(end) = &range.end {
                options = options.with_range(end.clone());
            }
            if let Some(at) = at {
                options = options.with_revision(signed(at));
            }
            TxnOp::get(range.first.clone(), Some(options))
        };
        let gets: Vec<TxnOp> = ranges.iter().map(get).collect();
        let mut kv = client.kv_client().max_decoding_message_size(ANSWER);
        let answer = match timeout(PATIENCE, kv.txn(Txn::new().and_then(gets))).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(of_reading(&error)),
            Err(_) => return Err(Went::Nowhere(late())),
        };
        let now = revision(answer.header().map_or(0, etcd_client::ResponseHeader::revision));
        let mut snapshot = Snapshot { revision: at.unwrap_or(now), entries: BTreeMap::new() };
        for (response, range) in answer.op_responses().iter().zip(ranges) {
            let TxnOpResponse::Get(found) = response else { continue };
            self.take(found, &mut snapshot.entries).map_err(Went::Wrong)?;
            if let (true, Some(last)) = (found.more(), found.kvs().last()) {
                // The key behind it.
                rest.push(Range { first: [last.key(), b"\0"].concat(), end: range.end.clone() });
            }
        }
        Ok(snapshot)
    }

    async fn read_through(&self, client: Client, keys: &[Keys]) -> Went<Snapshot> {
        let mut left: Vec<Range> = keys.iter().map(|keys| self.range(keys)).collect();
        let mut whole: Option<Snapshot> = None;
        while !left.is_empty() {
            let rest = left.split_off(left.len().min(MOST_WRITES));
            let now = std::mem::replace(&mut left, rest);
            match self.read_some(&client, &now, whole.as_ref().map(|whole| whole.revision), &mut left).await {
                Ok(part) => match &mut whole {
                    Some(whole) => whole.entries.extend(part.entries),
                    None => whole = Some(part),
                },
                Err(went) => return went,
            }
        }
        Went::Well(whole.unwrap_or_default())
    }

    async fn transact_through(&self, client: Client, asked: &Transaction) -> Went<Revision> {
        let compares: Vec<Compare> = asked
            .expected
            .iter()
            .map(|(key, expect)| {
                // What isn't there was changed by revision 0.
                let wanted = if let Expect::Unchanged(revision) = expect { signed(*revision) } else { 0 };
                Compare::mod_revision(self.etcd_key(key), CompareOp::Equal, wanted)
            })
            .collect();
        let writes: Vec<TxnOp> = asked
            .writes
            .iter()
            .map(|(key, write)| match write {
                Write::Put(value) => TxnOp::put(self.etcd_key(key), value.clone(), None::<PutOptions>),
                Write::Delete => TxnOp::delete(self.etcd_key(key), None::<DeleteOptions>),
            })
            .collect();
        // Who fails is told what it found, at the same moment.
        let found = asked
            .expected
            .iter()
            .map(|(key, _)| TxnOp::get(self.etcd_key(key), Some(GetOptions::new().with_keys_only())));
        let transaction = Txn::new().when(compares).and_then(writes).or_else(found.collect::<Vec<_>>());
        let answer = match timeout(PATIENCE, client.kv_client().txn(transaction)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return of_transacting(&error),
            Err(_) => return Went::Wrong(StoreError::Unknown(late())),
        };
        if answer.succeeded() {
            return Went::Well(revision(answer.header().map_or(0, etcd_client::ResponseHeader::revision)));
        }
        let mut there = BTreeMap::new();
        for response in answer.op_responses() {
            if let TxnOpResponse::Get(found) = response
                && let Err(error) = self.take(&found, &mut there)
            {
                return Went::Wrong(error);
            }
        }
        let there = Snapshot { revision: Revision(0), entries: there };
        let other = asked.expected.iter().find(|(key, expect)| there.expect(key) != *expect);
        Went::Wrong(other.map_or_else(
            || StoreError::Damaged {
                what: "etcd says that something isn't as expected, and everything is".to_owned(),
                fix: "docs/store.md names the versions of etcd that keep their word".to_owned(),
            },
            |(key, _)| StoreError::Conflict(key.clone()),
        ))
    }

    /// Gives a hint for each change, and for each time in which one may have been missed, while somebody listens.
    async fn follow(self, keys: Keys, hinter: Hinter) {
        let range = self.range(&keys);
        let mut turn = self.0.good.load(Ordering::Relaxed);
        while hinter.hint() {
            let endpoint = &self.0.endpoints[turn % self.0.endpoints.len()];
            turn += 1;
            if !self.follow_through(endpoint, &range, &hinter).await {
                // Its token may be what is wrong.
                *endpoint.client.lock().await = None;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// The same through one endpoint, until it is silent; says whether it worked until then.
    async fn follow_through(&self, endpoint: &Endpoint, range: &Range, hinter: &Hinter) -> bool {
        let Ok(client) = self.0.client::<()>(endpoint).await else { return false };
        let options = WatchOptions::new();
        let options = range.end.iter().fold(options, |options, end| options.with_range(end.clone()));
        let opened = timeout(PATIENCE, client.watch_client().watch(range.first.clone(), Some(options))).await;
        let Ok(Ok(mut watching)) = opened else { return false };
        // What came before the watch stood.
        hinter.hint();
        loop {
            match timeout(SILENCE, watching.message()).await {
                Ok(Ok(Some(news))) if !news.canceled() => {
                    if !hinter.hint() {
                        return true;
                    }
                }
                // An error, the end, or a cancelled watch: after a compaction, or because it isn't allowed.
                Ok(_) => return false,
                Err(_) => return true,
            }
        }
    }
}

impl Shared {
    async fn through<'a, T>(&'a self, endpoint: &Endpoint, work: impl Fn(Client) -> Going<'a, T>) -> Went<T> {
        match self.client(endpoint).await {
            Ok(client) => work(client).await,
            Err(went) => went,
        }
    }

    async fn client<T>(&self, endpoint: &Endpoint) -> Result<Client, Went<T>> {
        // Somebody else may be at it, for as long as they may take.
        let until = Instant::now() + PATIENCE;
        let Ok(mut client) = timeout_at(until, endpoint.client.lock()).await else {
            return Err(Went::Nowhere(late()));
        };
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let options = self.address.options().map_err(Went::Wrong)?;
        match timeout_at(until, Client::connect([&endpoint.url], Some(options))).await {
            Ok(Ok(fresh)) => Ok(client.insert(fresh).clone()),
            Ok(Err(error)) => Err(of_reading(&error)),
            Err(_) => Err(Went::Nowhere(late())),
        }
    }
}

impl Store for Etcd {
    fn read<'a>(&'a self, keys: &'a [Keys]) -> Answer<'a, Snapshot> {
        Box::pin(self.anywhere(|client| Box::pin(self.read_through(client, keys))))
    }

    fn transact<'a>(&'a self, transaction: &'a Transaction) -> Answer<'a, Revision> {
        Box::pin(async move {
            transaction.check()?;
            self.anywhere(|client| Box::pin(self.transact_through(client, transaction))).await
        })
    }

    fn watch(&self, keys: &Keys) -> Hints {
        let (hinter, hints) = Hints::new();
        hints.fed_by(self.clone().follow(keys.clone(), hinter))
    }

    fn name(&self) -> String {
        self.0.address.to_string()
    }
}

impl std::fmt::Debug for Etcd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Etcd").field(&self.name()).finish()
    }
}

fn late() -> String {
    format!("nothing came within {} s", PATIENCE.as_secs())
}

fn revision(number: i64) -> Revision {
    Revision(u64::try_from(number).unwrap_or_default())
}

fn signed(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}
