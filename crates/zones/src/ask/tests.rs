//! Questions to a server that misbehaves in every way that the laboratory knows.

use std::net::IpAddr;

use hickory_proto::rr::rdata::TXT;
use testkit::lab_dns::{LabDns, Misbehaviour};
use testkit::place::Place;

use super::*;
use crate::observe::{Marked, mark};

/// Where nothing comes, it is waited for so long.
const SHORT: Duration = Duration::from_millis(900);
/// Where something comes; a machine may be busy.
const LONG: Duration = Duration::from_secs(30);
const NAME: &str = "_xmpp-server._tcp.contoso.test.";

fn server() -> LabDns {
    let server = LabDns::start(&Place::here(), ([127, 0, 0, 1], 0).into()).expect("an address is free");
    server.srv("contoso.test", &[(10, 0, 5269, "pool1.contoso.test"), (20, 0, 5269, "pool2.contoso.test")]);
    server
}

async fn asked(server: &LabDns, name: &str, kind: &str, patience: Duration) -> Result<Answer, AskError> {
    ask(server.address(), name, kind, Manner::Authority, patience).await
}

fn transports(server: &LabDns) -> Vec<bool> {
    server.questions().iter().map(|question| question.tcp).collect()
}

#[tokio::test]
async fn what_is_there_and_what_is_not_are_both_answers() {
    let server = server();
    let found = asked(&server, NAME, "SRV", LONG).await.expect("an answer");
    let [set] = &found.sets[..] else { panic!("one set: {found:?}") };
    assert_eq!((set.name.as_str(), set.kind.as_str()), (NAME, "SRV"));
    assert_eq!(set.values, ["10 0 5269 pool1.contoso.test.", "20 0 5269 pool2.contoso.test."]);
    let no_record = asked(&server, NAME, "TXT", LONG).await.expect("an answer");
    assert!(no_record.exists && no_record.sets.is_empty() && no_record.serial == Some(1), "{no_record:?}");
    let no_name = asked(&server, "nobody.contoso.test", "A", LONG).await.expect("an answer");
    assert!(!no_name.exists && no_name.sets.is_empty(), "{no_name:?}");
    assert_eq!(transports(&server), [false; 3], "nobody needs TCP");
}

#[tokio::test]
async fn an_answer_that_is_too_long_for_udp_comes_over_tcp() {
    let server = server();
    server.misbehave(NAME, Misbehaviour::Truncated);
    let found = asked(&server, NAME, "SRV", LONG).await.expect("an answer");
    assert_eq!(found.sets[0].values.len(), 2);
    let many: Vec<IpAddr> = (0..255).map(|number| IpAddr::from([192, 0, 2, number])).collect();
    server.addresses("many.contoso.test", &many);
    let found = asked(&server, "many.contoso.test", "A", LONG).await.expect("an answer");
    assert_eq!(found.sets[0].values.len(), 255);
    assert_eq!(transports(&server), [false, true, false, true]);
}

#[tokio::test]
async fn who_says_nothing_over_udp_is_asked_over_tcp_and_then_given_up() {
    let server = server();
    server.misbehave(NAME, Misbehaviour::Silent);
    let began = Instant::now();
    let told = asked(&server, NAME, "SRV", SHORT).await;
    assert!(matches!(told, Err(AskError::Silent { .. })), "{told:?}");
    assert!(began.elapsed() >= SHORT);
    assert_eq!(transports(&server), [false, false, true]);
}

#[tokio::test]
async fn what_answers_something_else_is_no_answer() {
    for misbehaviour in [Misbehaviour::WrongId, Misbehaviour::WrongQuestion] {
        let server = server();
        server.misbehave(NAME, misbehaviour);
        let told = asked(&server, NAME, "SRV", SHORT).await;
        assert!(matches!(told, Err(AskError::Garbage { .. })), "{misbehaviour:?}: {told:?}");
        // Over UDP anybody could have sent it; over TCP it was the server itself.
        assert_eq!(transports(&server), [false, false, true]);
    }
}

#[tokio::test]
async fn who_fails_says_so() {
    let server = server();
    server.misbehave(NAME, Misbehaviour::ServFail);
    let told = asked(&server, NAME, "SRV", LONG).await;
    assert!(matches!(told, Err(AskError::Refused { code: ResponseCode::ServFail, .. })), "{told:?}");
}

#[tokio::test]
async fn where_nobody_is_that_is_said_at_once() {
    let address = server().address();
    let told = ask(address, NAME, "SRV", Manner::Authority, LONG).await;
    assert!(matches!(told, Err(AskError::Unreachable { .. })), "{told:?}");
}

#[tokio::test]
async fn a_text_that_an_alias_leads_to_is_no_mark() {
    let server = server();
    let text = |text: &str| vec![RData::TXT(TXT::new(vec![text.to_owned()]))];
    let seen = async |zone: &str| mark(server.address(), zone, Manner::Authority, LONG).await.expect("an answer");
    server.set("_epoch.contoso.test", text("fedge owner=a1 epoch=7 topology=12"));
    server.alias("_epoch.fabrikam.test", "_epoch.contoso.test");
    server.set("_epoch.adatum.test", text("ours"));
    assert!(matches!(seen("contoso.test.").await, Marked::By(mark) if mark.epoch == 7));
    assert_eq!(seen("fabrikam.test.").await, Marked::Nothing);
    assert_eq!(seen("adatum.test.").await, Marked::Text("\"ours\"".to_owned()));
    assert_eq!(seen("woodgrove.test.").await, Marked::Nothing);
}
