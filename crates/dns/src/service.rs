//! What is done with a query: who may ask, the view's own answers at once, the rest forwarded
//! within limits.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use ipnet::IpNet;
use tokio::sync::OwnedSemaphorePermit;

use crate::answer::{Decision, Refusal, answer};
use crate::cache::Ask;
use crate::counts::{By, Counts};
use crate::forward::Forwarder;
use crate::limit::{Limit, Rarely};
use crate::message::{self, Request, Transport, Unfit};
use crate::view::View;

/// Questions that may wait for the site's resolvers at once. Those beyond fail at once; the view's
/// own answers never wait.
const FORWARDED_AT_ONCE: usize = 250;

/// What the daemon serves, until the configuration is read again.
pub struct Served {
    /// Where names lead.
    pub view: View,
    /// Who may ask.
    pub clients: Vec<IpNet>,
    /// Who knows the rest.
    pub forwarder: Arc<Forwarder>,
}

impl Served {
    /// What becomes of a query that came from `client`.
    pub fn hear(&self, bytes: &[u8], client: IpAddr, transport: Transport) -> Heard {
        let client = client.to_canonical();
        if !self.clients.iter().any(|network| network.contains(&client)) {
            tracing::debug!(%client, reason = %Refusal::Client, "refused");
            return message::refusal(bytes).map_or(Heard::Nothing, Heard::Reply);
        }
        let request = match message::read(bytes, transport) {
            Ok(request) => request,
            Err(Unfit::Error(error)) => {
                tracing::debug!(%client, "malformed query");
                return Heard::Reply(error);
            }
            Err(Unfit::Silence) => return Heard::Nothing,
        };
        let decision = match answer(&self.view, &request.question) {
            Decision::Forward if !request.recursion_desired => Decision::Refuse(Refusal::Recursion),
            decision => decision,
        };
        log(client, &request, &decision);
        match request.decided(decision) {
            Some(reply) => Heard::Reply(reply),
            None => Heard::Forward(request),
        }
    }

    /// The reply to a request that is to be forwarded.
    pub async fn forward(&self, request: &Request) -> Vec<u8> {
        let ask = Ask {
            name: request.question.name().clone(),
            wanted: request.question.query_type(),
            dnssec_ok: request.dnssec_ok,
            checking_disabled: request.checking_disabled,
        };
        request.forwarded(self.forwarder.ask(ask).await)
    }
}

/// What becomes of a query.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// This goes back at once.
    Reply(Vec<u8>),
    /// The site's resolvers must be asked.
    Forward(Request),
    /// Nothing: it wasn't a query.
    Nothing,
}

/// The service that all sockets share.
pub struct Service {
    served: ArcSwap<Served>,
    forwarding: Limit,
    validators: Rarely,
    counts: Arc<Counts>,
}

/// What a socket does about a query.
pub enum Reaction {
    /// Sends this.
    Reply(Vec<u8>),
    /// Waits for the answer elsewhere, and sends it.
    Wait(Pending),
    /// Nothing.
    Nothing,
}

/// A query that waits for the site's resolvers.
pub struct Pending {
    request: Request,
    served: Arc<Served>,
    counts: Arc<Counts>,
    _room: OwnedSemaphorePermit,
}

impl Service {
    /// A service that serves `served`, and counts.
    pub fn new(served: Served, counts: Arc<Counts>) -> Arc<Service> {
        let forwarding = Limit::new("questions that wait for the resolvers", FORWARDED_AT_ONCE);
        let validators = Rarely::new(Duration::from_secs(3600));
        Arc::new(Service { served: ArcSwap::from_pointee(served), forwarding, validators, counts })
    }

    /// Serves `served` from now on. Who waits for an answer gets it as it would have been.
    pub fn replace(&self, served: Served) {
        self.served.store(Arc::new(served));
    }

    /// What to do about a query that came from `client`.
    pub fn hear(&self, bytes: &[u8], client: IpAddr, transport: Transport) -> Reaction {
        let served = self.served.load_full();
        match served.hear(bytes, client, transport) {
            Heard::Reply(reply) => self.at_once(reply),
            Heard::Nothing => {
                self.counts.ignored.grow();
                Reaction::Nothing
            }
            Heard::Forward(request) => {
                if validates(&request) && self.validators.is_due(Instant::now()) {
                    tracing::warn!(%client, "the client validates DNSSEC: it will take the view's own answers for bogus");
                }
                match self.forwarding.enter() {
                    Some(room) => Reaction::Wait(Pending { request, served, counts: self.counts.clone(), _room: room }),
                    None => {
                        self.counts.unforwarded.grow();
                        self.at_once(request.error(ResponseCode::ServFail))
                    }
                }
            }
        }
    }

    fn at_once(&self, reply: Vec<u8>) -> Reaction {
        self.counts.answered(By::View, &reply);
        Reaction::Reply(reply)
    }

    /// What came and what became of it.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many queries wait for the site's resolvers, and how many may.
    pub fn waiting(&self) -> (usize, usize) {
        self.forwarding.taken()
    }
}

impl Pending {
    /// The reply, when it is there.
    pub async fn reply(self) -> Vec<u8> {
        let reply = self.served.forward(&self.request).await;
        self.counts.answered(By::Resolvers, &reply);
        reply
    }
}

/// Whether this is a question that only validators ask.
fn validates(request: &Request) -> bool {
    matches!(request.question.query_type(), RecordType::DNSKEY | RecordType::DS)
}

fn log(client: IpAddr, request: &Request, decision: &Decision) {
    let name = request.question.name();
    let wanted = request.question.query_type();
    let what = match decision {
        Decision::Answer { .. } => "answered",
        Decision::NoData(_) => "no such records",
        Decision::NoName(_) => "no such name",
        Decision::Minimal(_) => "answered minimally",
        Decision::Forward => "forwarded",
        Decision::Refuse(reason) => {
            tracing::debug!(%client, %name, r#type = %wanted, %reason, "refused");
            return;
        }
    };
    tracing::debug!(%client, %name, r#type = %wanted, "{what}");
}

#[cfg(test)]
mod tests;
