//! What name servers and resolvers say of each of our names, as partners' servers would ask them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use topology::records::{Published, RecordSet};
use topology::zone::{Publisher, Zone};
use zones::ask::{self, Manner};

/// The type of the keys by which a zone is signed.
pub const DNSKEY: &str = "DNSKEY";
/// For one question.
const PATIENCE: Duration = Duration::from_secs(3);
/// Questions that are on their way at once.
const AT_ONCE: usize = 64;

/// What one server says of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Who was asked.
    pub server: SocketAddr,
    /// How.
    pub manner: Manner,
    /// The name, absolute, in small letters.
    pub name: String,
    /// The type.
    pub kind: &'static str,
    /// The sets in the answer, of the name itself and of what it is an alias of; or why there is none. A name that isn't there
    /// has no sets.
    pub said: Result<Vec<RecordSet>, String>,
}

/// A question to be put: to whom, how, for which name, and for which type.
pub type Question = (SocketAddr, Manner, String, &'static str);

/// The names at which partners look for us, with what they ask for there: services of each local domain, also those that
/// aren't published, addresses of targets, and the certificates by which these are known, where there are any.
pub fn names(published: &Published) -> Vec<(String, &'static str)> {
    let mut names = Vec::new();
    for domain in &published.locals {
        names.extend(["_xmpp-server", "_xmpps-server"].map(|service| (format!("{service}._tcp.{domain}."), "SRV")));
    }
    for (target, _) in published.targets() {
        names.extend(["A", "AAAA"].map(|kind| (target.clone(), kind)));
    }
    names.extend(published.authentication().into_iter().map(|set| (set.name, "TLSA")));
    names.sort();
    names.dedup();
    names
}

/// The tops of the zones in which TLSA records lie, with what tells whether they are signed.
pub fn signed(published: &Published) -> Vec<(String, &'static str)> {
    published.zones_with_tlsa().into_iter().map(|zone| (zone.name.clone(), DNSKEY)).collect()
}

/// The names at which a CA that is to issue for a local domain looks whether it may: each domain, and those above.
pub fn authorizations(published: &Published) -> Vec<(String, &'static str)> {
    let names: BTreeSet<String> = published.locals.iter().flat_map(|domain| upwards(domain)).collect();
    names.into_iter().map(|name| (name, "CAA")).collect()
}

/// A domain, and each above it except the root, absolute, from the bottom up (RFC 8659 §3).
pub fn upwards(domain: &str) -> impl Iterator<Item = String> {
    std::iter::successors(Some(domain), |name| Some(name.split_once('.')?.1)).map(|name| format!("{name}."))
}

/// What each name's own name servers, and all resolvers, are to be asked for these names. Nothing where there are none of both.
pub fn questions(published: &Published, names: Vec<(String, &'static str)>, resolvers: &[SocketAddr]) -> Vec<Question> {
    let mut questions: Vec<Question> = Vec::new();
    for (name, kind) in names {
        let zone: Option<&Zone> = published.zone_of(&name);
        let own = zone.map(|zone| zone.publisher.servers()).unwrap_or_default();
        questions.extend(own.into_iter().map(|server| (server, Manner::Authority, name.clone(), kind)));
        questions.extend(resolvers.iter().map(|server| (*server, Manner::Resolver, name.clone(), kind)));
    }
    questions
}

/// What resolvers are to be asked of our own zones: what each one's parent says of its key. The parent isn't known here.
pub fn parents(published: &Published, resolvers: &[SocketAddr]) -> Vec<Question> {
    let zones = published.zones.iter().filter(|zone| matches!(zone.publisher, Publisher::Embedded { .. }));
    let ask =
        |zone: &Zone| resolvers.iter().map(|server| (*server, Manner::Resolver, zone.name.clone(), "DS")).collect();
    zones.flat_map(|zone| -> Vec<Question> { ask(zone) }).collect()
}

/// Asks all of them, many at once.
pub async fn hear(questions: Vec<Question>) -> Vec<Heard> {
    let mut questions = questions.into_iter();
    let (mut running, mut heard) = (JoinSet::new(), Vec::new());
    loop {
        while running.len() < AT_ONCE {
            let Some((server, manner, name, kind)) = questions.next() else { break };
            running.spawn(async move {
                let said = ask::ask(server, &name, kind, manner, PATIENCE).await;
                let said = said.map(|answer| answer.sets).map_err(|error| error.to_string());
                Heard { server, manner, name, kind, said }
            });
        }
        match running.join_next().await {
            Some(Ok(answer)) => heard.push(answer),
            Some(Err(_)) => {}
            None => break,
        }
    }
    heard.sort_by(|one, other| (&one.name, one.kind, one.server).cmp(&(&other.name, other.kind, other.server)));
    heard
}
