//! What the edge server's desk answers that is the edge server's alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use agent::serve::Agent;
use api::local::{self, Reply, Rest, ServiceAction, ServiceState};
use daemon::control;
use daemon::desk::{Certificate, Office};
use gateway::inside::Inside;
use net::trunk::members::Standing;
use tokio::sync::mpsc;

use crate::files::Files;
use crate::gateways::Trunks;
use crate::service::Counter;
use crate::steering::Steering;

/// What somebody should know while the entrance is closed.
const CLOSED: &str = "no gateway is there that takes stanzas, so partners' connections are refused; look at the gateways, \
                      and at the firewall between them and this edge server";

/// Who answers.
pub(crate) struct Borderer {
    pub(crate) files: Files,
    /// Its name on the trunk, and the trunk; where gateways are there.
    pub(crate) trunk: Option<(String, Arc<Trunks>)>,
    /// What it goes by there.
    pub(crate) steering: Option<Arc<Steering>>,
    /// Whether the entrance is, where it hangs on gateways.
    pub(crate) open: Arc<AtomicBool>,
    pub(crate) service: Counter,
    /// What controllers reach, where some lead.
    pub(crate) agent: Option<Arc<Agent>>,
}

impl Office for Borderer {
    fn concerns(&self) -> Vec<String> {
        let mut concerns = self.files.concerns();
        concerns.extend(self.hindrance());
        concerns.extend(self.service.concern());
        concerns.extend(self.agent.iter().flat_map(|agent| agent.concerns()));
        concerns
    }

    fn uncovered(&self) -> Vec<String> {
        self.files.uncovered(SystemTime::now())
    }

    fn service(&self) -> Option<local::Service> {
        Some(self.service.told())
    }

    fn order(&self, action: ServiceAction, seconds: Option<u64>, rest: Option<Rest>) -> mpsc::Receiver<Reply> {
        self.service.order(action, seconds, rest)
    }

    fn led(&self) -> Option<local::Led> {
        control::led(self.agent.as_deref()?)
    }

    fn routed(&self) -> Option<bool> {
        let (led, pool) = (self.led()?, self.steering.as_ref()?.pool()?);
        Some(led.confirmed && led.pool == *pool)
    }

    fn hindrance(&self) -> Option<String> {
        if self.service.told().state != ServiceState::Running {
            return None;
        }
        (self.trunk.is_some() && !self.open.load(Ordering::Relaxed)).then(|| CLOSED.to_owned())
    }

    fn certificates(&self) -> Vec<Certificate> {
        let inside = self.files.inside.as_ref().and_then(Inside::certificate);
        let trunk = self.trunk.as_ref().map(|(name, trunks)| Certificate {
            used_for: "trunk",
            name: name.clone(),
            not_after: trunks.expires(),
        });
        let agent = self.agent.as_deref().map(control::certificate);
        self.files.outside.certificates().into_iter().chain(inside).chain(trunk).chain(agent).collect()
    }

    fn members(&self) -> Vec<Standing> {
        self.trunk.as_ref().map(|(_, trunks)| trunks.members().standing()).unwrap_or_default()
    }
}
