//! What stands behind an agent here: a daemon that is well, whatever it is asked.

use std::sync::{Arc, Mutex, PoisonError};

use agent::serve::{Agent, Member};
use agent::state::Kept;
use api::agent::{Role, Route};
use api::local::{self, Reply, Request, Service, ServiceState, Status};
use api::probe::{Probed, Verdict};
use tokio::sync::mpsc;

use crate::{PROGRAM, now, say};

/// A daemon that does nothing.
pub(crate) struct Scripted {
    role: Role,
    fqdn: String,
    /// To whom a gateway has trunks.
    edges: Arc<[String]>,
    agent: Arc<Agent>,
    /// The version and epoch that were told last.
    told: Mutex<(u64, u64)>,
}

impl Scripted {
    pub(crate) fn new(role: Role, fqdn: String, edges: Arc<[String]>, agent: Arc<Agent>) -> Scripted {
        Scripted { role, fqdn, edges, agent, told: Mutex::default() }
    }

    fn status(&self) -> Status {
        let trunks = self.edges.iter().filter(|_| self.role == Role::Gateway);
        let trunk = |name: &String| local::Member { name: name.clone(), connected: true, routed: false };
        Status {
            program: PROGRAM.0.to_owned(),
            version: PROGRAM.1.to_owned(),
            up_seconds: 1,
            now: Some(u64::try_from(now() / 1_000_000).unwrap_or_default()),
            log_level: "info".to_owned(),
            faces: Vec::new(),
            route: None,
            led: None,
            members: trunks.map(trunk).collect(),
            concerns: Vec::new(),
            service: (self.role == Role::Edge).then(service),
            partners: 0,
            certificates: Vec::new(),
            uncovered: Vec::new(),
        }
    }
}

fn service() -> Service {
    Service { state: ServiceState::Running, since: 1_700_000_000, last: None, rested: None }
}

impl Member for Scripted {
    fn check(&self, _snapshot: &Kept) -> Result<(), String> {
        Ok(())
    }

    async fn apply(&self, _snapshot: Arc<Kept>) -> Result<(), String> {
        Ok(())
    }

    fn confirmed(&self, route: &Route) {
        let version = self.agent.snapshot().map_or(0, |snapshot| snapshot.head.version);
        let (at, fresh) = (now(), (version, route.epoch));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *told, fresh) != fresh {
            say(&format!("applied {} {version} {} {at}", self.fqdn, route.epoch));
        }
    }

    fn ask(&self, request: Request) -> mpsc::Receiver<Reply> {
        let (sender, replies) = mpsc::channel(1);
        let reply = match request {
            Request::Service { .. } => Reply::Service(service()),
            Request::Probe(request) => Reply::Probed(Probed {
                to: request.to,
                from: request.from,
                face: "external".to_owned(),
                verdict: Verdict::Good,
                reached: true,
                stages: Vec::new(),
                targets: Vec::new(),
                ms: 1,
            }),
            _ => Reply::Status(self.status()),
        };
        // There is room for one.
        let _ = sender.try_send(reply);
        replies
    }
}
