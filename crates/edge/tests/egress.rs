//! The packets of an internal server go to fedge and to nobody else, and nobody else's packets come to it:
//! while it federates both ways, over a restart of fedge, and while fedge is dead.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use testkit::client::Client;
use testkit::lab::{FABRIKAM, Kind, Lab, LabPlan, Layout, Peer};
use testkit::packages::Debian;
use testkit::place::{self, Host, Network, Watch};
use testkit::server::Authentication::External;

const PATIENCE: Duration = Duration::from_secs(60);
/// fedge's address towards the partner; its other one is its host's.
const EXTERNAL_FACE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 200);

#[test]
fn of_prosody() {
    everything_goes_through_fedge(Kind::Prosody);
}

#[test]
fn of_ejabberd() {
    everything_goes_through_fedge(Kind::Ejabberd);
}

fn everything_goes_through_fedge(kind: Kind) {
    let hosts = Hosts::new();
    let folder = tempfile::tempdir().expect("a folder");
    let lab = hosts.lab(kind, folder.path());
    // Both ways there would be open.
    lab.dns.addresses("xmpp.fabrikam.test", &[hosts.partner.ipv6().into(), hosts.partner.ipv4().into()]);
    let watches = Watches::new(&hosts);
    let mut lab = within(lab, async |lab| {
        let (alice, bob) = users(&lab).await;
        arrives(&alice, &bob, "before").await;
        arrives(&bob, &alice, "before").await;
        lab
    });
    watches.assert_only_fedge();

    // Streams were up when it ended.
    lab.restart_edge().expect("it starts");
    let mut lab = within(lab, async |lab| {
        let (alice, bob) = users(&lab).await;
        arrives(&bob, &alice, "restarted").await;
        arrives(&alice, &bob, "restarted").await;
        lab
    });
    watches.assert_only_fedge();

    lab.kill_edge().expect("it ran");
    let mut lab = within(lab, async |lab| {
        let (alice, bob) = users(&lab).await;
        // To somewhere new as well, for which both servers have to look around.
        for (from, to) in [(&alice, "bob@fabrikam.test"), (&bob, "alice@contoso.test")] {
            from.message(to, "dead", "hello");
            let returned = from.message_with_id("dead", PATIENCE).await.expect("an error");
            assert!(returned.is_error(), "{returned}");
        }
        let answer = alice.ping("conference.fabrikam.test").await.expect("an answer");
        assert!(answer.is_error(), "{answer}");
        lab
    });
    watches.assert_only_fedge();

    lab.restart_edge().expect("it starts");
    let lab = within(lab, async |lab| {
        let (alice, bob) = users(&lab).await;
        // The other way, ejabberd takes its time: it bounces for up to 300 s after a failure.
        arrives(&bob, &alice, "back").await;
        lab
    });
    watches.assert_only_fedge();

    // It would have been seen.
    let partner = (hosts.partner.ipv4(), 5269).into();
    within(lab, async move |lab| {
        lab.layout.inside.place.connect(partner).await.expect("nothing is in its way");
        lab
    });
    assert!(watches.never[0].1.packets().expect("counted") > 0);
}

/// Does `work` on the internal server's host.
fn within<F: Future<Output = Lab>>(lab: Lab, work: impl FnOnce(Lab) -> F + Send + 'static) -> Lab {
    lab.layout.inside.place.clone().run(move || work(lab))
}

async fn users(lab: &Lab) -> (Client, Client) {
    let login = async |jid| lab.login(jid).await.expect("a login");
    (login("alice@contoso.test").await, login("bob@fabrikam.test").await)
}

/// A message does.
async fn arrives(from: &Client, to: &Client, id: &str) {
    from.message(to.jid(), id, "hello");
    let heard = to.message_with_id(id, PATIENCE).await.expect("delivered");
    assert!(!heard.is_error(), "{heard}");
}

/// All on one network, so that nothing but their own good conduct keeps them apart.
struct Hosts {
    inside: Host,
    fedge: Host,
    dns: Host,
    partner: Host,
    debian: Debian,
    _network: Network,
}

impl Hosts {
    fn new() -> Hosts {
        let network = Network::new().expect("this runs as root");
        let host = || network.host().expect("a host");
        let debian = Debian::unpack(&Debian::usual_folder(), place::PACKAGES, &mut |_| {});
        Hosts {
            inside: host(),
            fedge: host(),
            dns: host(),
            partner: host(),
            debian: debian.expect("Debian's nftables"),
            _network: network,
        }
    }

    fn lab(&self, kind: Kind, folder: &Path) -> Lab {
        let partner = (FABRIKAM, &self.partner);
        let layout = Layout::hosts(&self.inside, &self.fedge, EXTERNAL_FACE.into(), &self.dns, partner);
        let peer = |kind| Peer { kind, authentication: External };
        let plan = LabPlan::new(peer(kind), &[(FABRIKAM, peer(Kind::Prosody))]);
        Lab::start_at(layout.expect("addresses"), &plan, folder, &mut |_| {}).expect("a laboratory")
    }
}

/// What is counted.
struct Watches {
    /// What mustn't be: what it is, and the counter.
    never: Vec<(&'static str, Watch)>,
    /// What has to be, for the others to mean something.
    always: Vec<(&'static str, Watch)>,
}

impl Watches {
    fn new(hosts: &Hosts) -> Watches {
        let (inside, fedge) = (hosts.inside.ipv4(), hosts.fedge.ipv4());
        let sent = |host: &Host, what: &str| host.watch_sent(&hosts.debian, what).expect("a watch");
        let received = |host: &Host, what: &str| host.watch_received(&hosts.debian, what).expect("a watch");
        // The kernel looks for its neighbours by itself.
        let v6 = "meta nfproto ipv6 meta l4proto { tcp, udp }";
        Watches {
            never: vec![
                ("inside to others", sent(&hosts.inside, &format!("oifname eth0 ip daddr != {fedge}"))),
                ("inside to anybody by IPv6", sent(&hosts.inside, &format!("oifname eth0 {v6}"))),
                ("others to inside", received(&hosts.inside, &format!("iifname eth0 ip saddr != {fedge}"))),
                ("anybody to inside by IPv6", received(&hosts.inside, &format!("iifname eth0 {v6}"))),
                ("inside to partner", received(&hosts.partner, &format!("ip saddr {inside}"))),
                ("partner to inside", sent(&hosts.partner, &format!("ip daddr {inside}"))),
                ("partner to the internal face", sent(&hosts.partner, &format!("ip daddr {fedge}"))),
            ],
            always: vec![
                ("inside to fedge", sent(&hosts.inside, &format!("ip daddr {fedge} tcp dport 5269"))),
                ("fedge to inside", received(&hosts.inside, &format!("ip saddr {fedge} tcp dport 5269"))),
                ("fedge to partner", received(&hosts.partner, &format!("ip saddr {EXTERNAL_FACE} tcp dport 5269"))),
                ("partner to fedge", sent(&hosts.partner, &format!("ip daddr {EXTERNAL_FACE} tcp dport 5269"))),
            ],
        }
    }

    fn assert_only_fedge(&self) {
        let count = |(what, watch): &(&'static str, Watch)| (*what, watch.packets().expect("counted"));
        let never: Vec<_> = self.never.iter().map(count).collect();
        let always: Vec<_> = self.always.iter().map(count).collect();
        assert!(never.iter().all(|(_, packets)| *packets == 0), "{never:?}");
        assert!(always.iter().all(|(_, packets)| *packets > 0), "{always:?}");
    }
}
