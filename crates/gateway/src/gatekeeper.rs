//! What the gateway's desk answers that is the gateway's alone.

use std::sync::Arc;
use std::time::SystemTime;

use agent::serve::Agent;
use api::local;
use arc_swap::ArcSwap;
use daemon::control;
use daemon::desk::{Certificate, Office};
use net::trunk::members::Standing;
use topology::policy::Policy;

use crate::inside::Inside;
use crate::steering::Steering;

/// Who answers.
pub(crate) struct Gatekeeper {
    /// Our name on the trunk.
    pub(crate) name: String,
    pub(crate) steering: Arc<Steering>,
    pub(crate) inside: Inside,
    pub(crate) policy: Arc<ArcSwap<Policy>>,
    /// What controllers reach, where some lead.
    pub(crate) agent: Option<Arc<Agent>>,
}

impl Office for Gatekeeper {
    fn concerns(&self) -> Vec<String> {
        let agent = self.agent.iter().flat_map(|agent| agent.concerns());
        self.inside.concerns(&self.policy.load(), SystemTime::now()).into_iter().chain(agent).collect()
    }

    fn hindrance(&self) -> Option<String> {
        // Any will do: those of the other pools stand in for the routed one's.
        let reached = self.members().iter().any(|member| member.connected);
        (!reached).then(|| "no trunk to any edge server is up, so what comes is held".to_owned())
    }

    fn members(&self) -> Vec<Standing> {
        self.steering.members().standing()
    }

    fn certificates(&self) -> Vec<Certificate> {
        let not_after = self.steering.trunks().expires();
        let trunk = Certificate { used_for: "trunk", name: self.name.clone(), not_after };
        let agent = self.agent.as_deref().map(control::certificate);
        self.inside.certificate().into_iter().chain([trunk]).chain(agent).collect()
    }

    fn led(&self) -> Option<local::Led> {
        control::led(self.agent.as_deref()?)
    }

    fn route(&self) -> Option<String> {
        Some(self.steering.routed())
    }

    fn set_route(&self, pool: &str) -> Result<(), String> {
        if self.agent.is_some() {
            return Err("controllers decide the route; `fedge status` shows it".to_owned());
        }
        self.steering.route(pool)
    }
}
