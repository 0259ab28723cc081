//! What an administrator of contoso.test writes for an installation: its topology, and each machine's configuration.

use std::fmt::Write as _;

use anyhow::ensure;

use super::{CONTROLLERS, DNS, GATEWAYS, Ground, NAMESERVERS, POOLS, Program, WITNESS, fqdn};
use crate::lab::{CONTOSO, LabPlan, Publisher, rooms};

/// The site in which each pool is, and the gateway, dns server or controller with that number.
pub const SITES: [&str; 2] = ["Site1", "Site2"];

/// What `fedge topology init` is told of this ground.
pub(super) fn first(ground: &Ground) -> Vec<String> {
    let (edge, gateway) = (ground.machine("edge1"), ground.machine(GATEWAYS[0]));
    let told = [
        ("--installation", "Contoso".to_owned()),
        ("--site", SITES[0].to_owned()),
        ("--pool", fqdn(POOLS[0].0)),
        ("--edge", fqdn("edge1")),
        ("--external", edge.external.to_string()),
        ("--internal", edge.internal.to_string()),
        ("--gateway", fqdn(GATEWAYS[0])),
        ("--gateway-internal", gateway.internal.to_string()),
        ("--local", CONTOSO.to_owned()),
        ("--next-hop", ground.layout.inside.address.to_string()),
    ];
    told.into_iter().flat_map(|(key, value)| [key.to_owned(), value]).collect()
}

/// The first document with all the rest.
pub(super) fn whole(first: &str, ground: &Ground, plan: &LabPlan) -> anyhow::Result<String> {
    let [one, two] = POOLS.map(|(pool, _)| fqdn(pool));
    let order = format!("pools = [\"{one}\"]");
    ensure!(first.contains(&order), "the first document doesn't say `{order}`");
    let mut text = first.replace(&order, &format!("pools = [\"{one}\", \"{two}\"]"));
    write!(text, "\n[[site]]\nname = \"{}\"\n\n[[pool]]\nfqdn = \"{two}\"\nsite = \"{}\"\n", SITES[1], SITES[1])?;
    for (pool, edges) in POOLS {
        for edge in edges.iter().filter(|edge| **edge != "edge1") {
            let machine = ground.machine(edge);
            write!(
                text,
                "\n[[edge]]\nfqdn = \"{}\"\npool = \"{}\"\nexternal = [\"{}\"]\ninternal = [\"{}\"]\n",
                fqdn(edge),
                fqdn(pool),
                machine.external,
                machine.internal
            )?;
        }
    }
    let others =
        [("gateway", GATEWAYS[1]), ("dns", DNS), ("controller", CONTROLLERS[0]), ("controller", CONTROLLERS[1])];
    for (section, name) in others {
        let site = if name.ends_with('2') { SITES[1] } else { SITES[0] };
        let internal = ground.machine(name).internal;
        write!(text, "\n[[{section}]]\nfqdn = \"{}\"\nsite = \"{site}\"\ninternal = [\"{internal}\"]\n", fqdn(name))?;
    }
    if plan.publisher == Publisher::Embedded {
        for (name, site) in NAMESERVERS.iter().zip(SITES) {
            let (fqdn, at) = (fqdn(name), ground.machine(name));
            let (internal, external) = (at.internal, at.external);
            write!(
                text,
                "\n[[dns]]\nfqdn = \"{fqdn}\"\nsite = \"{site}\"\ninternal = [\"{internal}\"]\nexternal = [\"{external}\"]\n\
                 view = false\n"
            )?;
        }
        write!(text, "\n[[zone]]\nname = \"{CONTOSO}\"\npublisher = \"embedded\"\n")?;
    }
    let (rooms_here, next_hop) = (rooms(CONTOSO), ground.layout.inside.address);
    write!(text, "\n[[local]]\ndomains = [\"{rooms_here}\"]\nnext_hop = \"{next_hop}\"\n")?;
    // The first one is there already, without its rooms.
    for (index, (domain, _)) in plan.partners.iter().enumerate() {
        let own = if index == 0 { String::new() } else { format!("\"{domain}\", ") };
        write!(text, "\n[[partner]]\ndomains = [{own}\"{}\"]\n", rooms(domain))?;
    }
    Ok(text + &plan.more)
}

/// A witness in a third site, at the end of a document.
pub(super) fn witness(ground: &Ground) -> String {
    let internal = ground.machine(WITNESS).internal;
    format!(
        "\n[[site]]\nname = \"Site3\"\n\n[[witness]]\nfqdn = \"{}\"\nsite = \"Site3\"\ninternal = [\"{internal}\"]\n",
        fqdn(WITNESS)
    )
}

/// So many local domains and partners more, each with an entry of its own, at the end of a document.
pub fn many(locals: usize, partners: usize) -> String {
    let mut text = String::new();
    for number in 0..locals {
        text += &format!("\n[[local]]\ndomains = [\"local{number}.{CONTOSO}\"]\nnext_hop = \"10.0.0.20\"\n");
    }
    for number in 0..partners {
        text += &format!("\n[[partner]]\ndomains = [\"partner{number}.test\"]\n");
    }
    text
}

/// The configuration of a member or controller, in a folder of its own beside what all share.
pub(super) fn configuration(name: &str, ground: &Ground, store: &str, user: &str) -> String {
    let internal = ground.machine(name).internal;
    let head = "[log]\nlevel = \"debug\"\n";
    let control = format!("[control]\nlisten = [\"{internal}:5271\"]\nstate = \"state\"\n");
    let public_dns = ground.layout.public_dns();
    match super::program(name) {
        Program::Control => format!(
            "name = \"{}\"\nstore = \"{store}\"\nauthorities = \"../control-ca\"\n{head}\
             [api]\nlisten = [\"{internal}:5272\"]\n{user}\n",
            fqdn(name)
        ),
        Program::Edge => format!(
            "socket = \"socket\"\n{head}{control}[external]\nlisten = [\"{}:5269\"]\ncertificates = \"../certificates\"\n\
             trusted = \"../trusted.crt\"\nresolvers = [\"{public_dns}\"]\n\
             # Nobody in this laboratory is at a public address.\nprivate_targets = true\n",
            ground.machine(name).external
        ),
        Program::Witness => format!(
            "socket = \"socket\"\n{head}{control}[witness]\ntrusted = \"../trusted.crt\"\nresolvers = [\"{public_dns}\"]\n\
             # Nobody in this laboratory is at a public address.\nprivate_targets = true\n"
        ),
        Program::Gateway => format!(
            "socket = \"socket\"\n{head}{control}[gateway]\nlisten = [\"{internal}:5269\"]\n\
             trusted = \"../trusted.crt\"\nca = \"../ca\"\n"
        ),
        Program::Dns if NAMESERVERS.contains(&name) => {
            format!("{head}{control}[zones]\nlisten = [\"{}:53\"]\n", ground.machine(name).external)
        }
        Program::Dns => {
            let view = ground.layout.internal_dns;
            format!("{head}{control}[view]\nlisten = [\"{view}\"]\nforward = [\"{public_dns}\"]\nttl = 1\n")
        }
    }
}
