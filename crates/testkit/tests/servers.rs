//! Real servers from Debian's packages: they start, accept clients and servers, and stop clean, side by side.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use testkit::packages::Debian;
use testkit::pki::{LabCa, Request};
use testkit::place::Place;
use testkit::server::{Authentication, Server, ServerPlan};
use testkit::{ejabberd, jabberd2, prosody};

/// What a laboratory without names needs.
struct Lab {
    debian: Debian,
    place: Place,
    folder: tempfile::TempDir,
    ca: LabCa,
}

impl Lab {
    fn new(packages: &[&str]) -> Lab {
        let debian = Debian::unpack(&Debian::usual_folder(), packages, &mut |what| println!("{what}"));
        Lab {
            debian: debian.expect("Debian's packages"),
            place: Place::isolated().expect("this runs as root"),
            folder: tempfile::tempdir().expect("a folder"),
            ca: LabCa::new().expect("a key"),
        }
    }

    fn plan(&self, domain: &str, address: &str) -> ServerPlan {
        let request = Request::new(&[domain, &format!("conference.{domain}")]);
        let certificate = self.ca.issue(&request).expect("ASCII").write(self.folder.path(), domain).expect("written");
        let trusted = self.ca.write(self.folder.path()).expect("written");
        let dns = "127.0.9.1:53".parse().expect("an address");
        let mut plan = ServerPlan::new(domain, address.parse().expect("an address"), dns, &certificate, &trusted);
        plan.direct_tls = Some(5270);
        plan
    }

    fn folder(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Opens a stream and gives what the server says until `end`.
    fn hear(&self, at: SocketAddr, namespace: &str, domain: &str, end: &str) -> String {
        let header = format!(
            "<?xml version='1.0'?><stream:stream xmlns='{namespace}' xmlns:stream='http://etherx.jabber.org/streams' \
             to='{domain}' version='1.0'>"
        );
        let end = end.to_owned();
        self.place.enter(move || {
            let mut connection = TcpStream::connect(at).expect("it listens");
            connection.set_read_timeout(Some(Duration::from_secs(30))).expect("not zero");
            connection.write_all(header.as_bytes()).expect("it reads");
            let (mut heard, mut buffer) = (String::new(), [0; 4096]);
            while !heard.contains(&end) {
                let length = connection.read(&mut buffer).expect("it answers");
                assert_ne!(length, 0, "closed after {heard}");
                heard += std::str::from_utf8(&buffer[..length]).expect("ASCII");
            }
            heard
        })
    }

    /// It answers on each of its ports, and on nothing else.
    fn works(&self, server: &Server) {
        let domain = &server.plan.domain;
        let heard = self.hear(server.plan.c2s(), "jabber:client", domain, "</stream:features>");
        assert!(heard.contains("PLAIN"), "clients may log in without TLS: {heard}");
        let heard = self.hear(server.plan.s2s(), "jabber:server", domain, "</stream:features>");
        assert!(heard.contains("<required"), "servers may not do without TLS: {heard}");
        let hex = match server.plan.address {
            IpAddr::V4(address) => format!("{:08X}:", u32::from_ne_bytes(address.octets())),
            IpAddr::V6(_) => String::from("00000000000000000000000001000000:"),
        };
        let sockets = self.place.enter(|| {
            let table = |name| std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).expect("readable");
            table("tcp") + &table("tcp6")
        });
        let listeners: Vec<&str> = sockets.lines().filter(|line| line.contains(" 0A ")).collect();
        assert!(listeners.len() >= 2, "{sockets}");
        assert!(listeners.iter().all(|line| line.contains(&hex)), "elsewhere than at {hex}\n{}", listeners.join("\n"));
    }
}

#[test]
fn prosody_starts_and_stops() {
    let lab = Lab::new(prosody::PACKAGES);
    let plans = [lab.plan("one.test", "127.0.1.1"), lab.plan("two.test", "::1")];
    for (plan, authentication) in plans.into_iter().zip([Authentication::External, Authentication::Dialback]) {
        let folder = lab.folder(&plan.address.to_string());
        let server = prosody::start(&lab.debian, &lab.place, ServerPlan { authentication, ..plan }, &folder);
        let server = server.expect("it starts");
        lab.works(&server);
        server.stop().expect("it stops");
    }
}

#[test]
fn ejabberd_starts_and_stops() {
    let lab = Lab::new(ejabberd::PACKAGES);
    let plans = [lab.plan("one.test", "127.0.1.1"), lab.plan("two.test", "::1")];
    for (plan, authentication) in plans.into_iter().zip([Authentication::External, Authentication::Dialback]) {
        let folder = lab.folder(&plan.address.to_string());
        let server = ejabberd::start(&lab.debian, &lab.place, ServerPlan { authentication, ..plan }, &folder);
        let server = server.expect("it starts");
        lab.works(&server);
        server.stop().expect("it stops");
    }
}

#[test]
fn jabberd2_starts_and_stops() {
    let lab = Lab::new(jabberd2::PACKAGES);
    for address in ["127.0.1.1", "::1"] {
        let plan = ServerPlan {
            authentication: Authentication::Dialback,
            rooms: None,
            direct_tls: None,
            ..lab.plan("one.test", address)
        };
        let server = jabberd2::start(&lab.debian, &lab.place, plan, &lab.folder(address)).expect("it starts");
        lab.works(&server);
        server.stop().expect("it stops");
    }
}

#[test]
fn jabberd2_says_what_it_lacks() {
    let lab = Lab::new(jabberd2::PACKAGES);
    let all = lab.plan("one.test", "127.0.1.1");
    let dialback = ServerPlan { authentication: Authentication::Dialback, ..all.clone() };
    let without_rooms = ServerPlan { rooms: None, ..dialback.clone() };
    for (plan, lack) in [(all, "EXTERNAL"), (dialback, "rooms"), (without_rooms, "direct TLS")] {
        let error = jabberd2::start(&lab.debian, &lab.place, plan, &lab.folder("refused")).expect_err("it can't");
        assert!(error.to_string().contains(lack), "{error}");
    }
}

#[test]
fn a_server_that_cannot_start_shows_its_log() {
    let lab = Lab::new(ejabberd::PACKAGES);
    let plan = ServerPlan { stanza_bytes: 0, ..lab.plan("one.test", "127.0.1.1") };
    let error = ejabberd::start(&lab.debian, &lab.place, plan.clone(), &lab.folder("e")).expect_err("it can't");
    assert!(error.to_string().contains("max_stanza_size"), "{error}");
    let error = ejabberd::start(&lab.debian, &lab.place, plan, &lab.folder("e")).expect_err("its folder is used");
    assert!(error.to_string().contains("isn't empty"), "{error}");
}
