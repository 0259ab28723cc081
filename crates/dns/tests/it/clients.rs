//! What others' programs make of zones: Debian's dig, and an unbound that asks as partners' resolvers do.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use testkit::packages::Debian;
use testkit::place::Place;

use crate::rig::{ask, eventually};
use crate::zones::{DOCUMENT, Served, snapshot};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

const PACKAGES: [&str; 2] = ["bind9-dnsutils", "unbound"];

pub(crate) fn debian() -> Debian {
    Debian::unpack(&Debian::usual_folder(), &PACKAGES, &mut |what| eprintln!("{what}")).expect("Debian's packages")
}

/// What dig says in short: the records alone, or its whole comment where words ask for that.
fn dig(debian: &Debian, server: SocketAddr, words: &[&str]) -> Vec<String> {
    let mut command = debian.command_with(&Place::here(), "usr/bin/dig", &[debian.libraries("bind")]);
    command.arg(format!("@{}", server.ip())).args(["-p", &server.port().to_string(), "+norecurse", "+tries=3"]);
    let said = command.args(words).output().expect("dig runs");
    assert!(said.status.success(), "{said:?}");
    let text = String::from_utf8(said.stdout).expect("text");
    assert!(!text.contains(";; Got bad packet"), "{words:?}: {text}");
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// An unbound at work, which is strict about how names are cut and about the letters that come back.
pub(crate) struct Unbound {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Unbound {
    fn start(debian: &Debian, zones: &[&str], server: SocketAddr, folder: &Path) -> Unbound {
        let zones: Vec<(&str, Option<String>)> = zones.iter().map(|zone| (*zone, None)).collect();
        Unbound::validating(debian, &zones, server, folder)
    }

    /// The same, which validates what lies in zones with a DS record, and keeps nothing of them.
    pub(crate) fn validating(
        debian: &Debian,
        zones: &[(&str, Option<String>)],
        server: SocketAddr,
        folder: &Path,
    ) -> Unbound {
        let validates = zones.iter().any(|(_, ds)| ds.is_some());
        let address =
            UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port that is free");
        let mut text = format!(
            "server:\n  interface: {ip}@{port}\n  do-ip6: no\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"\"\n  directory: \"{}\"\n  \
             use-syslog: no\n  logfile: \"\"\n  do-daemonize: no\n  do-not-query-localhost: no\n  module-config: \"{}\"\n  \
             qname-minimisation: yes\n  qname-minimisation-strict: yes\n  use-caps-for-id: yes\n  \
             local-zone: \"test.\" nodefault\nremote-control:\n  control-enable: no\n",
            folder.display(),
            if validates { "validator iterator" } else { "iterator" },
            ip = address.ip(),
            port = address.port()
        );
        if validates {
            text = text.replacen(
                "server:\n",
                "server:\n  cache-max-ttl: 0\n  cache-max-negative-ttl: 0\n  val-log-level: 2\n",
                1,
            );
        }
        for ds in zones.iter().filter_map(|(_, ds)| ds.as_ref()) {
            text = text.replacen("server:\n", &format!("server:\n  trust-anchor: \"{ds}\"\n"), 1);
        }
        for (zone, _) in zones {
            let (ip, port) = (server.ip(), server.port());
            write!(text, "stub-zone:\n  name: \"{zone}\"\n  stub-addr: {ip}@{port}\n  stub-prime: no\n").expect("room");
        }
        let file = folder.join("unbound.conf");
        fs::write(&file, text).expect("written");
        let mut command: Command = debian.command(&Place::here(), "usr/sbin/unbound");
        let process = command.arg("-d").arg("-c").arg(file).stdin(Stdio::null()).spawn().expect("unbound runs");
        let unbound = Unbound { process, address };
        eventually("unbound", || {
            let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
            socket.connect(address).ok()?;
            socket.set_read_timeout(Some(std::time::Duration::from_millis(200))).ok()?;
            let query = crate::rig::query("localhost.", RecordType::A).to_vec().ok()?;
            socket.send(&query).ok()?;
            socket.recv(&mut [0; 512]).ok()
        });
        unbound
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn dig_reads_everything() {
    let (debian, served) = (debian(), Served::new(&snapshot(DOCUMENT, 1, 1)));
    let short = |words: &[&str]| dig(&debian, served.daemon.address, &[words, &["+short"]].concat());
    let services = ["10 0 5269 pool1.contoso.test.", "20 0 5269 pool2.contoso.test."];
    for transport in ["+notcp", "+tcp"] {
        assert_eq!(short(&["_xmpp-server._tcp.contoso.test", "SRV", transport]), services);
    }
    assert_eq!(short(&["pool1.contoso.test", "A"]), ["203.0.113.1"]);
    assert_eq!(short(&["contoso.test", "NS"]), ["dns1.contoso.test."]);
    assert_eq!(short(&["_epoch.contoso.test", "TXT"]), ["\"fedge owner=a1b2 epoch=1 topology=1\""]);
    assert_eq!(short(&["contoso.test", "SOA"]), ["dns1.contoso.test. hostmaster.contoso.test. 2 3600 600 86400 5"]);
    let whole = |words: &[&str]| dig(&debian, served.daemon.address, words).join("\n");
    let said = whole(&["_xmpp-server._tcp.contoso.test", "SRV", "+dnssec", "+cookie"]);
    assert!(said.contains("flags: qr aa; QUERY: 1, ANSWER: 2, AUTHORITY: 0, ADDITIONAL: 3"), "{said}");
    assert!(said.contains("; EDNS: version: 0, flags: do; udp: 1232"), "{said}");
    assert!(whole(&["nobody.contoso.test", "A"]).contains("status: NXDOMAIN"));
    assert!(whole(&["fabrikam.test", "A"]).contains("status: REFUSED"));
    assert!(whole(&["contoso.test", "AXFR"]).contains("; Transfer failed."));
    assert!(whole(&["contoso.test", "A", "+edns=1", "+noednsneg"]).contains("status: BADVERS"));
    assert!(whole(&["contoso.test", "A", "+header-only", "+noedns"]).contains("status: FORMERR"));
    assert!(whole(&["contoso.test", "A", "+opcode=notify"]).contains("status: NOTIMP"));
}

#[test]
fn a_resolver_finds_pools_by_a_whole_zone_and_by_zones_at_single_names() {
    let debian = debian();
    let name = "_xmpp-server._tcp.contoso.test";
    let small = format!("name = \"{name}\"\npublisher = \"embedded\"\n[[zone]]\nname = \"pool1.contoso.test\"");
    for (document, zones) in [
        (DOCUMENT.to_owned(), vec!["contoso.test"]),
        (
            DOCUMENT.replace("name = \"contoso.test\"\npublisher", &format!("{small}\npublisher")),
            vec![name, "pool1.contoso.test"],
        ),
    ] {
        let (folder, served) = (tempfile::tempdir().expect("a folder"), Served::new(&snapshot(&document, 1, 1)));
        let unbound = Unbound::start(&debian, &zones, served.daemon.address, folder.path());
        let said = ask(unbound.address, &format!("{name}."), RecordType::SRV);
        let values: Vec<String> = said.answers.iter().map(|record| record.data.to_string()).collect();
        assert_eq!(values.len(), 2, "{said:?}");
        assert!(values.contains(&"10 0 5269 pool1.contoso.test.".to_owned()), "{values:?}");
        let said = ask(unbound.address, "pool1.contoso.test.", RecordType::A);
        assert_eq!(
            said.answers.first().map(|record| record.data.to_string()),
            Some("203.0.113.1".to_owned()),
            "{said:?}"
        );
        let said = ask(unbound.address, "pool1.contoso.test.", RecordType::AAAA);
        assert_eq!((said.response_code, said.answers.len()), (ResponseCode::NoError, 0));
        let said = ask(unbound.address, &format!("nobody.{}.", zones[0]), RecordType::A);
        assert_eq!((said.response_code, said.answers.len()), (ResponseCode::NXDomain, 0), "{said:?}");
    }
}
