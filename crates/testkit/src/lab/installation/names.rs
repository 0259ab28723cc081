//! The company's own name server, which takes the installation's updates: how it is set up, and what the installation is told.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;

use anyhow::Context as _;

use super::{Ground, POOLS, fqdn};
use crate::lab::{CONTOSO, rooms};
use crate::name_server::{KEY, Maker, NameServer, Part, ZonePlan};

/// Starts a BIND where the laboratory's DNS is, with a zone in which nothing of ours is yet.
///
/// # Errors
/// When it doesn't start; with its log.
pub(super) fn begin(ground: &Ground, folder: &Path) -> anyhow::Result<NameServer> {
    let place = &ground.layout.public_dns.place;
    let host = ground.layout.public_dns().ip();
    // BIND listens only at addresses that an interface has.
    let ip = if host.is_loopback() { IpAddr::from([127, 0, 0, 1]) } else { host };
    let free = place.enter(move || TcpListener::bind((ip, 0)).and_then(|listener| listener.local_addr()));
    let address: SocketAddr = free.with_context(|| format!("no free port at {ip}"))?;
    let targets = POOLS.map(|(pool, _)| fqdn(pool));
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let zone = ZonePlan::new(CONTOSO, &[CONTOSO, &rooms(CONTOSO)], &targets);
    let folder = folder.join("bind");
    fs::create_dir(&folder)?;
    NameServer::start(Maker::Bind, place, address, &Part::Primary(Vec::new()), &[zone], &folder)
}

/// What the topology says of it.
pub(super) fn zone(server: &NameServer) -> String {
    format!(
        "\n[[zone]]\nname = \"{CONTOSO}\"\npublisher = \"rfc2136\"\nservers = [\"{}\"]\nkey = \"{KEY}\"\n",
        server.address
    )
}

/// What a controller's configuration says of it.
pub(super) fn key(server: &NameServer) -> String {
    format!("\n[dns]\nkey_files = [\"{}\"]\n", server.key_file().display())
}
