//! The gateway's course as it is gone by: policy, secrets, trunks and route, changed while it runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use net::trunk::members::Members;
use topology::policy::Policy;

use crate::course::{Course, Edge, Pool};
use crate::inside::Inside;
use crate::trunks::Trunks;

/// What is steered, and how it stands.
pub struct Steering {
    inside: Inside,
    policy: Arc<ArcSwap<Policy>>,
    members: Arc<Members>,
    trunks: Trunks,
    now: Mutex<Now>,
}

/// The pools, and which of them carries the route.
#[derive(Default)]
struct Now {
    pools: Vec<Pool>,
    route: String,
}

impl Steering {
    /// Nothing is gone by yet.
    pub fn new(inside: Inside, policy: Arc<ArcSwap<Policy>>, members: Arc<Members>, trunks: Trunks) -> Steering {
        Steering { inside, policy, members, trunks, now: Mutex::default() }
    }

    /// Goes by this course from now on.
    pub fn take(&self, course: Course) {
        let Course { policy, serves, secrets, pools, route } = course;
        self.policy.store(Arc::new(policy));
        if let Some(secrets) = secrets {
            self.inside.make_keys_of(secrets);
        }
        self.members.serve_domains(serves);
        let mut now = self.now();
        now.pools = pools;
        let edges: Vec<Edge> = now.pools.iter().flat_map(|pool| pool.edges.clone()).collect();
        self.trunks.lead_to(edges.iter());
        self.route_by(&mut now, &route);
    }

    /// Puts the route on this pool.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn route(&self, pool: &str) -> Result<(), String> {
        let mut now = self.now();
        if !now.pools.iter().any(|known| known.name == pool) {
            let known: Vec<&str> = now.pools.iter().map(|pool| pool.name.as_str()).collect();
            return Err(format!("there is no pool {pool}; there are {}", known.join(", ")));
        }
        self.route_by(&mut now, pool);
        Ok(())
    }

    fn route_by(&self, now: &mut Now, pool: &str) {
        if now.route != pool {
            tracing::info!(pool, "the route is on this pool");
        }
        pool.clone_into(&mut now.route);
        // The others stand by in the order in which they are configured.
        let (routed, others): (Vec<&Pool>, Vec<&Pool>) = now.pools.iter().partition(|known| known.name == pool);
        let names = |pool: &Pool| pool.edges.iter().map(|edge| edge.name.clone()).collect();
        self.members.route(routed.into_iter().chain(others).map(names).collect());
    }

    /// The pool that carries the route.
    pub fn routed(&self) -> String {
        self.now().route.clone()
    }

    /// Who is at the other ends of the trunk.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The trunks.
    pub fn trunks(&self) -> &Trunks {
        &self.trunks
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
