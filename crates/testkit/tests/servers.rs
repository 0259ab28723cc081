//! Real servers from Debian's packages: they start, accept clients and servers, and stop clean, side by side.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
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

    fn accepts_clients_and_servers(&self, server: &Server) {
        let domain = &server.plan.domain;
        let heard = self.hear(server.plan.c2s(), "jabber:client", domain, "</stream:features>");
        assert!(heard.contains("PLAIN"), "clients may log in without TLS: {heard}");
        let heard = self.hear(server.plan.s2s(), "jabber:server", domain, "</stream:features>");
        assert!(heard.contains("<required"), "servers may not do without TLS: {heard}");
    }
}

#[test]
fn prosody_starts_and_stops() {
    let lab = Lab::new(prosody::PACKAGES);
    for (domain, authentication) in [("one.test", Authentication::External), ("two.test", Authentication::Dialback)] {
        let plan = ServerPlan { authentication, ..lab.plan(domain, "127.0.1.1") };
        let server = prosody::start(&lab.debian, &lab.place, plan, &lab.folder(&format!("{domain}.d")));
        let server = server.expect("it starts");
        lab.accepts_clients_and_servers(&server);
        server.stop().expect("it stops");
    }
}

#[test]
fn ejabberd_starts_and_stops() {
    let lab = Lab::new(ejabberd::PACKAGES);
    for (domain, authentication) in [("one.test", Authentication::External), ("two.test", Authentication::Dialback)] {
        let plan = ServerPlan { authentication, ..lab.plan(domain, "127.0.1.1") };
        let server = ejabberd::start(&lab.debian, &lab.place, plan, &lab.folder(&format!("{domain}.d")));
        let server = server.expect("it starts");
        lab.accepts_clients_and_servers(&server);
        server.stop().expect("it stops");
    }
}

#[test]
fn jabberd2_starts_and_stops() {
    let lab = Lab::new(jabberd2::PACKAGES);
    let plan = ServerPlan {
        authentication: Authentication::Dialback,
        rooms: None,
        direct_tls: None,
        ..lab.plan("one.test", "127.0.1.1")
    };
    let server = jabberd2::start(&lab.debian, &lab.place, plan, &lab.folder("one.test.d")).expect("it starts");
    lab.accepts_clients_and_servers(&server);
    server.stop().expect("it stops");
}
