//! Get-CsSite, Get-CsTopology and Get-CsManagementStoreReplicationStatus: what is declared, and who goes by it.

use std::time::SystemTime;

use api::control::{Member, Overview, Site, Version};

use super::bind::Call;
use super::names::{self, Names};
use super::object::{Object, Output, Value};
use super::talk::{Outcome, ShellError};
use super::wild::is_like;
use crate::args::Control;
use crate::remote::{ask, when};
use crate::status::overview;

/// How the identity of what carries the route is written.
const EDGE_SERVER: &str = "EdgeServer:";

pub(super) fn sites(control: &Control, call: &Call) -> Result<Outcome, ShellError> {
    let overview = overview(control)?;
    let mut sites: Vec<&Site> = overview.sites.iter().collect();
    if let Some(name) = call.one("Identity") {
        sites = vec![names::site(&overview, name).map_err(ShellError::Refused)?];
    }
    if let Some(filter) = call.one("Filter") {
        sites.retain(|site| is_like(&site.name, filter));
    }
    Ok(Output::list(sites.into_iter().map(|site| of_site(&overview, site)).collect()).into())
}

fn of_site(overview: &Overview, site: &Site) -> Object {
    let edges = site.pools.iter().flat_map(|pool| &pool.members);
    Object(vec![
        ("Identity", format!("Site:{}", site.name).as_str().into()),
        ("DisplayName", site.name.as_str().into()),
        ("Pools", Value::Many(site.pools.iter().map(|pool| pool.fqdn.clone()).collect())),
        ("EdgeServers", Value::Many(edges.map(|edge| edge.fqdn.clone()).collect())),
        ("Members", Value::Many(site.members.iter().map(|member| member.fqdn.clone()).collect())),
        ("XmppFederationRoute", Value::Text(format!("{EDGE_SERVER}{}", overview.route.pool))),
        ("Epoch", Value::Number(overview.route.epoch)),
    ])
}

pub(super) fn topology(control: &Control, call: &Call) -> Result<Outcome, ShellError> {
    if call.is_on("AsXml") {
        let what =
            "this topology isn't XML but TOML; `fedge topology show` prints it, `fedge topology publish` takes another";
        return Err(ShellError::Refused(what.to_owned()));
    }
    let overview = overview(control)?;
    let Names { sites, pools, edges, .. } = Names::of(&overview);
    let of_role = |role: &str| {
        let members = overview.sites.iter().flat_map(|site| &site.members).filter(|member| member.role == role);
        Value::Many(members.map(|member| member.fqdn.clone()).collect())
    };
    let object = Object(vec![
        ("Identity", overview.installation.as_str().into()),
        ("Version", Value::Number(overview.version)),
        ("Sites", Value::Many(sites)),
        ("Pools", Value::Many(pools)),
        ("EdgeServers", Value::Many(edges)),
        ("Gateways", of_role("gateway")),
        ("DnsServers", of_role("dns")),
        ("Witnesses", of_role("witness")),
        ("Controllers", of_role("controller")),
        ("XmppFederationRoute", Value::Text(format!("{EDGE_SERVER}{}", overview.route.pool))),
        ("Epoch", Value::Number(overview.route.epoch)),
    ]);
    Ok(Output::list(vec![object]).into())
}

pub(super) fn replication(control: &Control, call: &Call) -> Result<Outcome, ShellError> {
    let (overview, versions): (Overview, Vec<Version>) =
        ask(control, |client| async move { Ok((client.get("/v1/status").await?, client.get("/v1/history").await?)) })?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let pools = overview.sites.iter().flat_map(|site| site.pools.iter().flat_map(|pool| &pool.members));
    let everybody = pools.chain(overview.sites.iter().flat_map(|site| &site.members));
    let mut members: Vec<&Member> = everybody.filter(|member| member.role != "controller").collect();
    if let Some(fqdn) = call.one("ReplicaFqdn") {
        members.retain(|member| is_like(&member.fqdn, fqdn.trim_end_matches('.')));
        if members.is_empty() {
            let what =
                format!("there is no edge server, gateway or dns server `{fqdn}`; `fedge status` lists all members");
            return Err(ShellError::Refused(what));
        }
    }
    Ok(Output::list(members.into_iter().map(|member| of_member(&overview, &versions, member, now)).collect()).into())
}

fn of_member(overview: &Overview, versions: &[Version], member: &Member, now: u64) -> Object {
    let created =
        versions.iter().find(|version| Some(version.version) == member.version).map(|version| when(version.at));
    let heard = match member.state.as_str() {
        "reached" => Some(when(now)),
        _ if member.since > 0 && member.version.is_some() => Some(when(member.since)),
        _ => None,
    };
    Object(vec![
        ("UpToDate", Value::Flag(is_up_to_date(overview, member))),
        ("ReplicaFqdn", member.fqdn.as_str().into()),
        ("LastStatusReport", heard.into()),
        ("LastUpdateCreation", created.into()),
        ("ProductVersion", member.program.clone().into()),
        ("TopologyVersion", member.version.map_or(Value::Nothing, Value::Number)),
        ("Epoch", member.epoch.map_or(Value::Nothing, Value::Number)),
    ])
}

/// It goes by the current topology and route, and is there to say so.
fn is_up_to_date(overview: &Overview, member: &Member) -> bool {
    member.state == "reached"
        && (member.version, member.epoch) == (Some(overview.version), Some(overview.route.epoch))
        && member.confirmed != Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::names::tests::{member, overview};

    #[test]
    fn up_to_date_is_who_says_so_of_topology_and_route() {
        let overview = overview();
        let good = member("edge1.contoso.test", "edge");
        assert!(is_up_to_date(&overview, &good));
        let away = Member { state: "unreachable".to_owned(), ..good.clone() };
        assert!(!is_up_to_date(&overview, &away));
        assert!(!is_up_to_date(&overview, &Member { epoch: Some(1), ..good.clone() }));
        assert!(!is_up_to_date(&overview, &Member { version: None, ..good.clone() }));
        assert!(!is_up_to_date(&overview, &Member { confirmed: Some(false), ..good.clone() }));

        let version = Version {
            version: 3,
            at: 1_795_835_000_000,
            who: "anna".to_owned(),
            why: String::new(),
            digest: String::new(),
            current: true,
        };
        let shown = of_member(&overview, std::slice::from_ref(&version), &good, 1_795_835_107_999);
        assert_eq!(shown.get("LastStatusReport"), &"2026-11-28 03:05:07".into());
        assert_eq!(shown.get("LastUpdateCreation"), &"2026-11-28 03:03:20".into());
        let shown = of_member(&overview, &[version], &away, 1_795_835_107_999);
        assert_eq!(shown.get("LastStatusReport"), &"2026-11-28 03:05:00".into());
    }
}
