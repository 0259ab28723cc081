//! What a gateway goes by, from its file or from a snapshot: who may speak to whom, and the pools of edge servers.

use std::net::SocketAddr;

use agent::state::Kept;
use api::agent::content::{self, Content as _};
use daemon::parts;
use topology::faults::Faults;
use topology::policy::Policy;
use xmpp::dialback::Secrets;

/// All of it; it is gone by as a whole.
#[derive(Debug, Clone)]
pub struct Course {
    /// Who may speak to whom.
    pub policy: Policy,
    /// The local domains, as they are written.
    pub serves: Vec<String>,
    /// Of which dialback keys are made, where no file says it.
    pub secrets: Option<Secrets>,
    /// The pools, in the order in which they stand by.
    pub pools: Vec<Pool>,
    /// The pool that carries the route.
    pub route: String,
}

/// A pool of edge servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Its members.
    pub edges: Vec<Edge>,
}

/// An edge server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Its name, as its certificate gives it.
    pub name: String,
    /// Where it takes trunks; the first that answers is used.
    pub addresses: Vec<SocketAddr>,
}

impl Course {
    /// As a snapshot says. `own` is where the gateway listens.
    ///
    /// # Errors
    /// Everything in it that can't be.
    pub fn led(snapshot: &Kept, own: &[SocketAddr]) -> Result<Course, Faults> {
        let text = &snapshot.content;
        let content = content::Gateway::read(text)?;
        let mut faults = Faults::new("snapshot", text);
        let route = &snapshot.head.route.pool;
        if !content.pool.iter().any(|pool| pool.fqdn == *route) {
            let what = format!("the route is on {route}, which is no pool in it");
            faults.add(0..0, what, "look at the topology that the controllers have");
        }
        let secrets = parts::secrets_of(&content.dialback_secrets, &mut faults);
        let policy = content.policy(text, own.to_vec())?;
        let domains = content.local.iter().flat_map(|entry| entry.get_ref().domains.get_ref());
        let course = Course {
            policy,
            serves: domains.map(|domain| domain.get_ref().clone()).collect(),
            secrets,
            route: route.clone(),
            pools: content.pool.into_iter().map(Pool::from).collect(),
        };
        faults.none_or(course)
    }
}

impl From<content::Pool> for Pool {
    fn from(pool: content::Pool) -> Pool {
        let edge = |edge: content::PoolEdge| Edge { name: edge.fqdn, addresses: edge.trunk };
        Pool { name: pool.fqdn, edges: pool.edge.into_iter().map(edge).collect() }
    }
}

#[cfg(test)]
mod tests {
    use api::agent::Route;

    use super::*;

    const CONTENT: &str = "
        dialback_secrets = ['hush-hush-hush-hush']
        [[pool]]
        fqdn = 'pool1.contoso.test'
        edge = [{ fqdn = 'edge1.contoso.test', trunk = ['10.0.1.1:5270', '[fd00::1]:5270'] }]
        [[local]]
        domains = ['contoso.test', '*.im.contoso.test']
        next_hop = '10.0.0.2'
        [[partner]]
        domains = ['fabrikam.test']
    ";

    fn led(content: &str, pool: &str) -> Result<Course, Faults> {
        let route = Route { epoch: 1, pool: pool.to_owned() };
        let kept = Kept::new("contoso-1", "gateway1.contoso.test", (1, "topology"), route, content.to_owned());
        Course::led(&kept, &["10.0.0.7:5269".parse().expect("an address")])
    }

    #[test]
    fn it_is_what_the_snapshot_says() {
        let course = led(CONTENT, "pool1.contoso.test").expect("it is good");
        assert_eq!(course.serves, ["contoso.test", "*.im.contoso.test"]);
        assert_eq!((course.route.as_str(), course.pools[0].edges[0].addresses.len()), ("pool1.contoso.test", 2));
        assert!(course.secrets.is_some() && course.policy.locals()[0].next_hop.is_some());
    }

    #[test]
    fn a_route_that_leads_nowhere_and_a_next_hop_in_circles_are_refused() {
        let faults = led(CONTENT, "pool2.contoso.test").expect_err("there is no such pool").to_string();
        assert!(faults.contains("the route is on pool2.contoso.test, which is no pool"), "{faults}");
        let circle = CONTENT.replace("10.0.0.2", "10.0.0.7");
        assert!(led(&circle, "pool1.contoso.test").is_err(), "the next hop is the gateway itself");
        let short = CONTENT.replace("hush-hush-hush-hush", "hush");
        let faults = led(&short, "pool1.contoso.test").expect_err("too short").to_string();
        assert!(faults.contains("a dialback secret") && !faults.contains("hush'"), "{faults}");
    }
}
