//! Debian's Prosody, run from unpacked packages.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::packages::Debian;
use crate::place::Place;
use crate::process::Daemon;
use crate::server::{Authentication, PATIENCE, Server, ServerPlan, fresh_folder, text, write};

/// The packages that it needs. It can't ask for SRV records without lua-unbound, which Debian only recommends.
pub const PACKAGES: &[&str] = &["prosody", "lua-unbound"];

/// The modules that Debian enables, but for PEP and what builds on it, which answers presence with messages that
/// nobody sent; for administration; and for limits, which `rate_limits` adds.
const MODULES: &str = "disco roster saslauth tls blocklist carbons dialback private smacks csi_simple ping time uptime \
                       version posix";

/// Starts a Prosody in `place` with its files in `folder`, and waits until it accepts connections.
///
/// # Errors
/// With its log, when it doesn't start; or when files can't be written.
pub fn start(debian: &Debian, place: &Place, plan: ServerPlan, folder: &Path) -> anyhow::Result<Server> {
    let folder = fresh_folder(folder)?;
    let data = folder.join("data");
    write_accounts(&plan, &data)?;
    // Empty: its default would add the system's roots to the trusted ones.
    fs::create_dir(folder.join("roots"))?;
    let configuration = folder.join("prosody.cfg.lua");
    write(&configuration, &self::configuration(&plan, &folder)?)?;
    let program = folder.join("prosody");
    write(&program, &launcher(debian)?)?;
    let mut command = debian.lua(place, &program);
    command.arg("--foreground").arg("--config").arg(&configuration).current_dir(&folder);
    let mut daemon = Daemon::start(&format!("Prosody of {}", plan.domain), command, &folder.join("log"))?;
    for port in plan.ports() {
        daemon.wait_for_listener(port, PATIENCE)?;
    }
    Ok(Server { plan, daemons: vec![daemon] })
}

/// Its own start script, which has the folders of an installed Prosody written into it.
fn launcher(debian: &Debian) -> anyhow::Result<String> {
    let script = debian.path("usr/bin/prosody");
    let script = fs::read_to_string(&script).with_context(|| format!("can't read {}", script.display()))?;
    Ok(script.replace("'/usr/lib/prosody", &format!("'{}", text(&debian.path("usr/lib/prosody"))?)))
}

/// Passwords in its internal storage, from which it makes hashes at the first login.
fn write_accounts(plan: &ServerPlan, data: &Path) -> anyhow::Result<()> {
    let accounts = data.join(file_name(&plan.domain)).join("accounts");
    fs::create_dir_all(&accounts)?;
    for (name, password) in &plan.users {
        let account = format!("return {{ [\"password\"] = {} }};\n", quoted(password));
        write(&accounts.join(file_name(name)).with_added_extension("dat"), &account)?;
    }
    Ok(())
}

fn configuration(plan: &ServerPlan, folder: &Path) -> anyhow::Result<String> {
    let modules = MODULES.split_whitespace().chain(plan.rate_limits.then_some("limits"));
    let modules: String = modules.map(|module| format!("{}; ", quoted(module))).collect();
    let path = |path: &Path| anyhow::Ok(quoted(&text(path)?));
    let address = quoted(&plan.address.to_string());
    let direct_tls = plan.direct_tls.map(|port| port.to_string()).unwrap_or_default();
    let rooms = plan.rooms.as_ref().map(|rooms| format!("Component {} \"muc\"\n", quoted(rooms)));
    Ok(format!(
        r#"
run_as_root = true
data_path = {data}
modules_enabled = {{ {modules} }}
interfaces = {{ {address} }}
local_interfaces = {{ {address} }}
s2s_direct_tls_ports = {{ {direct_tls} }}
c2s_direct_tls_ports = {{ {clients_direct_tls} }}
authentication = "internal_hashed"
allow_unencrypted_plain_auth = true
c2s_require_encryption = false
s2s_require_encryption = {tls_required}
s2s_secure_auth = {secure}
c2s_stanza_size_limit = {stanza_bytes}
s2s_stanza_size_limit = {stanza_bytes}
smacks_s2s_resend = {resends}
limits = {{ c2s = {{ rate = "10kb/s" }}; s2sin = {{ rate = "30kb/s" }} }}
ssl = {{ certificate = {certificate}; key = {certificate}; cafile = {trusted}; capath = {roots} }}
certificates = {roots}
-- libunbound answers .test (RFC 6761) itself unless told not to, and would remember what a laboratory changes.
unbound = {{
	resolvconf = false; hoststxt = false;
	forward = {{ {dns} }};
	options = {{
		["local-zone:"] = "test. transparent"; ["do-not-query-localhost:"] = "no";
		["cache-max-ttl:"] = "1"; ["cache-max-negative-ttl:"] = "1";
	}};
}}
log = {{ {{ levels = {{ min = "{level}" }}; to = "console"; timestamps = "%Y-%m-%dT%X" }} }}
VirtualHost {domain}
{rooms}"#,
        clients_direct_tls = if plan.direct_tls.is_some() { "5223" } else { "" },
        // Dialback stays loaded and is refused, as Debian has it.
        secure = plan.authentication == Authentication::External,
        data = path(&folder.join("data"))?,
        tls_required = plan.tls_required,
        stanza_bytes = plan.stanza_bytes,
        resends = plan.resends,
        certificate = path(&plan.certificate)?,
        trusted = path(&plan.trusted)?,
        roots = path(&folder.join("roots"))?,
        dns = quoted(&format!("{}@{}", plan.dns.ip(), plan.dns.port())),
        level = if plan.debug { "debug" } else { "info" },
        domain = quoted(&plan.domain),
        rooms = rooms.unwrap_or_default(),
    ))
}

/// A string in Lua.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// A name as its storage writes it in paths.
fn file_name(name: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    name.bytes().map(encoded).collect()
}
