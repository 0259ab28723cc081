//! DNS outside over the API: planned, told to whoever changes it, checked, with a name server that has authority.

use std::net::SocketAddr;
use std::sync::Arc;

use api::client::ClientError;
use api::control::{AuditEntry, Done, Topology};
use api::dns::{Answers, Applied, Apply, Check, Checked, Contents, ForgetKey, Plan, Severity, Signed, Wish};
use control::access::Role;
use control::zones::lint::CODES;
use store::Memory;
use testkit::document::text;
use testkit::lab_dns::LabDns;
use testkit::place::Place;

use crate::rig::{Controller, PATIENCE, Site, problem};

/// A zone that somebody changes by hand, at the laboratory's name server.
async fn by_hand() -> (Site, Controller, LabDns) {
    let dns = LabDns::start(&Place::here(), "127.0.0.1:0".parse().expect("an address")).expect("it starts");
    let (site, store) = (Site::new().await, Arc::new(Memory::new()));
    let controller = site.controller("ctl1.contoso.test", store).await;
    let zone = format!(
        "\n[names]\nresolvers = [\"{0}\"]\n[[zone]]\nname = \"contoso.test\"\npublisher = \"manual\"\nservers = [\"{0}\"]\n",
        dns.address()
    );
    site.publish(&controller, &(site.topology("10.0.0.20") + &zone)).await.expect("it is good");
    known(&controller, 1).await;
    (site, controller, dns)
}

/// Waits until the controller has seen what was published: this version.
pub(crate) async fn known(controller: &Controller, version: u64) {
    let began = std::time::Instant::now();
    while controller.members.picture().current.is_none_or(|current| current.version < version) {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

fn publish(dns: &LabDns, order: [&str; 2]) {
    dns.srv("contoso.test", &[(10, 0, 5269, order[0]), (20, 0, 5269, order[1])]);
    let addresses = |last: &[u8]| last.iter().map(|last| [192, 0, 2, *last].into()).collect::<Vec<std::net::IpAddr>>();
    dns.addresses("pool1.contoso.test", &addresses(&[1, 2]));
    dns.addresses("pool2.contoso.test", &addresses(&[3]));
}

const ORDER: [&str; 2] = ["pool1.contoso.test", "pool2.contoso.test"];

#[tokio::test(flavor = "multi_thread")]
async fn whoever_changes_a_zone_by_hand_is_told_what_to_change_until_it_is_there() {
    let (site, controller, dns) = by_hand().await;
    let client = site.administrator(&controller);
    let plan: Plan = client.post("/v1/dns/plan", &Wish::default()).await.expect("a plan");
    let [planned] = &plan.zones[..] else { panic!("one zone: {plan:?}") };
    let message = planned.message.as_ref().expect("somebody has to be told");
    for line in [
        "+ _xmpp-server._tcp.contoso.test. 30 IN SRV 10 0 5269 pool1.contoso.test.",
        "+ pool1.contoso.test. 30 IN A 192.0.2.1",
        "in the zone contoso.test, all at once",
    ] {
        assert!(message.contains(line), "{line}: {message}");
    }
    assert!(!planned.is_done() && plan.elsewhere.is_empty());
    let stale = Apply { plan: Some("0123456789abcdef".to_owned()), ..Apply::default() };
    let refused: Result<Vec<Applied>, ClientError> = client.post("/v1/dns/apply", &stale).await;
    assert_eq!(problem(refused).code, "conflict");
    let apply = Apply { plan: Some(plan.hash.clone()), ..Apply::default() };
    let all: Vec<Applied> = client.post("/v1/dns/apply", &apply).await.expect("it is that plan");
    assert!(!all[0].done && !all[0].refused && all[0].what == *message, "{all:?}");

    publish(&dns, ORDER);
    let plan: Plan = client.post("/v1/dns/plan", &Wish::default()).await.expect("a plan");
    // The laboratory's answers may be kept for a second, and ours for thirty: that is all that differs, and nobody's work.
    let [planned] = &plan.zones[..] else { panic!("one zone: {plan:?}") };
    assert!(planned.is_done() && planned.zone.changes.is_empty() && planned.message.is_none(), "{plan:?}");
    assert!(!planned.left.is_empty() && planned.left.iter().all(|line| line.contains(" 1 IN ")), "{plan:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_looked_at_from_all_sides() {
    let (site, controller, dns) = by_hand().await;
    let client = site.client(&controller, Role::Operator);
    publish(&dns, [ORDER[1], ORDER[0]]);
    dns.direct_tls_srv("contoso.test", &[(5, 0, 5270, "pool1.contoso.test")]);
    dns.text("_epoch.contoso.test", "fedge owner=another epoch=1 topology=1");
    let checked: Checked = client.post("/v1/dns/check", &Check::default()).await.expect("an answer");
    let codes = |severity| {
        let all = checked.findings.iter().filter(|finding| finding.severity == severity);
        let mut codes: Vec<&str> = all.map(|finding| finding.code.as_str()).collect();
        codes.dedup();
        codes
    };
    assert_eq!(codes(Severity::Fault), ["direct-tls", "foreign-mark", "order"], "{checked:#?}");
    assert_eq!(checked.asked, [dns.address().to_string()]);
    assert!(checked.names >= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_sees_each_answer_and_whether_it_is_right() {
    let (site, controller, dns) = by_hand().await;
    let client = site.client(&controller, Role::Operator);
    publish(&dns, [ORDER[1], ORDER[0]]);
    let silent: SocketAddr = "127.0.0.1:9".parse().expect("an address");
    let check = Check { resolvers: vec![silent.to_string()] };
    let answers: Answers = client.post("/v1/dns/answers", &check).await.expect("an answer");
    assert!(!answers.are_right());
    let of = |server: SocketAddr, name: &str| {
        let mut all =
            answers.answers.iter().filter(|answer| answer.server == server.to_string() && answer.name == name);
        all.next().unwrap_or_else(|| panic!("nothing of {server} for {name}: {answers:#?}"))
    };
    let service = of(dns.address(), "_xmpp-server._tcp.contoso.test.");
    assert!(
        !service.right && service.answers.iter().any(|value| value == "10 0 5269 pool2.contoso.test."),
        "{service:?}"
    );
    assert!(of(dns.address(), "pool2.contoso.test.").right);
    assert!(of(silent, "pool2.contoso.test.").answers[0].contains("can't be asked"), "{answers:#?}");
    publish(&dns, ORDER);
    let answers: Answers = client.post("/v1/dns/answers", &Check::default()).await.expect("an answer");
    assert!(answers.are_right(), "{answers:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_whose_name_server_is_gone_is_among_what_is_wrong() {
    let (site, controller, dns) = by_hand().await;
    let wrong = || {
        let all = controller.members.overview().expect("a topology").wrong;
        all.into_iter().filter(|wrong| wrong.at == "contoso.test").map(|wrong| wrong.what).collect::<Vec<String>>()
    };
    publish(&dns, ORDER);
    let client = site.client(&controller, Role::Viewer);
    client.post::<Plan>("/v1/dns/plan", &Wish::default()).await.expect("a plan");
    assert_eq!(wrong(), [""; 0]);
    let address = dns.address();
    drop(dns);
    client.post::<Plan>("/v1/dns/plan", &Wish::default()).await.expect("a plan");
    let wrong = wrong();
    let [wrong] = &wrong[..] else { panic!("one line: {wrong:?}") };
    assert!(wrong.starts_with(&address.to_string()) && wrong.contains("bring it up"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_is_shown_and_what_is_not_there_is_said() {
    let (site, controller, _dns) = by_hand().await;
    let client = site.client(&controller, Role::Viewer);
    let all: Vec<Contents> = client.get("/v1/dns/zones").await.expect("an answer");
    assert_eq!((all.len(), all[0].zone.as_str(), all[0].publisher.as_str()), (1, "contoso.test.", "manual"));
    let mark = "_epoch.contoso.test. 30 IN TXT \"fedge owner=contoso-1 epoch=1 topology=1\"";
    assert!(all[0].lines.iter().any(|line| line == mark), "{all:?}");
    let unknown = Wish { zones: vec!["fabrikam.test".to_owned()] };
    let refused: Result<Plan, ClientError> = client.post("/v1/dns/plan", &unknown).await;
    assert_eq!(problem(refused).code, "not-found");
    let wrong = Check { resolvers: vec!["dns.contoso.test".to_owned()] };
    let operator = site.client(&controller, Role::Operator);
    let refused: Result<Answers, ClientError> = operator.post("/v1/dns/answers", &wrong).await;
    assert_eq!(problem(refused).code, "refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_can_be_asked_nothing_is_said_to_be_well() {
    let dns = LabDns::start(&Place::here(), "127.0.0.1:0".parse().expect("an address")).expect("it starts");
    let (site, store) = (Site::new().await, Arc::new(Memory::new()));
    let controller = site.controller("ctl1.contoso.test", store).await;
    site.publish(&controller, &site.topology("10.0.0.20")).await.expect("it is good");
    known(&controller, 1).await;
    let client = site.client(&controller, Role::Operator);
    let watched: Result<Answers, ClientError> = client.post("/v1/dns/answers", &Check::default()).await;
    let checked: Result<Checked, ClientError> = client.post("/v1/dns/check", &Check::default()).await;
    for problem in [problem(watched), problem(checked)] {
        assert_eq!(problem.code, "refused");
        assert!(problem.fix.contains("--resolver"), "{problem:?}");
    }
    publish(&dns, ORDER);
    let check = Check { resolvers: vec![dns.address().to_string()] };
    let answers: Answers = client.post("/v1/dns/answers", &check).await.expect("one is enough");
    assert!(answers.are_right(), "{answers:#?}");
    let checked: Checked = client.post("/v1/dns/check", &check).await.expect("one is enough");
    assert_eq!((checked.asked, checked.findings), (vec![dns.address().to_string()], Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_zone_tells_what_its_parent_is_to_have_and_its_key_to_nobody() {
    let dns = LabDns::start(&Place::here(), "127.0.0.1:0".parse().expect("an address")).expect("it starts");
    let (site, store) = (Site::new().await, Arc::new(Memory::new()));
    let controller = site.controller("ctl1.contoso.test", store).await;
    let viewer = site.client(&controller, Role::Viewer);
    let with = |signed: &str| {
        site.topology("10.0.0.20")
            + &format!(
                "\n[names]\nresolvers = [\"{}\"]\n[[dns]]\nfqdn = \"ns1.contoso.test\"\nsite = \"Site1\"\ninternal = [\"10.0.0.53\"]\n\
                 external = [\"127.0.0.53\"]\n[[zone]]\nname = \"fed.contoso.test\"\npublisher = \"embedded\"\n{signed}",
                dns.address()
            )
    };
    site.publish(&controller, &with("")).await.expect("it is good");
    known(&controller, 1).await;
    assert_eq!(viewer.get::<Vec<Signed>>("/v1/dns/ds").await.expect("an answer"), []);
    site.publish(&controller, &with("signed = true\n")).await.expect("it is good");
    known(&controller, 2).await;
    let told: Vec<Signed> = viewer.get("/v1/dns/ds").await.expect("an answer");
    let [signed] = &told[..] else { panic!("one zone: {told:?}") };
    let secrets = controller.members.picture().secrets.zone_keys();
    let drawn = &secrets["fed.contoso.test."];
    let key = agent::zone_key::ZoneKey::read(drawn).expect("a key");
    assert_eq!(signed.zone, "fed.contoso.test.");
    assert_eq!(signed.ds, format!("fed.contoso.test. 3600 IN DS {}", key.parents("fed.contoso.test.")));
    assert_eq!(signed.dnskey, format!("fed.contoso.test. 3600 IN DNSKEY {}", key.own()));
    let shown: Topology = viewer.get("/v1/topology").await.expect("an answer");
    let audit: Vec<AuditEntry> = viewer.get("/v1/audit?from=1&count=100").await.expect("an answer");
    assert!(!format!("{shown:?} {audit:?} {controller:?}", controller = controller.members).contains(drawn.reveal()));
    // What the parent has is asked of the resolver: nothing yet.
    let operator = site.client(&controller, Role::Operator);
    let checked: Checked = operator.post_within("/v1/dns/check", &Check::default(), PATIENCE).await.expect("an answer");
    let missing = checked.findings.iter().find(|finding| finding.code == "ds-missing");
    assert_eq!(missing.map(|finding| finding.severity), Some(Severity::Warning), "{checked:#?}");
    // The same key again.
    site.publish(&controller, &with("")).await.expect("it is good");
    site.publish(&controller, &with("signed = true\n")).await.expect("it is good");
    known(&controller, 4).await;
    assert_eq!(viewer.get::<Vec<Signed>>("/v1/dns/ds").await.expect("an answer"), told);
    // Another one: only where nothing is signed with the old one any more.
    let forget = ForgetKey { zone: "FED.contoso.test".to_owned(), why: "it has leaked".to_owned() };
    let administrator = site.administrator(&controller);
    let refused: Result<Done, ClientError> = administrator.post("/v1/dns/forget-key", &forget).await;
    let refused = problem(refused);
    assert_eq!(
        (refused.code.as_str(), refused.title.as_str()),
        ("refused", "the zone fed.contoso.test. is signed with it")
    );
    site.publish(&controller, &with("")).await.expect("it is good");
    let _done: Done = administrator.post("/v1/dns/forget-key", &forget).await.expect("it isn't in use");
    let refused: Result<Done, ClientError> = administrator.post("/v1/dns/forget-key", &forget).await;
    assert_eq!(problem(refused).code, "not-found");
    site.publish(&controller, &with("signed = true\n")).await.expect("it is good");
    known(&controller, 6).await;
    let after: Vec<Signed> = viewer.get("/v1/dns/ds").await.expect("an answer");
    assert!(after.len() == 1 && after != told, "{after:?}");
}

#[test]
fn each_finding_is_explained_and_no_other() {
    let document = text("docs/dns-publishing.md").expect("the document");
    let (_, found) = document.split_once("\n## What is found\n").expect("its part");
    let mut explained: Vec<(String, String)> = found
        .lines()
        .filter_map(|line| {
            let columns: Vec<&str> = line.strip_prefix("| `")?.split(" | ").collect();
            let [code, severity, meaning, fix] = columns[..] else { panic!("{line}") };
            assert!(meaning.len() > 20 && fix.len() > 10, "{line}");
            Some((severity.to_owned(), code.trim_end_matches('`').to_owned()))
        })
        .collect();
    explained.sort();
    let word = |severity| if severity == Severity::Fault { "fault" } else { "warning" };
    let mut wanted: Vec<(String, String)> =
        CODES.iter().map(|(severity, code)| (word(*severity).to_owned(), (*code).to_owned())).collect();
    wanted.sort();
    assert_eq!(explained, wanted);
}
