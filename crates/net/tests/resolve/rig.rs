//! A DNS server in a network of its own, and the resolver under test.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use net::resolve::{Guard, ResolveError, Resolver, Target};
use testkit::lab_dns::LabDns;
use testkit::place::Place;
use topology::address::Forbidden;
use xmpp::domain::Domain;

/// No question of ours may take longer, whatever DNS does: a stanza is held for 20 s.
pub(super) const BOUND: Duration = Duration::from_secs(15);

pub(super) struct Rig {
    pub(super) dns: LabDns,
    pub(super) resolver: Resolver,
}

/// Does `work` with a DNS that knows nothing yet.
pub(super) fn with_dns<F: Future<Output = ()>>(work: impl FnOnce(Rig) -> F + Send + 'static) {
    let place = Place::isolated().expect("this runs as root");
    let dns = LabDns::start(&place, "127.0.9.1:53".parse().expect("an address")).expect("free");
    place.run(move || async move {
        let resolver = Resolver::new(&[dns.address()]).expect("a resolver");
        work(Rig { dns, resolver }).await;
    });
}

pub(super) fn domain(name: &str) -> Domain {
    Domain::parse(name).expect("a domain")
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn everywhere(_: IpAddr) -> Result<(), Forbidden> {
    Ok(())
}

impl Rig {
    pub(super) fn address(&self, host: &str, addresses: &[&str]) {
        self.dns.addresses(host, &addresses.iter().map(|address| ip(address)).collect::<Vec<_>>());
    }

    /// The targets of fabrikam.test, wherever they are, and how long it took.
    pub(super) async fn timed(&self) -> (Result<Vec<String>, ResolveError>, Duration) {
        let began = Instant::now();
        let targets = self.resolver.targets(&domain("fabrikam.test"), &everywhere).await;
        (targets.map(shown), began.elapsed())
    }

    pub(super) async fn targets(&self) -> Vec<String> {
        self.timed().await.0.expect("targets")
    }

    pub(super) async fn guarded(&self, guard: Guard<'_>) -> Result<Vec<String>, ResolveError> {
        self.resolver.targets(&domain("fabrikam.test"), guard).await.map(shown)
    }

    pub(super) async fn error(&self) -> ResolveError {
        self.timed().await.0.expect_err("no targets")
    }
}

/// In the way of `xmpp.fabrikam.test 127.0.4.1:5269`, with a `+` for direct TLS.
fn shown(targets: Vec<Target>) -> Vec<String> {
    let show = |target: Target| {
        let direct = if target.direct_tls { "+" } else { "" };
        format!("{} {}{direct}", target.host, target.address)
    };
    targets.into_iter().map(show).collect()
}
