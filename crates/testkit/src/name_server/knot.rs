//! Knot's configuration for a zone that fedge updates, and how it is run.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::{KEY, Part, SECRET, ZonePlan};
use crate::packages::Debian;
use crate::place::Place;

pub(super) fn configuration(address: SocketAddr, part: &Part, zones: &[ZonePlan], folder: &Path) -> String {
    let (folder, listen) = (folder.display(), format!("{}@{}", address.ip(), address.port()));
    let mut text = format!(
        "server:\n    listen: {listen}\n    rundir: {folder}\n    udp-workers: 1\n    tcp-workers: 2\n    background-workers: 1\n\
         log:\n  - target: stderr\n    any: info\n\
         database:\n    storage: {folder}/db\n    journal-db-max-size: 200M\n\
         control:\n    listen: {folder}/control\n\
         key:\n  - id: {KEY}\n    algorithm: hmac-sha256\n    secret: {SECRET}\n"
    );
    let mut remotes = String::new();
    if let Part::Primary(secondaries) = part {
        for (number, secondary) in secondaries.iter().enumerate() {
            let _ = write!(
                remotes,
                "  - id: other{number}\n    address: {}@{}\n    via: {}\n",
                secondary.ip(),
                secondary.port(),
                address.ip()
            );
        }
    }
    if let Part::Secondary(primary) = part {
        let _ = write!(
            remotes,
            "  - id: primary\n    address: {}@{}\n    via: {}\n",
            primary.ip(),
            primary.port(),
            address.ip()
        );
    }
    if !remotes.is_empty() {
        let _ = write!(text, "remote:\n{remotes}");
    }
    text.push_str("acl:\n");
    for zone in zones {
        // Knot's names are relative to the zone.
        let suffix = format!(".{}", zone.name);
        let names: Vec<&str> = zone.ours.iter().map(|(name, _)| name.strip_suffix(&suffix).unwrap_or("@")).collect();
        let _ = write!(
            text,
            "  - id: fedge.{}\n    key: {KEY}\n    action: update\n    update-type: [TXT, SRV, CNAME, A, AAAA, TLSA]\n    \
             update-owner: name\n    update-owner-match: equal\n    update-owner-name: [{}]\n",
            zone.name,
            names.join(", ")
        );
    }
    match part {
        Part::Primary(secondaries) => {
            for (number, secondary) in secondaries.iter().enumerate() {
                let _ =
                    write!(text, "  - id: transfer{number}\n    address: {}\n    action: transfer\n", secondary.ip());
            }
        }
        Part::Secondary(primary) => {
            let _ = write!(text, "  - id: notify\n    address: {}\n    action: notify\n", primary.ip());
        }
    }
    text.push_str("zone:\n");
    for zone in zones {
        let _ = write!(
            text,
            "  - domain: {0}\n    file: {folder}/{0}.zone\n    zonefile-sync: -1\n    zonefile-load: difference-no-serial\n    \
             journal-content: all\n",
            zone.name
        );
        match part {
            Part::Primary(secondaries) => {
                let numbers = 0..secondaries.len();
                let transfers: String = numbers.clone().map(|number| format!(", transfer{number}")).collect();
                let _ = writeln!(text, "    acl: [fedge.{}{transfers}]", zone.name);
                if !secondaries.is_empty() {
                    let notified: Vec<String> = numbers.map(|number| format!("other{number}")).collect();
                    let _ = writeln!(text, "    notify: [{}]", notified.join(", "));
                }
            }
            Part::Secondary(_) => text.push_str("    master: primary\n    acl: [notify]\n"),
        }
    }
    text
}

pub(super) fn command(debian: &Debian, place: &Place, configuration: &Path) -> Command {
    let mut command = debian.command(place, "usr/sbin/knotd");
    command.arg("-c").arg(configuration);
    command
}
