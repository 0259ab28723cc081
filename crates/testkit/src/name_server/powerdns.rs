//! PowerDNS' configuration for zones that fedge updates, its tables, and how it is run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use super::{KEY, SECRET, ZonePlan};
use crate::document;
use crate::packages::Debian;
use crate::place::Place;

/// Where administrators are told by which commands a zone is opened.
const DOCUMENT: &str = "docs/dns-servers.md";

pub(super) fn configuration(debian: &Debian, address: SocketAddr, folder: &Path) -> String {
    let (modules, folder) = (debian.libraries("pdns"), folder.display());
    format!(
        "launch=gsqlite3\ngsqlite3-database={folder}/zones.sqlite\nmodule-dir={}\nsocket-dir={folder}\n\
         local-address={}\nlocal-port={}\nsetuid=\nsetgid=\ndaemon=no\nguardian=no\n\
         dnsupdate=yes\nallow-dnsupdate-from=127.0.0.0/8\nlua-dnsupdate-policy-script={folder}/fedge.lua\n",
        modules.display(),
        address.ip(),
        address.port()
    )
}

/// Makes the tables, loads the zones, and opens them to the key by the commands of the document.
pub(super) fn prepare(debian: &Debian, place: &Place, zones: &[ZonePlan], folder: &Path) -> anyhow::Result<()> {
    fs::write(folder.join("fedge.lua"), policy(zones))?;
    fs::copy(folder.join("configuration"), folder.join("pdns.conf"))?;
    let schema = debian.path("usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql");
    let mut tables = debian.command(place, "usr/bin/sqlite3");
    run(tables.arg(folder.join("zones.sqlite")).arg(format!(".read {}", schema.display())))?;
    let told = document::lines(DOCUMENT, "sh", "pdnsutil ")?;
    for (number, zone) in zones.iter().enumerate() {
        let file = folder.join(format!("{}.zone", zone.name));
        let load = format!("pdnsutil load-zone {} {}", zone.name, file.display());
        // The key is there after the first.
        let others = told.iter().filter(|line| number == 0 || !line.contains("tsig-key")).cloned();
        for line in [load].into_iter().chain(others) {
            let line = line.replace("contoso.test", &zone.name).replace("SECRET", SECRET);
            let mut command = debian.command(place, "usr/bin/pdnsutil");
            command.arg(format!("--config-dir={}", folder.display())).args(line.split(' ').skip(1));
            run(&mut command)?;
        }
    }
    Ok(())
}

/// Which names the key may change, and which types there.
fn policy(zones: &[ZonePlan]) -> String {
    let names: BTreeMap<&String, &Vec<&str>> = zones.iter().flat_map(|zone| &zone.ours).map(|(a, b)| (a, b)).collect();
    let mut text = String::from("local ours = {\n");
    for (name, types) in names {
        let types: Vec<String> = types.iter().map(|kind| format!("[pdns.{kind}] = true")).collect();
        let _ = writeln!(text, "  [\"{name}.\"] = {{ {} }},", types.join(", "));
    }
    let _ = write!(
        text,
        "}}\nfunction updatepolicy(update)\n  local types = ours[update:getQName():toString():lower()]\n  \
         if update:getTsigName():toString() ~= \"{KEY}.\" or types == nil or not types[update:getQType()] then\n    \
         error(\"not fedge's: \" .. update:getQName():toString())\n  end\n  return true\nend\n"
    );
    text
}

pub(super) fn command(debian: &Debian, place: &Place, folder: &Path) -> Command {
    let mut command = debian.command(place, "usr/sbin/pdns_server");
    command.arg(format!("--config-dir={}", folder.display()));
    command
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("can't start {}", command.get_program().display()))?;
    let told = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{command:?}: {told}");
    Ok(())
}
