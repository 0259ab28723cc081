//! Debian's jabberd2, run from unpacked packages: four processes, here joined by a port of their own address.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::ensure;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;

use crate::packages::Debian;
use crate::place::Place;
use crate::process::Daemon;
use crate::server::{Authentication, PATIENCE, Server, ServerPlan, fresh_folder, write};

mod configuration;

/// The packages that it needs.
pub const PACKAGES: &[&str] = &["jabberd2"];

/// The port at which its parts meet.
const ROUTER: u16 = 5347;

/// Starts a jabberd2 in `place` with its files in `folder`, and waits until it accepts connections and users.
///
/// # Errors
/// When the plan asks for what it hasn't got: SASL EXTERNAL between servers, rooms, direct TLS. With its log, when it
/// doesn't start; or when files can't be written.
pub fn start(debian: &Debian, place: &Place, plan: ServerPlan, folder: &Path) -> anyhow::Result<Server> {
    ensure!(plan.authentication == Authentication::Dialback, "jabberd2 has no EXTERNAL between servers: plan Dialback");
    ensure!(plan.rooms.is_none(), "jabberd2 has no rooms: plan None");
    ensure!(plan.direct_tls.is_none(), "jabberd2 has no direct TLS between servers: plan None");
    let folder = fresh_folder(folder)?;
    fs::create_dir(folder.join("data"))?;
    configuration::write_all(debian, &plan, &folder)?;
    let users = folder.join("users");
    write(&users, &users_script(&plan))?;
    fs::set_permissions(&users, fs::Permissions::from_mode(0o755))?;
    let start = |part: &str| {
        let program = format!("usr/sbin/jabberd2-{part}");
        let mut command = debian.command_with(place, &program, &[debian.libraries("jabberd2")]);
        command.arg("-c").arg(folder.join(part).with_added_extension("xml")).current_dir(&folder);
        // What its resolver reads before /etc/resolv.conf.
        command.env("NAMESERVERS", plan.dns.ip().to_string());
        command.env("RES_OPTIONS", format!("port:{}", plan.dns.port()));
        Daemon::start(&format!("jabberd2's {part} of {}", plan.domain), command, &folder.join(format!("{part}.log")))
    };
    let mut router = start("router")?;
    router.wait_for_listener(SocketAddr::new(plan.address, ROUTER), PATIENCE)?;
    let mut sessions = start("sm")?;
    sessions.wait_for_line("ready for sessions", PATIENCE)?;
    let mut servers = start("s2s")?;
    servers.wait_for_listener(plan.s2s(), PATIENCE)?;
    let mut clients = start("c2s")?;
    clients.wait_for_listener(plan.c2s(), PATIENCE)?;
    Ok(Server { plan, daemons: vec![clients, servers, sessions, router] })
}

/// A program that its c2s asks about users, a question a line: that is simpler than filling a database.
fn users_script(plan: &ServerPlan) -> String {
    let domain = &plan.domain;
    let known = plan.users.iter().map(|(name, password)| {
        let password = BASE64.encode(password);
        format!("  \"USER-EXISTS {name} {domain}\" | \"CHECK-PASSWORD {name} {password} {domain}\") echo OK;;\n")
    });
    format!(
        "#!/bin/sh\necho OK USER-EXISTS CHECK-PASSWORD FREE\nwhile read -r question; do\n case $question in\n{}  \
         FREE) exit;;\n  *) echo NO;;\n esac\ndone\n",
        known.collect::<String>()
    )
}
