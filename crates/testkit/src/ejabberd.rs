//! Debian's ejabberd, run from unpacked packages: no `epmd`, no distributed node, no user of its own.

use std::fs;
use std::path::Path;

use anyhow::ensure;

use crate::packages::Debian;
use crate::place::Place;
use crate::process::Daemon;
use crate::server::{Authentication, PATIENCE, Server, ServerPlan, fresh_folder, text, write};

/// The packages that it needs.
pub const PACKAGES: &[&str] = &["ejabberd"];

/// What it prints when its users are there.
const READY: &str = "laboratory users registered";

/// Erlang's threads yield in a loop before they sleep, hundreds of thousands of times during a start. Beside two busy loops
/// on two cores it started only when those had ended, and in seconds once it didn't wait in that way.
const UNHURRIED: &[&str] = &["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"];

/// It asks for SRV records by itself, but for addresses by way of the C library: only
/// `/etc/resolv.conf` leads both to one server.
const INETRC: &str = "{file, resolv, \"/etc/resolv.conf\"}.\n{cache_size, 0}.\n";

/// Starts an ejabberd in `place` with its files in `folder`, and waits until it accepts connections and users.
///
/// # Errors
/// When the plan's DNS server isn't at port 53. With its log, when it doesn't start; or when files can't be written.
pub fn start(debian: &Debian, place: &Place, plan: ServerPlan, folder: &Path) -> anyhow::Result<Server> {
    ensure!(plan.dns.port() == 53, "ejabberd asks at port 53 only, not at {}", plan.dns);
    let folder = fresh_folder(folder)?;
    let file = |name: &str| folder.join(name);
    for part in ["mnesia", "logs"] {
        fs::create_dir(file(part))?;
    }
    write(&file("ejabberd.yml"), &configuration(&plan)?)?;
    write(&file("inetrc"), INETRC)?;
    write(&file("users.erl"), &users(&plan))?;
    let place = place.with_resolvers(&[plan.dns.ip()])?;
    let mut command = debian.erlang(&place)?;
    command.args(UNHURRIED);
    command.args(["-noinput", "-mnesia", "dir"]).arg(quoted(&text(&file("mnesia"))?));
    command.args(["-s", "ejabberd", "-eval", "{ok, _} = file:script(\"users.erl\")"]);
    command.current_dir(&folder).env("HOME", &folder);
    command.env("EJABBERD_CONFIG_PATH", file("ejabberd.yml")).env("EJABBERD_LOG_PATH", file("logs/ejabberd.log"));
    command.env("ERL_INETRC", file("inetrc")).env("ERL_CRASH_DUMP_SECONDS", "0");
    let mut daemon = Daemon::start(&format!("ejabberd of {}", plan.domain), command, &file("log"))?;
    daemon.wait_for_line(READY, PATIENCE)?;
    for port in plan.ports() {
        daemon.wait_for_listener(port, PATIENCE)?;
    }
    Ok(Server { plan, daemons: vec![daemon] })
}

fn configuration(plan: &ServerPlan) -> anyhow::Result<String> {
    let listener = |port: u16, module: &str, more: &str| {
        let (address, bytes) = (plan.address, plan.stanza_bytes);
        format!("  - {{port: {port}, ip: \"{address}\", module: {module}, max_stanza_size: {bytes}{more}}}\n")
    };
    // Debian limits clients, not servers.
    let clients = if plan.rate_limits { ", starttls: true, shaper: c2s_shaper" } else { ", starttls: true" };
    let mut listeners = listener(5222, "ejabberd_c2s", clients);
    listeners += &listener(5269, "ejabberd_s2s_in", "");
    if let Some(port) = plan.direct_tls {
        listeners += &listener(port, "ejabberd_s2s_in", ", tls: true");
    }
    let dialback = match plan.authentication {
        // Without this module EXTERNAL is all there is, and certificates are checked in both directions.
        Authentication::External => "",
        Authentication::Dialback => "  mod_s2s_dialback: {}\n",
    };
    let rooms = plan.rooms.as_ref().map(|rooms| format!("  mod_muc: {{host: {}}}\n", quoted(rooms)));
    Ok(format!(
        r#"
loglevel: {level}
log_rotate_count: 0
hosts: [{domain}]
certfiles: [{certificate}]
ca_file: {trusted}
s2s_cafile: {trusted}
s2s_use_starttls: required
s2s_access: all
auth_password_format: scram
listen:
{listeners}shaper:
  normal: {{rate: 3000, burst_size: 20000}}
shaper_rules:
  max_user_sessions: 100
  c2s_shaper: normal
modules:
  mod_adhoc: {{}}
  mod_blocking: {{}}
  mod_caps: {{}}
  mod_carboncopy: {{}}
  mod_client_state: {{}}
  mod_disco: {{}}
  mod_last: {{}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_privacy: {{}}
  mod_private: {{}}
  mod_roster: {{versioning: true}}
  mod_stream_mgmt: {{resend_on_timeout: if_offline}}
  mod_vcard: {{search: false}}
  mod_version: {{}}
{dialback}{rooms}"#,
        level = if plan.debug { "debug" } else { "info" },
        domain = quoted(&plan.domain),
        certificate = quoted(&text(&plan.certificate)?),
        trusted = quoted(&text(&plan.trusted)?),
        rooms = rooms.unwrap_or_default(),
    ))
}

fn users(plan: &ServerPlan) -> String {
    let domain = quoted(&plan.domain);
    let registered = plan.users.iter().map(|(name, password)| {
        let (name, password) = (quoted(name), quoted(password));
        format!("ok = ejabberd_auth:try_register(<<{name}/utf8>>, <<{domain}/utf8>>, <<{password}/utf8>>),\n")
    });
    format!("%% coding: utf-8\n{}io:put_chars(\"{READY}\\n\").\n", registered.collect::<String>())
}

/// A string in Erlang and in YAML.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
