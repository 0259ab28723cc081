//! What an edge server with gateways goes by, from its file or from a snapshot: who may speak to whom, and who may come.

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
    /// Of which dialback keys are made, where no file says it.
    pub secrets: Option<Secrets>,
    /// The pool that the edge server is a member of, where controllers say so.
    pub pool: Option<String>,
    /// Where gateways dial.
    pub trunk: Vec<SocketAddr>,
    /// The names of gateways that may come.
    pub gateways: Vec<String>,
}

impl Course {
    /// As a snapshot says. `own` is where else the edge server listens.
    ///
    /// # Errors
    /// Everything in it that can't be.
    pub fn led(snapshot: &Kept, own: &[SocketAddr]) -> Result<Course, Faults> {
        let text = &snapshot.content;
        let content = content::Edge::read(text)?;
        let mut faults = Faults::new("snapshot", text);
        let secrets = parts::secrets_of(&content.dialback_secrets, &mut faults);
        if let Some(address) = content.trunk.iter().find(|address| own.contains(address)) {
            let what = format!("gateways were to dial {address}, where this edge server listens for others");
            faults.add(0..0, what, "give its entry in the topology another `trunk_port`, or listen elsewhere");
        }
        let policy = content.policy(text, own.iter().chain(&content.trunk).copied().collect())?;
        faults.none_or(Course {
            policy,
            secrets,
            pool: Some(content.pool),
            trunk: content.trunk,
            gateways: content.gateways,
        })
    }
}

#[cfg(test)]
mod tests {
    use api::agent::Route;

    use super::*;

    const CONTENT: &str = "
        pool = 'pool1.contoso.test'
        trunk = ['10.0.1.1:5270', '[fd00::1]:5270']
        gateways = ['gateway1.contoso.test']
        dialback_secrets = ['hush-hush-hush-hush']
        [[local]]
        domains = ['contoso.test']
        [[partner]]
        domains = ['fabrikam.test']
        next_hop = '203.0.113.9'
    ";

    fn led(content: &str, own: &str) -> Result<Course, Faults> {
        let route = Route { epoch: 1, pool: "pool1.contoso.test".to_owned() };
        let kept = Kept::new("contoso-1", "edge1.contoso.test", (1, "topology"), route, content.to_owned());
        Course::led(&kept, &[own.parse().expect("an address")])
    }

    #[test]
    fn it_is_what_the_snapshot_says() {
        let course = led(CONTENT, "203.0.113.1:5269").expect("it is good");
        assert_eq!((course.trunk.len(), course.gateways.as_slice()), (2, &["gateway1.contoso.test".to_owned()][..]));
        assert!(course.secrets.is_some() && course.policy.partners()[0].next_hop.is_some());
    }

    #[test]
    fn two_listeners_at_one_place_and_a_partner_in_circles_are_refused() {
        let faults = led(CONTENT, "10.0.1.1:5270").expect_err("the metrics are there").to_string();
        assert!(faults.contains("gateways were to dial 10.0.1.1:5270"), "{faults}");
        assert!(led(CONTENT, "203.0.113.9:5269").is_err(), "the partner would be this edge server itself");
    }
}
