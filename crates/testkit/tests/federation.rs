//! Real servers federate with one another directly: what fedge will stand in between works without it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use testkit::client::Client;
use testkit::lab_dns::LabDns;
use testkit::packages::Debian;
use testkit::pki::{Issued, LabCa, Request};
use testkit::place::Place;
use testkit::server::{Authentication, Server, ServerPlan};
use testkit::{ejabberd, jabberd2, prosody};

const SOON: Duration = Duration::from_secs(60);

type Start = fn(&Debian, &Place, ServerPlan, &Path) -> anyhow::Result<Server>;

/// A network with names and one server at 127.0.`n`.1 for each that was started.
struct Lab {
    debian: Debian,
    place: Place,
    folder: tempfile::TempDir,
    dns: LabDns,
    ca: LabCa,
}

impl Lab {
    fn new(packages: &[&[&str]]) -> Lab {
        let debian = Debian::unpack(&Debian::usual_folder(), &packages.concat(), &mut |what| println!("{what}"));
        let place = Place::isolated().expect("this runs as root");
        Lab {
            debian: debian.expect("Debian's packages"),
            dns: LabDns::start(&place, "127.0.9.1:53".parse().expect("an address")).expect("free"),
            place,
            folder: tempfile::tempdir().expect("a folder"),
            ca: LabCa::new().expect("a key"),
        }
    }

    /// A plan for `domain`, whose names are known then, with the certificate that `issue` makes.
    fn plan(&self, domain: &str, n: u8, issue: impl Fn(&Request) -> anyhow::Result<Issued>) -> ServerPlan {
        let address = IpAddr::from([127, 0, n, 1]);
        let (host, rooms) = (format!("xmpp.{domain}"), format!("conference.{domain}"));
        self.dns.addresses(&host, &[address]);
        for domain in [domain, &rooms] {
            self.dns.srv(domain, &[(10, 10, 5269, &host)]);
        }
        let certificate = issue(&Request::new(&[domain, &rooms])).expect("ASCII");
        let certificate = certificate.write(self.folder.path(), domain).expect("written");
        let trusted = self.ca.write(self.folder.path()).expect("written");
        ServerPlan::new(domain, address, self.dns.address(), &certificate, &trusted)
    }

    fn trusted(&self, domain: &str, n: u8) -> ServerPlan {
        self.plan(domain, n, |request| self.ca.issue(request))
    }

    fn self_signed(&self, domain: &str, n: u8) -> ServerPlan {
        ServerPlan { authentication: Authentication::Dialback, ..self.plan(domain, n, Request::self_signed) }
    }

    fn start(&self, start: Start, plan: ServerPlan) -> Server {
        let folder = self.folder.path().join(format!("{}.d", plan.domain));
        start(&self.debian, &self.place, plan, &folder).expect("it starts")
    }

    /// Runs `work` with an alice of each server.
    fn with_users<F: Future<Output = ()>>(
        &self,
        servers: [&Server; 2],
        work: impl FnOnce([Client; 2]) -> F + Send + 'static,
    ) {
        let place = self.place.clone();
        let [one, other] = servers.map(|server| (server.plan.c2s(), format!("alice@{}", server.plan.domain)));
        self.place.run(|| async move {
            let login = async |(at, jid): (SocketAddr, String)| Client::login(&place, at, &jid, "secret").await;
            work([login(one).await.expect("logged in"), login(other).await.expect("logged in")]).await;
        });
    }

    /// What alice of one sends to alice of the other arrives whole, both ways.
    fn talk(&self, servers: [&Server; 2], body_bytes: usize) {
        let body = "x".repeat(body_bytes);
        self.with_users(servers, async move |[one, other]| {
            for (from, to) in [(&one, &other), (&other, &one)] {
                from.message(to.jid(), "large", &body);
                let heard = to.message_with_id("large", SOON).await.expect("delivered");
                assert!(!heard.is_error(), "{heard}");
                assert!(heard.body().as_deref() == Some(&body), "{} bytes", heard.body().unwrap_or_default().len());
            }
        });
    }
}

/// What a server logged.
fn log(server: &Server) -> String {
    server.daemons.iter().map(|daemon| std::fs::read_to_string(daemon.log()).expect("its log")).collect()
}

fn assert_logged(server: &Server, words: &str) {
    assert!(log(server).contains(words), "no “{words}” in\n{}", log(server));
}

#[test]
fn prosody_and_ejabberd_by_certificate() {
    let lab = Lab::new(&[prosody::PACKAGES, ejabberd::PACKAGES]);
    let prosody = lab.start(prosody::start, lab.trusted("contoso.test", 1));
    let ejabberd = lab.start(ejabberd::start, lab.trusted("fabrikam.test", 4));
    lab.talk([&prosody, &ejabberd], 200 * 1024);
    assert_logged(&prosody, "Accepting SASL EXTERNAL identity from fabrikam.test");
    assert_logged(&ejabberd, "Accepted inbound s2s EXTERNAL authentication contoso.test -> fabrikam.test");
    for (server, room) in [(&prosody, "hall@conference.fabrikam.test"), (&ejabberd, "hall@conference.contoso.test")] {
        lab.with_users([server, server], async move |[user, _]| user.join_muc(room, "alice").await.expect("joined"));
    }
    prosody.stop().expect("it stops");
    ejabberd.stop().expect("it stops");
}

#[test]
fn prosody_and_ejabberd_by_dialback() {
    let lab = Lab::new(&[prosody::PACKAGES, ejabberd::PACKAGES]);
    let prosody = lab.start(prosody::start, lab.self_signed("contoso.test", 1));
    let ejabberd = lab.start(ejabberd::start, lab.self_signed("fabrikam.test", 4));
    lab.talk([&prosody, &ejabberd], 200 * 1024);
    assert_logged(&ejabberd, "Accepted inbound s2s dialback authentication contoso.test -> fabrikam.test");
    assert_logged(&ejabberd, "Accepted outbound s2s dialback authentication fabrikam.test -> contoso.test");
}

#[test]
fn direct_tls_between_two_of_a_kind() {
    for (packages, start) in [(prosody::PACKAGES, prosody::start as Start), (ejabberd::PACKAGES, ejabberd::start)] {
        let lab = Lab::new(&[packages]);
        let plans = [lab.trusted("contoso.test", 1), lab.trusted("fabrikam.test", 4)];
        let servers = plans.map(|plan| {
            lab.dns.direct_tls_srv(&plan.domain, &[(5, 10, 5270, &format!("xmpp.{}", plan.domain))]);
            lab.dns.srv(&plan.domain, &[(10, 10, 9, &format!("xmpp.{}", plan.domain))]);
            lab.start(start, ServerPlan { direct_tls: Some(5270), ..plan })
        });
        lab.talk([&servers[0], &servers[1]], 1000);
    }
}

#[test]
fn what_nobody_trusts_is_refused_unless_dialback_is_allowed() {
    for (packages, start) in [(prosody::PACKAGES, prosody::start as Start), (ejabberd::PACKAGES, ejabberd::start)] {
        let lab = Lab::new(&[packages]);
        let strict = lab.start(start, lab.trusted("contoso.test", 1));
        let lax = lab.start(start, lab.self_signed("fabrikam.test", 4));
        lab.with_users([&strict, &lax], async |[strict, lax]| {
            for (from, to) in [(&strict, &lax), (&lax, &strict)] {
                from.message(to.jid(), "refused", "hello");
                let heard = from.message_with_id("refused", SOON).await.expect("returned");
                assert!(heard.is_error(), "{heard}");
            }
        });
    }
}

#[test]
fn jabberd2_with_prosody_and_ejabberd() {
    let lab = Lab::new(&[prosody::PACKAGES, ejabberd::PACKAGES, jabberd2::PACKAGES]);
    let plan = ServerPlan { rooms: None, ..lab.self_signed("woodgrove.test", 6) };
    let jabberd2 = lab.start(jabberd2::start, plan);
    let prosody = lab.start(prosody::start, lab.self_signed("contoso.test", 1));
    let ejabberd = lab.start(ejabberd::start, lab.self_signed("fabrikam.test", 4));
    for other in [&prosody, &ejabberd] {
        lab.talk([&jabberd2, other], 200 * 1024);
    }
    jabberd2.stop().expect("it stops");
}

#[test]
fn resolvers_at_other_ports() {
    let mut lab = Lab::new(&[prosody::PACKAGES, jabberd2::PACKAGES]);
    lab.dns = LabDns::start(&lab.place, "127.0.9.1:5353".parse().expect("an address")).expect("free");
    let prosody = lab.start(prosody::start, lab.self_signed("contoso.test", 1));
    let plan = ServerPlan { rooms: None, ..lab.self_signed("woodgrove.test", 6) };
    let jabberd2 = lab.start(jabberd2::start, plan.clone());
    lab.talk([&prosody, &jabberd2], 1000);
    let refused = ejabberd::start(&lab.debian, &lab.place, plan, &lab.folder.path().join("ejabberd"));
    assert!(refused.expect_err("it asks at port 53 only").to_string().contains("127.0.9.1:5353"));
}
