//! The laboratory's DNS is asked over UDP and TCP, what it should and should not know.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::{LabDns, Misbehaviour, Question, absolute};
use crate::place::Place;

const A_WHILE: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

struct Lab {
    place: Place,
    dns: LabDns,
}

impl Lab {
    fn new() -> Lab {
        let place = Place::isolated().expect("a place");
        let dns = LabDns::start(&place, "127.0.9.1:53".parse().expect("an address")).expect("it starts");
        dns.srv("fabrikam.test", &[(10, 0, 5269, "one.fabrikam.test"), (20, 5, 5270, "two.fabrikam.test")]);
        dns.direct_tls_srv("fabrikam.test", &[(0, 0, 0, ".")]);
        let addresses = ["127.0.4.1", "fd77::4"].map(|address| address.parse().expect("an address"));
        dns.addresses("one.fabrikam.test", &addresses);
        Lab { place, dns }
    }

    /// Sends a question over UDP and gives the datagram that comes back.
    async fn udp(&self, question: &Message) -> Message {
        let socket = self.place.bind_udp("127.0.0.1:0".parse().expect("an address")).expect("free");
        socket.send_to(&question.to_vec().expect("encodable"), self.dns.address()).await.expect("sent");
        let mut buffer = [0; 4096];
        let (length, from) = timeout(LONG, socket.recv_from(&mut buffer)).await.expect("an answer").expect("received");
        assert_eq!(from, self.dns.address());
        Message::from_vec(&buffer[..length]).expect("a message")
    }

    async fn tcp(&self, question: &Message) -> Message {
        let mut stream = self.place.connect(self.dns.address()).await.expect("it listens");
        let bytes = question.to_vec().expect("encodable");
        stream.write_u16(u16::try_from(bytes.len()).expect("short")).await.expect("open");
        stream.write_all(&bytes).await.expect("open");
        let mut bytes = vec![0; usize::from(timeout(LONG, stream.read_u16()).await.expect("an answer").expect("open"))];
        stream.read_exact(&mut bytes).await.expect("open");
        Message::from_vec(&bytes).expect("a message")
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Message {
        let question = question(name, kind);
        let (udp, tcp) = (self.udp(&question).await, self.tcp(&question).await);
        assert_eq!(udp, tcp);
        assert_eq!((udp.id, udp.queries.clone(), udp.authoritative), (question.id, question.queries, true));
        udp
    }
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(absolute(name), kind));
    message.metadata.recursion_desired = true;
    message
}

/// What is in the answer section, as text.
fn answers(message: &Message) -> Vec<String> {
    message.answers.iter().map(|record| format!("{} {}", record.name, record.data)).collect()
}

#[tokio::test]
async fn it_answers_what_it_was_told() {
    let lab = Lab::new();
    let srv = lab.ask("_XMPP-server._tcp.Fabrikam.test", RecordType::SRV).await;
    let name = "_xmpp-server._tcp.fabrikam.test.";
    let expected = ["10 0 5269 one.fabrikam.test.", "20 5 5270 two.fabrikam.test."];
    assert_eq!(answers(&srv), expected.map(|data| format!("{name} {data}")));
    assert!(srv.answers.iter().all(|record| record.ttl == 1));
    let none = lab.ask("_xmpps-server._tcp.fabrikam.test", RecordType::SRV).await;
    assert_eq!(answers(&none), ["_xmpps-server._tcp.fabrikam.test. 0 0 0 ."]);
    assert_eq!(answers(&lab.ask("one.fabrikam.test", RecordType::A).await), ["one.fabrikam.test. 127.0.4.1"]);
    assert_eq!(answers(&lab.ask("one.fabrikam.test", RecordType::AAAA).await), ["one.fabrikam.test. fd77::4"]);
}

#[tokio::test]
async fn it_says_no_in_both_ways() {
    let lab = Lab::new();
    let cases = [
        ("two.fabrikam.test", RecordType::A, ResponseCode::NXDomain),
        ("contoso.test", RecordType::SRV, ResponseCode::NXDomain),
        ("one.fabrikam.test", RecordType::SRV, ResponseCode::NoError),
        // These have no records, but names below them.
        ("fabrikam.test", RecordType::A, ResponseCode::NoError),
        ("_tcp.fabrikam.test", RecordType::SRV, ResponseCode::NoError),
    ];
    for (name, kind, code) in cases {
        let answer = lab.ask(name, kind).await;
        assert_eq!((answer.response_code, answers(&answer)), (code, vec![]), "{name} {kind}");
        let [soa] = &answer.authorities[..] else { panic!("no SOA for {name} {kind}") };
        assert_eq!((soa.name.to_ascii(), soa.ttl), ("test.".to_owned(), 1));
        let RData::SOA(data) = &soa.data else { panic!("no SOA for {name} {kind}") };
        assert_eq!(data.minimum, 1);
    }
    lab.dns.set("one.fabrikam.test", vec![]);
    assert_eq!(lab.ask("one.fabrikam.test", RecordType::A).await.response_code, ResponseCode::NXDomain);
}

#[tokio::test]
async fn aliases_are_followed_as_far_as_they_lead() {
    let lab = Lab::new();
    lab.dns.alias("xmpp.fabrikam.test", "one.fabrikam.test");
    let answer = lab.ask("xmpp.fabrikam.test", RecordType::A).await;
    assert_eq!(answers(&answer), ["xmpp.fabrikam.test. one.fabrikam.test.", "one.fabrikam.test. 127.0.4.1"]);
    lab.dns.alias("to-nowhere.test", "gone.test");
    let answer = lab.ask("to-nowhere.test", RecordType::A).await;
    assert_eq!(answers(&answer), ["to-nowhere.test. gone.test."]);
    assert_eq!((answer.response_code, answer.authorities.len()), (ResponseCode::NXDomain, 1));
    lab.dns.alias("a.test", "b.test");
    lab.dns.alias("b.test", "a.test");
    let answer = lab.ask("a.test", RecordType::A).await;
    assert_eq!(answers(&answer), ["a.test. b.test.", "b.test. a.test."]);
}

#[tokio::test]
async fn it_lies_about_one_name_until_told_otherwise() {
    let lab = Lab::new();
    let question = question("one.fabrikam.test", RecordType::A);
    lab.dns.misbehave("one.fabrikam.test", Misbehaviour::WrongId);
    assert_ne!(lab.udp(&question).await.id, question.id);
    lab.dns.misbehave("one.fabrikam.test", Misbehaviour::WrongQuestion);
    let answer = lab.udp(&question).await;
    assert_eq!(answer.queries[0].name.to_ascii(), "elsewhere.one.fabrikam.test.");
    assert_eq!(answers(&answer), ["elsewhere.one.fabrikam.test. 127.0.4.1"]);
    lab.dns.misbehave("one.fabrikam.test", Misbehaviour::WrongOwner);
    let answer = lab.udp(&question).await;
    assert_eq!((answer.id, &answer.queries), (question.id, &question.queries));
    assert_eq!(answers(&answer), ["elsewhere.one.fabrikam.test. 127.0.4.1"]);
    lab.dns.misbehave("one.fabrikam.test", Misbehaviour::ServFail);
    let answer = lab.udp(&question).await;
    assert_eq!((answer.response_code, answers(&answer)), (ResponseCode::ServFail, vec![]));
    assert_eq!(lab.ask("_xmpp-server._tcp.fabrikam.test", RecordType::SRV).await.answers.len(), 2);
    lab.dns.behave("one.fabrikam.test");
    assert_eq!(answers(&lab.udp(&question).await), ["one.fabrikam.test. 127.0.4.1"]);
}

#[tokio::test]
async fn it_is_late_or_silent_for_one_name_only() {
    let lab = Lab::new();
    let second = Duration::from_secs(1);
    lab.dns.misbehave("one.fabrikam.test", Misbehaviour::Late(second));
    lab.dns.misbehave("two.fabrikam.test", Misbehaviour::Silent);
    let began = Instant::now();
    let late = question("one.fabrikam.test", RecordType::A);
    let other = question("fabrikam.test", RecordType::A);
    let (late, ()) = tokio::join!(lab.udp(&late), async {
        lab.udp(&other).await;
        assert!(began.elapsed() < second, "one late answer held up another");
    });
    assert_eq!(answers(&late), ["one.fabrikam.test. 127.0.4.1"]);
    assert!(began.elapsed() >= second);
    let silent = question("two.fabrikam.test", RecordType::A);
    timeout(A_WHILE, lab.udp(&silent)).await.expect_err("no answer by UDP");
    timeout(A_WHILE, lab.tcp(&silent)).await.expect_err("no answer by TCP");
}

#[tokio::test]
async fn what_is_too_long_for_udp_comes_by_tcp() {
    let lab = Lab::new();
    let asked = question("one.fabrikam.test", RecordType::A);
    lab.dns.misbehave("one.fabrikam.test", Misbehaviour::Truncated);
    let answer = lab.udp(&asked).await;
    assert_eq!((answer.truncation, answers(&answer)), (true, vec![]));
    assert_eq!(answers(&lab.tcp(&asked).await), ["one.fabrikam.test. 127.0.4.1"]);

    let many: Vec<_> = (1..=40).map(|n| std::net::IpAddr::from([127, 0, 4, n])).collect();
    lab.dns.addresses("many.test", &many);
    let mut asked = question("many.test", RecordType::A);
    let answer = lab.udp(&asked).await;
    assert_eq!((answer.truncation, answer.answers.len(), answer.edns), (true, 0, None));
    assert_eq!(lab.tcp(&asked).await.answers.len(), 40);
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    asked.set_edns(edns);
    let answer = lab.udp(&asked).await;
    assert_eq!((answer.truncation, answer.answers.len(), answer.edns.is_some()), (false, 40, true));
}

#[tokio::test]
async fn it_remembers_questions_and_ends_when_dropped() {
    let lab = Lab::new();
    lab.ask("_xmpp-server._tcp.Contoso.test", RecordType::SRV).await;
    let asked: Vec<_> = lab.dns.questions();
    let [udp, tcp] = &asked[..] else { panic!("{asked:?}") };
    let expected = |from: SocketAddr, tcp| Question {
        from,
        name: "_xmpp-server._tcp.contoso.test.".to_owned(),
        kind: RecordType::SRV,
        tcp,
    };
    assert_eq!([udp, tcp], [&expected(udp.from, false), &expected(tcp.from, true)]);
    let address = lab.dns.address();
    LabDns::start(&lab.place, address).expect_err("the address is taken");
    drop(lab.dns);
    LabDns::start(&lab.place, address).expect("the address is free again");
}

#[tokio::test]
async fn a_zone_of_others_is_asked_of_them() {
    let lab = Lab::new();
    let other = LabDns::start(&lab.place, "127.0.9.2:0".parse().expect("an address")).expect("it starts");
    other.srv("contoso.test", &[(10, 0, 5269, "pool1.contoso.test")]);
    let nobody = "127.0.9.3:53".parse().expect("an address");
    lab.dns.delegate("contoso.test", &[nobody, other.address()]);
    let srv = lab.ask("_xmpp-server._tcp.Contoso.test", RecordType::SRV).await;
    assert_eq!(answers(&srv), ["_xmpp-server._tcp.contoso.test. 10 0 5269 pool1.contoso.test."]);
    assert_eq!(lab.ask("one.fabrikam.test", RecordType::A).await.answers.len(), 1);
    drop(other);
    let question = question("_xmpp-server._tcp.contoso.test", RecordType::SRV);
    assert_eq!(lab.udp(&question).await.response_code, ResponseCode::ServFail);
}
