//! Federation services stopped, started and drained from here: whether that may be, and what became of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use agent::dial::DialError;
use agent::keep::Seen;
use api::control::ServiceDone;
use api::local::{Drained, Reply, Request, Rest, Service, ServiceAction, ServiceState};
use store::{StoreError, Transaction};
use tokio::task::JoinSet;
use tokio::time::timeout;
use topology::document::{Member, Pool};

use crate::audit::Deed;
use crate::ledger::Ledger;
use crate::members::{Members, ReachError};
use crate::publish::Current;
use crate::records::{self, Closing};
use crate::status::plain;

/// The longest drain that can be asked for, in seconds.
pub const LONGEST: u64 = 3600;
/// For a drain as long as the member's own configuration says.
const OWN: Duration = Duration::from_secs(600);
/// For a server to say how it is.
const LOOK: Duration = Duration::from_secs(5);
/// How often it is tried to write down an end.
const ATTEMPTS: usize = 20;
/// For all that isn't the drain.
const ANSWER: Duration = Duration::from_secs(30);

/// Whose services are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Those of all edge servers of this pool.
    Pool(String),
    /// That of this edge server.
    Server(String),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What.
    pub action: ServiceAction,
    /// With whose.
    pub whose: Whose,
    /// Seconds for the drain; the member's own where it isn't given.
    pub seconds: Option<u64>,
    /// Also where nobody would be left that takes partners in.
    pub force: bool,
}

impl Order {
    /// Whether nobody is taken in meanwhile.
    fn closes(&self) -> bool {
        matches!(self.action, ServiceAction::Stop | ServiceAction::Drain)
    }

    /// For how long each is waited for.
    fn patience(&self) -> Duration {
        let draining = match self.seconds {
            _ if !self.closes() => Duration::ZERO,
            None => OWN,
            Some(seconds) => Duration::from_secs(seconds),
        };
        draining + ANSWER
    }
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// There is no topology yet.
    #[error("there is no topology yet")]
    NoTopology,
    /// It may not be.
    #[error("{0}")]
    Unfit(#[from] Unfit),
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// Why something may not be done.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unfit {
    /// There is no such pool.
    #[error("there is no pool {0} in the topology")]
    NoPool(String),
    /// There is no such member.
    #[error("there is no member {0} in the topology")]
    NoServer(String),
    /// It isn't an edge server.
    #[error("{fqdn} is a {role}, and only edge servers have a federation service")]
    NoService {
        /// Its name.
        fqdn: String,
        /// What it is.
        role: String,
    },
    /// Nobody would be left.
    #[error(
        "{pool} carries the route, and no other of its edge servers is known to take partners in: federation would stop"
    )]
    LastOfRoute {
        /// The pool.
        pool: String,
    },
    /// The store may be wrong about which pool carries the route.
    #[error("{0}")]
    Behind(String),
}

/// The edge servers whose services an order means, if it may be done. `serves` tells who takes partners in; `behind` says
/// that the store is, where it is.
///
/// # Errors
/// Why it may not.
pub fn chosen<'a>(
    order: &Order,
    current: &'a Current,
    serves: impl Fn(&str) -> bool,
    behind: Option<String>,
) -> Result<Vec<&'a Member>, Unfit> {
    let topology = &current.topology;
    let chosen: Vec<&Member> = match &order.whose {
        Whose::Pool(fqdn) => {
            let pool = topology.pools.iter().find(|pool| pool.fqdn.as_str() == fqdn);
            edges_of(pool.ok_or_else(|| Unfit::NoPool(fqdn.clone()))?).collect()
        }
        Whose::Server(fqdn) => {
            let found = topology.members().find(|member| member.fqdn.as_str() == fqdn);
            let found = found.ok_or_else(|| Unfit::NoServer(fqdn.clone()))?;
            if found.role != topology::document::Role::Edge {
                return Err(Unfit::NoService { fqdn: fqdn.clone(), role: found.role.to_string() });
            }
            vec![found]
        }
    };
    if order.force || !order.closes() {
        return Ok(chosen);
    }
    if let Some(what) = behind {
        return Err(Unfit::Behind(what));
    }
    let routed = topology.pools.iter().find(|pool| pool.fqdn.as_str() == current.route.pool);
    if let Some(pool) = routed.filter(|pool| edges_of(pool).any(|edge| chosen.contains(&edge))) {
        let mut stay = edges_of(pool).filter(|edge| !chosen.contains(edge));
        if !stay.any(|edge| serves(edge.fqdn.as_str())) {
            return Err(Unfit::LastOfRoute { pool: pool.fqdn.to_string() });
        }
    }
    Ok(chosen)
}

fn edges_of(pool: &Pool) -> impl Iterator<Item = &Member> {
    pool.edges.iter().map(|edge| &edge.member)
}

/// Does it with all of them at once, with an entry of the audit trail before and one after. Whoever asked may leave
/// meanwhile: it is finished.
///
/// # Errors
/// When it may not be done, or the entry before can't be written: then nothing is done.
pub async fn execute(
    members: &Arc<Members>,
    ledger: &Arc<Ledger>,
    order: &Order,
    (who, why): (&str, &str),
) -> Result<Vec<ServiceDone>, ServiceError> {
    let mut attempts = 0;
    let (chosen, deed) = loop {
        match begin(members, ledger, order, (who, why)).await {
            // Somebody else began or ended something: how it is must be asked again.
            Err(ServiceError::Store(StoreError::Conflict(key)))
                if key == records::services() && attempts < ATTEMPTS =>
            {
                attempts += 1;
            }
            begun => break begun?,
        }
    };
    let (members, ledger, order) = (members.clone(), ledger.clone(), order.clone());
    let finished = tokio::spawn(async move { finish(&members, &ledger, &order, chosen, deed).await });
    finished.await.map_err(|failed| StoreError::Unknown(failed.to_string()).into())
}

/// Whose services it is, if it may be done, and what is written down of it already.
async fn begin(
    members: &Arc<Members>,
    ledger: &Ledger,
    order: &Order,
    (who, why): (&str, &str),
) -> Result<(Vec<Member>, Deed), ServiceError> {
    let picture = members.picture();
    let current = picture.current.ok_or(ServiceError::NoTopology)?;
    let key = records::services();
    let (closing, expect) = ledger.one::<Closing>(&key).await?;
    let mut closing = closing.unwrap_or_default();
    closing.0.retain(|_, until| *until > ledger.now());
    let serving = if order.closes() && !order.force { serving(members, &current).await } else { BTreeSet::new() };
    let serves = |fqdn: &str| serving.contains(fqdn) && !closing.0.contains_key(fqdn);
    let chosen: Vec<Member> = chosen(order, &current, serves, picture.behind)?.into_iter().cloned().collect();
    let within = order.seconds.map(|seconds| format!(", within {seconds} s")).unwrap_or_default();
    let before = chosen.iter().map(|member| format!("{} {}", member.fqdn, state(members.seen(member.fqdn.as_str()))));
    let deed = Deed {
        who: who.to_owned(),
        what: format!("service {}", word(order.action)),
        why: why.to_owned(),
        before: before.collect::<Vec<_>>().join("\n"),
        after: format!("{}{within}", names(&chosen)),
    };
    // Of two who stop services in the same moment, the second looks again.
    let until = ledger.now() + u64::try_from(order.patience().as_millis()).unwrap_or(u64::MAX / 2);
    let begun = if order.closes() {
        closing.0.extend(chosen.iter().map(|member| (member.fqdn.to_string(), until)));
        Transaction::new().expect(key.clone(), expect).put(key, records::write(&closing))
    } else {
        Transaction::new()
    };
    ledger.change(&begun, &deed).await?;
    Ok((chosen, deed))
}

async fn finish(
    members: &Arc<Members>,
    ledger: &Ledger,
    order: &Order,
    chosen: Vec<Member>,
    deed: Deed,
) -> Vec<ServiceDone> {
    let mut tasks = JoinSet::new();
    for member in chosen {
        let (members, order) = (members.clone(), order.clone());
        tasks.spawn(async move { one(&members, &member, &order).await });
    }
    let mut done = tasks.join_all().await;
    done.sort_by(|left, right| left.server.cmp(&right.server));
    let after: Vec<String> = done.iter().map(|done| format!("{}: {}", done.server, done.what)).collect();
    let what = format!("{} ended", deed.what);
    let deed = Deed { what, before: String::new(), after: after.join("\n"), ..deed };
    if let Err(error) = ended(ledger, &done, &deed).await {
        tracing::error!(%error, after = deed.after, "what became of federation services is not in the audit trail");
    }
    done
}

/// Writes down how it ended. From now on each says for itself whether it takes partners in.
async fn ended(ledger: &Ledger, done: &[ServiceDone], deed: &Deed) -> Result<(), StoreError> {
    let key = records::services();
    let mut attempts = 0;
    loop {
        let (closing, expect) = ledger.one::<Closing>(&key).await?;
        let mut closing = closing.unwrap_or_default();
        closing.0.retain(|fqdn, _| !done.iter().any(|done| done.server == *fqdn));
        let put = Transaction::new().expect(key.clone(), expect).put(key.clone(), records::write(&closing));
        match ledger.change(&put, deed).await {
            // Somebody else begins or ends meanwhile.
            Err(StoreError::Conflict(conflict)) if conflict == key && attempts < ATTEMPTS => attempts += 1,
            settled => return settled,
        }
    }
}

/// Those on the route who say now that they take partners in. What they said a while ago may be over: a script may stop one
/// after the other.
async fn serving(members: &Arc<Members>, current: &Current) -> BTreeSet<String> {
    let routed = current.topology.pools.iter().filter(|pool| pool.fqdn.as_str() == current.route.pool);
    let mut tasks = JoinSet::new();
    for member in routed.flat_map(edges_of).cloned() {
        let members = members.clone();
        tasks.spawn(async move {
            let said = timeout(LOOK, ask(&members, &member, ServiceAction::Status, None)).await;
            let serves = match said {
                Ok(Ok(service)) => service.state == ServiceState::Running,
                // A version that knows nothing of services is there, and does what it always did.
                Ok(Err(ReachError::Dial(DialError::Refused { .. }))) => true,
                Ok(Err(_)) | Err(_) => false,
            };
            serves.then(|| member.fqdn.to_string())
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

async fn one(members: &Members, member: &Member, order: &Order) -> ServiceDone {
    let patience = order.patience();
    let (done, what) = match timeout(patience, ask(members, member, order.action, order.seconds)).await {
        Ok(Ok(service)) => told(order.action, &service),
        Ok(Err(error)) => (false, plain(&error.to_string())),
        Err(_) => {
            let seconds = patience.as_secs();
            (false, format!("it hasn't said within {seconds} s that it is done; `fedge service status` says how it is"))
        }
    };
    ServiceDone { server: member.fqdn.to_string(), what, done }
}

/// Has an edge server finish what it has and refuse partners for a while, since the route has left its pool; says how that
/// went.
///
/// # Errors
/// Why it didn't.
pub async fn rest(members: &Members, fqdn: &str, rest: Rest) -> Result<String, String> {
    let current = members.picture().current;
    let pools = current.iter().flat_map(|current| &current.topology.pools);
    let member = pools.flat_map(edges_of).find(|member| member.fqdn.as_str() == fqdn);
    let member = member.ok_or_else(|| format!("{fqdn} is not in the topology any more"))?;
    let request = Request::Service { action: ServiceAction::Drain, seconds: None, rest: Some(rest) };
    let patience = OWN + ANSWER;
    match timeout(patience, order_service(members, member, request)).await {
        Ok(Ok(service)) => Ok(finished(&service)),
        Ok(Err(error)) => Err(plain(&error.to_string())),
        Err(_) => Err(format!("it hasn't said within {} s that it is done", patience.as_secs())),
    }
}

fn finished(service: &Service) -> String {
    let finished = |last: Drained| {
        let (finished, returned, left, seconds) = (last.finished, last.returned, last.left, last.seconds);
        let stay = match last.stay {
            0 => String::new(),
            stay => format!(
                "; {stay} streams are kept until their partners pause, for they don't number what they say: to end one \
                 in mid-sentence would lose it"
            ),
        };
        format!("{finished} finished, {returned} returned, {left} left, in {seconds} s{stay}")
    };
    service.last.map_or_else(|| format!("it is {}", service.state), finished)
}

async fn ask(
    members: &Members,
    member: &Member,
    action: ServiceAction,
    seconds: Option<u64>,
) -> Result<Service, ReachError> {
    order_service(members, member, Request::Service { action, seconds, rest: None }).await
}

async fn order_service(members: &Members, member: &Member, request: Request) -> Result<Service, ReachError> {
    let refused = |why: &str| DialError::Refused { fqdn: member.fqdn.to_string(), why: why.to_owned() };
    let mut connection = members.dial(member).await?;
    connection.local(request).await?;
    while let Some(reply) = connection.next().await? {
        match reply {
            Reply::Service(service) => return Ok(service),
            Reply::Refused { why } => return Err(refused(&why).into()),
            _ => {}
        }
    }
    Err(refused("it says nothing of a federation service; does it run a version of fedge that has one?").into())
}

/// Whether it is as it should be now, and what it did, in a sentence.
fn told(action: ServiceAction, service: &Service) -> (bool, String) {
    let (wanted, last) = match action {
        ServiceAction::Status => (service.state, None),
        ServiceAction::Start => (ServiceState::Running, None),
        ServiceAction::Stop => (ServiceState::Stopped, service.last),
        ServiceAction::Drain => (ServiceState::Running, service.last),
    };
    let drained = last.map(|last| {
        let (finished, returned, left, seconds) = (last.finished, last.returned, last.left, last.seconds);
        format!(
            "; of what was under way, {finished} were finished, {returned} returned and {left} left, in {seconds} s"
        )
    });
    (service.state == wanted, format!("it is {}{}", service.state, drained.unwrap_or_default()))
}

fn state(seen: Option<Seen>) -> String {
    let seen = seen.filter(|seen| seen.connected);
    match seen.map(|seen| seen.status.and_then(|(status, _)| status.service)) {
        None => "unreachable".to_owned(),
        Some(None) => "says nothing of its service".to_owned(),
        Some(Some(service)) => service.state.to_string(),
    }
}

fn names(chosen: &[Member]) -> String {
    chosen.iter().map(|member| member.fqdn.as_str()).collect::<Vec<_>>().join(", ")
}

fn word(action: ServiceAction) -> &'static str {
    match action {
        ServiceAction::Status => "status",
        ServiceAction::Start => "start",
        ServiceAction::Stop => "stop",
        ServiceAction::Drain => "drain",
    }
}

#[cfg(test)]
mod tests;
