//! DNS outside over the API, with a real BIND that takes updates: planned, adopted, changed, and written to the audit trail.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use api::client::{Client, ClientError};
use api::control::AuditEntry;
use api::dns::{Applied, Apply, Check, Checked, Plan, Planned, Wish};
use control::access::Role;
use control::zones::servers::keys;
use store::Memory;
use testkit::name_server::{Maker, NameServer, Part, ZonePlan};
use testkit::place::Place;
use zones::ask::{Manner, ask};

use crate::names::known;
use crate::rig::{Controller, PATIENCE, POOLS, Site, problem};

const SERVICE: &str = "_xmpp-server._tcp.contoso.test.";
const OLD: &str = "_xmpp-server._tcp.contoso.test. 30 IN SRV 0 0 5269 old.contoso.test.";

/// A BIND whose zone somebody has had before us.
fn bind(folder: &std::path::Path) -> NameServer {
    // Somebody else could have it before BIND does; nobody here asks for one in that moment.
    let port = UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("it has one").port();
    let mut plan = ZonePlan::new("contoso.test", &["contoso.test"], &POOLS);
    plan.records.extend([OLD.to_owned(), "www.contoso.test. 300 IN A 192.0.2.80".to_owned()]);
    let (at, part) = (([127, 0, 0, 1], port).into(), Part::Primary(Vec::new()));
    let server = NameServer::start(Maker::Bind, &Place::here(), at, &part, &[plan], folder);
    server.unwrap_or_else(|error| panic!("{error:#}"))
}

fn zone(server: SocketAddr, ttl: u32) -> String {
    format!(
        "\n[names]\nttl = {ttl}\n[[zone]]\nname = \"contoso.test\"\npublisher = \"rfc2136\"\nservers = [\"{server}\"]\n\
         key = \"fedge-key\"\n"
    )
}

async fn lines(server: SocketAddr, name: &str, kind: &str) -> Vec<String> {
    let answer = ask(server, name, kind, Manner::Authority, PATIENCE).await.expect("it answers");
    answer.sets.into_iter().flat_map(|set| set.lines()).collect()
}

async fn planned(client: &Client) -> (Plan, Planned) {
    let plan: Plan = client.post("/v1/dns/plan", &Wish::default()).await.expect("a plan");
    let [planned] = &plan.zones[..] else { panic!("one zone: {plan:?}") };
    let planned = planned.clone();
    (plan, planned)
}

async fn applied(client: &Client, apply: &Apply) -> Applied {
    let all: Vec<Applied> = client.post("/v1/dns/apply", apply).await.expect("an answer");
    let [one] = &all[..] else { panic!("one zone: {all:?}") };
    one.clone()
}

/// What the audit trail has about names: what was done, by whom, why, and what is after.
async fn trail(site: &Site, controller: &Controller) -> Vec<[String; 4]> {
    let client = site.client(controller, Role::Viewer);
    let entries: Vec<AuditEntry> = client.get("/v1/audit?from=1&count=100").await.expect("the trail");
    let of_names = entries.into_iter().filter(|entry| entry.what.contains("names in"));
    of_names.map(|entry| [entry.what, entry.who, entry.why, entry.after]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_of_somebody_else_is_taken_over_only_by_who_may_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = bind(folder.path());
    let at = server.address;
    let (site, store) = (Site::new().await, Arc::new(Memory::new()));
    let controller = site.controller("ctl1.contoso.test", store).await;
    site.publish(&controller, &(site.topology("10.0.0.20") + &zone(at, 30))).await.expect("it is good");
    known(&controller, 1).await;
    let (viewer, administrator) = (site.client(&controller, Role::Viewer), site.administrator(&controller));

    let (_, first) = planned(&viewer).await;
    assert!(first.hindered.as_ref().is_some_and(|why| why.contains("no key fedge-key.")), "{first:#?}");
    controller.keyed.replace(keys(&[server.key_file()]).expect("a key"));
    let (plan, first) = planned(&viewer).await;
    assert_eq!((first.hindered.as_ref(), first.message.as_ref()), (None, None), "{first:#?}");
    assert_eq!(first.foreign, [OLD]);
    assert!(!first.is_done() && first.zone.changes.iter().any(|change| change.before == [OLD]), "{first:#?}");

    // Who may look may not change, and who may only look at plans has nobody asked.
    let adopt = Apply {
        adopt: true,
        plan: Some(plan.hash.clone()),
        why: "fedge has these names from now on".to_owned(),
        ..Apply::default()
    };
    for role in [Role::Viewer, Role::Operator] {
        let refused: Result<Vec<Applied>, ClientError> =
            site.client(&controller, role).post("/v1/dns/apply", &adopt).await;
        assert_eq!(problem(refused).code, "role");
    }
    let refused: Result<Checked, ClientError> = viewer.post("/v1/dns/check", &Check::default()).await;
    assert_eq!(problem(refused).code, "role");
    let refused = applied(&administrator, &Apply { adopt: false, ..adopt.clone() }).await;
    assert!(refused.refused && !refused.done && refused.what.contains("--adopt"), "{refused:?}");
    assert_eq!(lines(at, SERVICE, "SRV").await, [OLD]);
    assert_eq!(trail(&site, &controller).await, Vec::<[String; 4]>::new());

    let done = applied(&administrator, &adopt).await;
    assert!(done.done && !done.refused, "{done:?}");
    let services = [
        "_xmpp-server._tcp.contoso.test. 30 IN SRV 10 0 5269 pool1.contoso.test.",
        "_xmpp-server._tcp.contoso.test. 30 IN SRV 20 0 5269 pool2.contoso.test.",
    ];
    let mut there = lines(at, SERVICE, "SRV").await;
    there.sort();
    assert_eq!(there, services);
    assert_eq!(lines(at, "www.contoso.test.", "A").await, ["www.contoso.test. 300 IN A 192.0.2.80"]);
    let (_, second) = planned(&viewer).await;
    assert!(second.is_done() && second.zone.changes.is_empty() && second.foreign.is_empty(), "{second:#?}");
    assert!(applied(&administrator, &Apply::default()).await.what.contains("already"));
    let written = trail(&site, &controller).await;
    let [owned, changed] = &written[..] else { panic!("{written:#?}") };
    for (entry, what) in [(owned, "own names in contoso.test."), (changed, "change names in contoso.test.")] {
        assert_eq!(entry[..3], [what, "the administrator", "fedge has these names from now on"]);
        assert!(entry[3].contains("_xmpp-server._tcp.contoso.test."), "{entry:?}");
    }

    // What is ours is changed without adopting, and stands in the trail, too.
    site.publish(&controller, &(site.topology("10.0.0.20") + &zone(at, 20))).await.expect("it is good");
    known(&controller, 2).await;
    let done = applied(&administrator, &Apply { why: "sooner".to_owned(), ..Apply::default() }).await;
    assert!(done.done, "{done:?}");
    assert!(lines(at, SERVICE, "SRV").await.iter().all(|line| line.contains(" 20 IN SRV ")));
    let written = trail(&site, &controller).await;
    assert!(
        written.len() == 3 && written[2][0].starts_with("change names") && written[2][2] == "sooner",
        "{written:#?}"
    );
}
