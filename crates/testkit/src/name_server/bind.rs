//! BIND's configuration for a zone that fedge updates, and how it is run.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use super::{KEY, Part, ZonePlan};
use crate::packages::Debian;
use crate::place::Place;

/// BIND listens only at addresses that an interface has, and of all in 127.0.0.0/8 that is one.
pub(super) fn prepare(place: &Place, address: SocketAddr) -> anyhow::Result<()> {
    let ip = address.ip();
    if !ip.is_loopback() || ip == Ipv4Addr::LOCALHOST {
        return Ok(());
    }
    anyhow::ensure!(!place.is_here(), "a BIND on this machine itself can only be at 127.0.0.1, and not at {ip}");
    place.ip(&format!("address add {ip}/32 dev lo"))
}

pub(super) fn configuration(address: SocketAddr, part: &Part, zones: &[ZonePlan], folder: &Path) -> String {
    let (folder, ip, port) = (folder.display(), address.ip(), address.port());
    let mut text = format!(
        "include \"{folder}/fedge.key\";\n\
         options {{\n  directory \"{folder}\";\n  pid-file \"{folder}/pid\";\n  session-keyfile \"{folder}/session.key\";\n  \
         lock-file none;\n  listen-on port {port} {{ {ip}; }};\n  listen-on-v6 {{ none; }};\n  recursion no;\n  \
         dnssec-validation no;\n  notify explicit;\n  notify-source {ip};\n  transfer-source {ip};\n  querylog no;\n}};\ncontrols {{ }};\n"
    );
    for zone in zones {
        let name = &zone.name;
        match part {
            Part::Primary(secondaries) => {
                let (mut notified, mut allowed) = (String::new(), String::new());
                for secondary in secondaries {
                    let _ = write!(notified, "{} port {}; ", secondary.ip(), secondary.port());
                    let _ = write!(allowed, "{}; ", secondary.ip());
                }
                let _ = write!(
                    text,
                    "zone \"{name}\" {{\n  type primary;\n  file \"{name}.zone\";\n  also-notify {{ {notified}}};\n  \
                     allow-transfer {{ {allowed}}};\n  update-policy {{\n"
                );
                for (ours, types) in &zone.ours {
                    let _ = writeln!(text, "    grant {KEY} name {ours}. {};", types.join(" "));
                }
                text.push_str("  };\n};\n");
            }
            Part::Secondary(primary) => {
                let _ = write!(
                    text,
                    "zone \"{name}\" {{\n  type secondary;\n  file \"{name}.copy\";\n  primaries {{ {} port {}; }};\n}};\n",
                    primary.ip(),
                    primary.port()
                );
            }
        }
    }
    text
}

pub(super) fn command(debian: &Debian, place: &Place, configuration: &Path) -> Command {
    let mut command = debian.command_with(place, "usr/sbin/named", &[debian.libraries("bind")]);
    // One thread is enough, and `-g` logs to where we look.
    command.args(["-g", "-4", "-n", "1", "-c"]).arg(configuration);
    command
}
