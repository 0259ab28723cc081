//! The names in an installation: what is meant by one, and what completes one.

use api::control::{Member, Overview, Pool};

use super::bind::listed;
use super::wild::is_like;

/// An edge server with its pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge<'a> {
    pub(super) pool: &'a Pool,
    pub(super) member: &'a Member,
}

/// What a name of a pool or an edge server means.
#[derive(Debug, Clone)]
pub(super) struct Meant<'a> {
    /// The pool, where it is one's name.
    pub(super) pool: Option<&'a Pool>,
    pub(super) edges: Vec<Edge<'a>>,
}

/// All that can be named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) sites: Vec<String>,
    pub(super) pools: Vec<String>,
    pub(super) edges: Vec<String>,
    pub(super) others: Vec<String>,
}

impl Names {
    pub(super) fn of(overview: &Overview) -> Names {
        let others = overview.sites.iter().flat_map(|site| &site.members).filter(|member| member.role != "controller");
        Names {
            sites: overview.sites.iter().map(|site| site.name.clone()).collect(),
            pools: pools(overview).map(|pool| pool.fqdn.clone()).collect(),
            edges: edges(overview).map(|edge| edge.member.fqdn.clone()).collect(),
            others: others.map(|member| member.fqdn.clone()).collect(),
        }
    }
}

pub(super) fn pools(overview: &Overview) -> impl Iterator<Item = &Pool> {
    overview.sites.iter().flat_map(|site| &site.pools)
}

pub(super) fn edges(overview: &Overview) -> impl Iterator<Item = Edge<'_>> {
    pools(overview).flat_map(|pool| pool.members.iter().map(move |member| Edge { pool, member }))
}

/// The site of that name, as the topology writes it.
///
/// # Errors
/// Where there is none, with those that there are.
pub(super) fn site<'a>(overview: &'a Overview, name: &str) -> Result<&'a api::control::Site, String> {
    // Lync shows sites as Site:NAME.
    let bare = without(name, "site:");
    let found = overview.sites.iter().find(|site| site.name.to_lowercase() == bare.to_lowercase());
    found.ok_or_else(|| {
        let sites = listed(overview.sites.iter().map(|site| &site.name));
        format!("there is no site `{bare}` in the topology; there are {sites}")
    })
}

/// What a name of a pool or an edge server means; a pool's goes before an edge server's.
///
/// # Errors
/// Where there is none, with those that there are.
pub(super) fn meant<'a>(overview: &'a Overview, name: &str) -> Result<Meant<'a>, String> {
    let name = name.trim_end_matches('.');
    if let Some(pool) = pools(overview).find(|pool| pool.fqdn.eq_ignore_ascii_case(name)) {
        let edges = pool.members.iter().map(|member| Edge { pool, member }).collect();
        return Ok(Meant { pool: Some(pool), edges });
    }
    let found: Vec<Edge<'a>> = edges(overview).filter(|edge| edge.member.fqdn.eq_ignore_ascii_case(name)).collect();
    if found.is_empty() {
        return Err(format!("there is no pool or edge server `{name}` in the topology; {}", choices(overview)));
    }
    Ok(Meant { pool: None, edges: found })
}

/// All edge servers whose names, or whose pools' names, are like this.
pub(super) fn like<'a>(overview: &'a Overview, pattern: &str) -> Vec<Edge<'a>> {
    let is_meant = |edge: &Edge| is_like(&edge.member.fqdn, pattern) || is_like(&edge.pool.fqdn, pattern);
    edges(overview).filter(is_meant).collect()
}

/// The edge server that this host is, by its own name: a whole one, or its first part where only one edge server has it.
///
/// # Errors
/// Where it is none, with those that there are.
pub(super) fn own<'a>(overview: &'a Overview, host: &str) -> Result<Meant<'a>, String> {
    let first = |fqdn: &str| fqdn.split('.').next().unwrap_or_default().to_lowercase();
    let is_own = |edge: &Edge| {
        let fqdn = &edge.member.fqdn;
        fqdn.eq_ignore_ascii_case(host) || !host.contains('.') && first(fqdn) == host.to_lowercase()
    };
    let found: Vec<Edge<'a>> = edges(overview).filter(is_own).collect();
    if found.len() == 1 {
        return Ok(Meant { pool: None, edges: found });
    }
    let why =
        if found.is_empty() { "is no edge server of the topology" } else { "is not the name of only one edge server" };
    Err(format!("this host, `{host}`, {why}; say which with -ComputerName; {}", choices(overview)))
}

fn choices(overview: &Overview) -> String {
    let Names { pools, edges, .. } = Names::of(overview);
    format!("there are the pools {}, and the edge servers {}", listed(pools), listed(edges))
}

/// The text without this start, capitals or not.
pub(super) fn without<'a>(text: &'a str, start: &str) -> &'a str {
    match text.get(..start.len()) {
        Some(found) if found.eq_ignore_ascii_case(start) => &text[start.len()..],
        _ => text,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use api::control::{Route, Site};

    use super::*;

    pub(in crate::shell) fn member(fqdn: &str, role: &str) -> Member {
        Member {
            fqdn: fqdn.to_owned(),
            role: role.to_owned(),
            state: "reached".to_owned(),
            since: 1_795_835_100_000,
            program: Some("fedge-edge 0.1.0".to_owned()),
            version: Some(3),
            epoch: Some(2),
            confirmed: Some(true),
            service: (role == "edge").then(|| "running".to_owned()),
            service_since: None,
            streams: Some(4),
            partners: Some(2),
            certificates: Vec::new(),
        }
    }

    /// Two sites with a pool each, of two edge servers and of one; the first carries the route.
    pub(in crate::shell) fn overview() -> Overview {
        let pool = |fqdn: &str, routed, edges: &[&str]| Pool {
            fqdn: fqdn.to_owned(),
            routed,
            members: edges.iter().map(|edge| member(edge, "edge")).collect(),
        };
        let site = |name: &str, pool, members| Site { name: name.to_owned(), pools: vec![pool], members };
        let pool1 = pool("pool1.contoso.test", true, &["edge1.contoso.test", "edge2.contoso.test"]);
        let pool2 = pool("pool2.contoso.test", false, &["edge3.contoso.test"]);
        let others = vec![member("gateway1.contoso.test", "gateway"), member("ctl1.contoso.test", "controller")];
        Overview {
            installation: "Contoso".to_owned(),
            version: 3,
            route: Route { pool: "pool1.contoso.test".to_owned(), epoch: 2 },
            sites: vec![site("Site1", pool1, others), site("Site 2", pool2, Vec::new())],
            wrong: Vec::new(),
            controller: "ctl1.contoso.test".to_owned(),
        }
    }

    fn names(meant: &Meant) -> Vec<String> {
        meant.edges.iter().map(|edge| edge.member.fqdn.clone()).collect()
    }

    #[test]
    fn names_mean_sites_pools_and_edge_servers_in_capitals_or_not() {
        let overview = overview();
        assert_eq!(site(&overview, "SITE:site 2").expect("it is there").name, "Site 2");
        assert!(site(&overview, "Site3").expect_err("it isn't").contains("there are Site1, Site 2"));
        let pool = meant(&overview, "POOL1.contoso.test").expect("it is there");
        assert!(pool.pool.is_some());
        assert_eq!(names(&pool), ["edge1.contoso.test", "edge2.contoso.test"]);
        let edge = meant(&overview, "Edge3.Contoso.test.").expect("it is there");
        assert!(edge.pool.is_none() && names(&edge) == ["edge3.contoso.test"]);
        let fault = meant(&overview, "edge9.contoso.test").expect_err("it isn't");
        assert!(fault.contains("pool1.contoso.test, pool2") && fault.contains("edge3.contoso.test"), "{fault}");
        assert!(meant(&overview, "gateway1.contoso.test").is_err());
        assert_eq!(like(&overview, "pool1*").len(), 2);
        assert_eq!(like(&overview, "*").len(), 3);
    }

    #[test]
    fn a_host_is_known_by_its_whole_name_or_by_a_part_that_only_one_has() {
        let mut overview = overview();
        assert_eq!(names(&own(&overview, "edge1.contoso.test").expect("it is one")), ["edge1.contoso.test"]);
        assert_eq!(names(&own(&overview, "EDGE3").expect("it is one")), ["edge3.contoso.test"]);
        for host in ["edge", "edge1.fabrikam.test", "laptop", ""] {
            let fault = own(&overview, host).expect_err(host);
            assert!(fault.contains("-ComputerName") && fault.contains("edge2.contoso.test"), "{fault}");
        }
        overview.sites[1].pools[0].members[0].fqdn = "edge1.fabrikam.test".to_owned();
        assert!(own(&overview, "edge1").expect_err("two have it").contains("only one"));
    }
}
