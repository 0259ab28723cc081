//! What an administrator of contoso.test writes: fedge's two configurations, certificates, the internal CA.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{CONTOSO, LabPlan, Layout, Peer, rooms, with_rooms};
use crate::fedge::Programs;
use crate::pki::{LabCa, Request};
use crate::server::Authentication;

/// Where it was written.
pub(super) struct Settings {
    pub(super) edge: PathBuf,
    pub(super) dns: PathBuf,
    /// What the internal server trusts, where fedge has an internal CA.
    pub(super) internal_root: Option<PathBuf>,
}

pub(super) fn write(
    plan: &LabPlan,
    layout: &Layout,
    folder: &Path,
    public_ca: &LabCa,
    programs: &Programs,
) -> anyhow::Result<Settings> {
    let certificates = folder.join("certificates");
    fs::create_dir_all(&certificates)?;
    public_ca.issue(&Request::new(&with_rooms(CONTOSO)))?.write(&certificates, "contoso")?;
    let internal_ca = match plan.inside.authentication {
        Authentication::External => Some(internal_ca(folder, programs)?),
        Authentication::Dialback => None,
    };
    let settings = Settings {
        edge: folder.join("edge.toml"),
        dns: folder.join("dns.toml"),
        internal_root: internal_ca.as_ref().map(|ca| ca.join("root.crt")),
    };
    fs::write(&settings.edge, edge(plan, layout, internal_ca.is_some())).context("can't write edge.toml")?;
    fs::write(&settings.dns, dns(layout)).context("can't write dns.toml")?;
    Ok(settings)
}

pub(super) fn internal_ca(folder: &Path, programs: &Programs) -> anyhow::Result<PathBuf> {
    let ca = folder.join("ca");
    let name = ca.display().to_string();
    programs.run("fedge", &["ca", "init", &name, "--local", CONTOSO])?;
    // As its administrator is told: the root's key is kept elsewhere.
    fs::rename(ca.join("root.key"), folder.join("offline-root.key"))?;
    Ok(ca)
}

fn edge(plan: &LabPlan, layout: &Layout, internal_ca: bool) -> String {
    let (internal_face, external_face, inside) = (layout.internal_face, layout.external_face, layout.inside.address);
    let ca = if internal_ca { "ca = \"ca\"\n" } else { "" };
    let mut text = format!(
        r#"socket = "socket"

[log]
level = "debug"

[external]
listen = ["{external_face}:5269"]
certificates = "certificates"
trusted = "trusted.crt"
resolvers = ["{}"]
# Nobody in this laboratory is at a public address.
private_targets = true

[gateway]
listen = ["{internal_face}:5269"]
trusted = "trusted.crt"
{ca}
[[local]]
domains = ["{CONTOSO}", "{}"]
next_hop = "{inside}:5269"
{}
"#,
        layout.public_dns(),
        rooms(CONTOSO),
        terms(plan.inside)
    );
    for (domain, peer) in &plan.partners {
        text.push_str(&format!("[[partner]]\ndomains = [\"{domain}\", \"{}\"]\n{}\n", rooms(domain), terms(*peer)));
    }
    text + &plan.more
}

/// Exactly what the peer does, so that nothing else can be what worked.
pub(super) fn terms(peer: Peer) -> &'static str {
    match peer.authentication {
        Authentication::External => "external = \"required\"\ndialback = false\n",
        Authentication::Dialback => "external = \"not-supported\"\ndialback = true\n",
    }
}

fn dns(layout: &Layout) -> String {
    format!(
        r#"[view]
listen = ["{}"]
forward = ["{}"]
ttl = 1

[[gateway]]
name = "gateway.contoso.test"
addresses = ["{}"]

[[local]]
domains = ["{CONTOSO}", "{}"]
next_hop = "{}:5269"
"#,
        layout.internal_dns,
        layout.public_dns(),
        layout.internal_face,
        rooms(CONTOSO),
        layout.inside.address
    )
}
