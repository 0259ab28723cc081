//! Which services a cmdlet means.

use std::collections::BTreeSet;

use api::control::{Overview, Pool};

use super::FEDGE;
use crate::shell::bind::listed;
use crate::shell::names::{Edge, Meant, edges, like, meant, own};
use crate::shell::wild::{is_like, is_wild};

/// All names of the one service that an edge server has: its own, and Lync's of what carried federation on an Edge Server.
pub(in crate::shell) const NAMES: [&str; 4] = [FEDGE, "RtcSrv", "XmppProxy", "RTCXMPPFED"];
/// Lync's of what stood inside.
const GATEWAY: [&str; 2] = ["RTCXMPPTGW", "XmppTGW"];

/// What is commanded at once: a pool's, or one edge server's.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) pool: Option<&'a Pool>,
    pub(super) edges: Vec<Edge<'a>>,
}

impl Target<'_> {
    /// The name by which it is commanded.
    pub(super) fn name(&self) -> &str {
        match self.pool {
            Some(pool) => &pool.fqdn,
            None => &self.edges[0].member.fqdn,
        }
    }

    /// The same for people.
    pub(super) fn told(&self) -> String {
        let edges = listed(self.edges.iter().map(|edge| &edge.member.fqdn));
        match self.pool {
            Some(pool) => format!("pool {} ({edges})", pool.fqdn),
            None => edges,
        }
    }
}

/// # Errors
/// Where one of them is no name of the service.
pub(super) fn check_names(names: &[String]) -> Result<(), String> {
    for name in names {
        if GATEWAY.iter().any(|gateway| gateway.eq_ignore_ascii_case(name)) {
            return Err(format!(
                "`{name}` was Lync's gateway inside; fedge-gateway has no service that can be stopped alone: end its daemon on \
                 its machine, and it finishes what it has"
            ));
        }
        if !NAMES.iter().any(|known| is_like(known, name)) {
            return Err(format!("there is no service `{name}`; there is one, by the names {}", listed(NAMES)));
        }
    }
    Ok(())
}

/// What is to be commanded: a pool's services at once, and nothing twice.
///
/// # Errors
/// Where a name means nothing, or this host is no edge server.
pub(super) fn targets<'a>(overview: &'a Overview, names: &[String], host: &str) -> Result<Vec<Target<'a>>, String> {
    let mut all = Vec::new();
    for name in names {
        if is_wild(name) {
            return Err(format!("`{name}` may mean more than you think of; name each pool or edge server"));
        }
        all.push(meant(overview, name)?);
    }
    if names.is_empty() {
        all.push(own(overview, host)?);
    }
    // Pools first: their edge servers need not be named again.
    all.sort_by_key(|meant| meant.pool.is_none());
    let mut taken = BTreeSet::new();
    let mut targets = Vec::new();
    for Meant { pool, edges } in all {
        if edges.is_empty() {
            let name = pool.map_or("it", |pool| &pool.fqdn);
            return Err(format!("{name} has no edge servers"));
        }
        let fresh: Vec<&Edge> = edges.iter().filter(|edge| !taken.contains(&edge.member.fqdn)).collect();
        if !fresh.is_empty() {
            taken.extend(edges.iter().map(|edge| edge.member.fqdn.clone()));
            targets.push(Target { pool, edges });
        }
    }
    Ok(targets)
}

/// Those that are to be shown, in the topology's order.
///
/// # Errors
/// Where a name means nothing, or this host is no edge server.
pub(super) fn shown<'a>(overview: &'a Overview, names: &[String], host: &str) -> Result<Vec<Edge<'a>>, String> {
    let mut wanted = BTreeSet::new();
    for name in names {
        let found = if is_wild(name) { like(overview, name) } else { meant(overview, name)?.edges };
        wanted.extend(found.iter().map(|edge| edge.member.fqdn.clone()));
    }
    if names.is_empty() {
        wanted.extend(own(overview, host)?.edges.iter().map(|edge| edge.member.fqdn.clone()));
    }
    Ok(edges(overview).filter(|edge| wanted.contains(&edge.member.fqdn)).collect())
}

/// Whether nobody of the routed pool would take partners in once these are stopped.
pub(super) fn ends_federation(overview: &Overview, targets: &[Target]) -> bool {
    let stopped: BTreeSet<&str> =
        targets.iter().flat_map(|target| &target.edges).map(|edge| edge.member.fqdn.as_str()).collect();
    let routed = edges(overview).filter(|edge| edge.pool.routed);
    let (closed, left): (Vec<Edge>, Vec<Edge>) = routed.partition(|edge| stopped.contains(edge.member.fqdn.as_str()));
    !closed.is_empty() && !left.iter().any(|edge| edge.member.service.as_deref() == Some("running"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::names::tests::overview;

    fn named(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_pool_is_commanded_at_once_and_nothing_twice() {
        let overview = overview();
        let names = named(&["edge1.contoso.test", "pool1.contoso.test", "edge3.contoso.test", "EDGE3.contoso.test"]);
        let targets = targets(&overview, &names, "").expect("they are there");
        let told: Vec<&str> = targets.iter().map(Target::name).collect();
        assert_eq!(told, ["pool1.contoso.test", "edge3.contoso.test"]);
        assert_eq!(targets[0].told(), "pool pool1.contoso.test (edge1.contoso.test, edge2.contoso.test)");
        assert!(super::targets(&overview, &named(&["*"]), "").expect_err("who?").contains("name each"));
        assert!(super::targets(&overview, &[], "laptop").expect_err("none").contains("`laptop`"));
        assert_eq!(super::targets(&overview, &[], "edge2").expect("it is one")[0].name(), "edge2.contoso.test");
    }

    #[test]
    fn federation_ends_where_nobody_of_the_routed_pool_is_left() {
        let mut overview = overview();
        let ends = |overview: &Overview, names: &[&str]| {
            ends_federation(overview, &targets(overview, &named(names), "").expect("they are there"))
        };
        assert!(ends(&overview, &["pool1.contoso.test"]));
        assert!(ends(&overview, &["edge1.contoso.test", "edge2.contoso.test"]));
        assert!(!ends(&overview, &["edge1.contoso.test"]));
        assert!(!ends(&overview, &["pool2.contoso.test"]));
        overview.sites[0].pools[0].members[1].service = Some("stopped".to_owned());
        assert!(ends(&overview, &["edge1.contoso.test"]));
    }

    #[test]
    fn the_service_is_known_by_lync_s_names() {
        for name in ["fedge-edge", "rtcsrv", "XMPPPROXY", "RTCXMPPFED", "rtc*", "*"] {
            check_names(&named(&[name])).unwrap_or_else(|fault| panic!("{fault}"));
        }
        assert!(check_names(&named(&["RtcSrv", "RtcAvMcu"])).expect_err("none").contains("RtcSrv, XmppProxy"));
        assert!(check_names(&named(&["RTCXMPPTGW"])).expect_err("none").contains("fedge-gateway"));
    }
}
