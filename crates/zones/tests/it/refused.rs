//! Each way in which a real server refuses, and what is made of it.

use std::time::Duration;

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use testkit::name_server::{Maker, ZonePlan};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use topology::records::Change;
use zones::ask::{AskError, Manner, ask};
use zones::key::Key;
use zones::observe::Marked;
use zones::refusal::UpdateError;
use zones::update::{Primary, Updated};

use crate::rig::{MAKERS, PATIENCE, Rig, SWAPPERS, ZONE, address, changes, contents, mark, set};

/// What an update comes to that this changes.
fn told(maker: Maker, change: impl FnOnce(&mut Primary)) -> (UpdateError, Rig) {
    let rig = Rig::new(maker);
    let mut primary = rig.primary.clone();
    change(&mut primary);
    let told = rig.run(async move { primary.update(30, None, &mark(1), &changes(None, 1)).await });
    assert_eq!(rig.see(&contents(1)).mark, Marked::Nothing, "{maker:?}: nothing was changed");
    (told.expect_err("it is refused"), rig)
}

#[test]
fn another_secret_is_told_as_such() {
    for maker in MAKERS {
        let other = Key::new("fedge-key", "hmac-sha256", "YW5vdGhlciBzZWNyZXQsIG5vdCB0aGVpcnM=").expect("a key");
        let (told, _rig) = told(maker, |primary| primary.key = other);
        assert!(matches!(told, UpdateError::BadSignature { .. }), "{maker:?}: {told}");
        assert!(told.to_string().contains("BADSIG"));
    }
}

#[test]
fn a_key_that_the_server_does_not_know_is_told_as_such() {
    for maker in MAKERS {
        let other = Key::new("other-key", "hmac-sha256", "YW5vdGhlciBzZWNyZXQsIG5vdCB0aGVpcnM=").expect("a key");
        let (told, _rig) = told(maker, |primary| primary.key = other);
        assert!(matches!(told, UpdateError::BadKey { .. }), "{maker:?}: {told}");
    }
}

#[test]
fn clocks_that_are_too_far_apart_are_told_with_how_far() {
    for maker in MAKERS {
        for ahead in [-400, 400] {
            let (told, _rig) = told(maker, |primary| primary.ahead = ahead);
            let UpdateError::BadTime { theirs: Some(theirs), ours, .. } = &told else { panic!("{maker:?}: {told}") };
            let apart = i64::try_from(*ours).expect("small") - i64::try_from(*theirs).expect("small");
            assert!((apart - ahead).abs() < 60, "{maker:?}: {told}");
            assert!(told.to_string().contains("BADTIME"));
        }
    }
}

#[test]
fn names_that_the_policy_does_not_let_us_change_are_refused() {
    for maker in SWAPPERS {
        let rig = Rig::new(maker);
        let primary = rig.primary.clone();
        let (looked, updated) = rig.run(async move {
            let others = set("www.contoso.test.", "A", &["192.0.2.9"]);
            let more = [changes(None, 1), vec![Change::Add(others.clone())]].concat();
            primary.writable(None, &[], &contents(1).sets).await.expect("it may");
            let looked = primary.writable(None, &[others], &contents(1).sets).await.expect_err("it isn't ours");
            (looked, primary.update(30, None, &mark(1), &more).await.expect_err("it isn't ours"))
        });
        for told in [looked, updated] {
            let is_right = match maker {
                Maker::Bind => matches!(told, UpdateError::Refused { .. }),
                Maker::Knot => matches!(told, UpdateError::BadKey { .. }),
                // It has no word for that: the policy ends the update by an error.
                Maker::PowerDns => matches!(told, UpdateError::Failed { .. }),
            };
            assert!(is_right, "{maker:?}: {told:?}");
        }
        assert_eq!(rig.see(&contents(1)).mark, Marked::Nothing, "{maker:?}: all or nothing");
    }
}

#[test]
fn a_zone_that_the_server_does_not_have_is_told() {
    for maker in MAKERS {
        let rig = Rig::new(maker);
        let (primary, server) = (Primary { zone: "fabrikam.test.".to_owned(), ..rig.primary.clone() }, address());
        let (told, asked) = rig.run(async move {
            let told = primary.writable(None, &[], &[]).await.expect_err("it isn't there");
            (told, ask(server, "fabrikam.test.", "SOA", Manner::Authority, PATIENCE).await)
        });
        assert!(matches!(told, UpdateError::NotThere { .. } | UpdateError::Refused { .. }), "{maker:?}: {told:?}");
        assert!(matches!(asked, Err(AskError::Refused { .. })), "{maker:?}: {asked:?}");
    }
}

#[test]
fn what_is_not_signed_is_refused() {
    for maker in MAKERS {
        let rig = Rig::new(maker);
        let code = rig.run(async {
            let mut stream = TcpStream::connect(address()).await.expect("it listens");
            let message = unsigned();
            let bytes = message.to_vec().expect("it can be written");
            stream.write_u16(u16::try_from(bytes.len()).expect("short")).await.expect("open");
            stream.write_all(&bytes).await.expect("open");
            let mut reply = vec![0; usize::from(stream.read_u16().await.expect("a reply"))];
            stream.read_exact(&mut reply).await.expect("a reply");
            Message::from_vec(&reply).expect("a message").metadata.response_code
        });
        let expected = if maker == Maker::Bind { ResponseCode::Refused } else { ResponseCode::NotAuth };
        assert_eq!(code, expected, "{maker:?}");
    }
}

#[test]
fn a_server_in_trouble_changes_nothing_and_is_worth_another_try() {
    // BIND can't write down what it changes; the others can't load the zone.
    let rig = Rig::new(Maker::Bind);
    let journal = rig.folder.path().join("contoso.test.zone.jnl");
    std::fs::create_dir(&journal).expect("nothing was written down yet");
    let told = first_update(&rig).expect_err("it can't");
    assert!(matches!(told, UpdateError::Failed { .. }) && told.passes(), "{told:?}");
    assert_eq!(rig.see(&contents(1)).mark, Marked::Nothing, "nothing was changed");
    std::fs::remove_dir(&journal).expect("it is empty");
    assert_eq!(first_update(&rig).expect("it can again"), Updated::Done);
    for maker in MAKERS {
        let targets = ["pool1.contoso.test", "pool2.contoso.test"];
        let mut plan = ZonePlan::new(ZONE, &[ZONE, "conference.contoso.test"], &targets);
        plan.records.push("pool1 IN A not.an.address".to_owned());
        let rig = Rig::with(maker, &plan, &[]);
        let told = first_update(&rig).expect_err("it couldn't load it");
        assert!(matches!(told, UpdateError::Failed { .. }), "{maker:?}: {told:?}");
    }
}

fn first_update(rig: &Rig) -> Result<Updated, UpdateError> {
    let primary = rig.primary.clone();
    rig.run(async move { primary.update(30, None, &mark(1), &changes(None, 1)).await })
}

/// PowerDNS says the same to whatever signature it doesn't take, and signs nothing of it; its log says more.
#[test]
fn powerdns_refuses_in_one_word() {
    let secret = "YW5vdGhlciBzZWNyZXQsIG5vdCB0aGVpcnM=";
    let key = |name, algorithm| Key::new(name, algorithm, secret).expect("a key");
    for (what, key, ahead) in [
        ("another secret", Some(key("fedge-key", "hmac-sha256")), 0),
        ("another algorithm", Some(key("fedge-key", "hmac-sha512")), 0),
        ("another key", Some(key("other-key", "hmac-sha256")), 0),
        ("another time", None, -400),
    ] {
        let (told, _rig) = told(Maker::PowerDns, |primary| {
            primary.key = key.unwrap_or_else(|| primary.key.clone());
            primary.ahead = ahead;
        });
        assert!(matches!(told, UpdateError::Refused { .. }), "{what}: {told:?}");
    }
}

#[test]
fn a_server_that_is_not_there_is_told_in_bounded_time() {
    let rig = Rig::new(Maker::Bind);
    let nobody = Primary { server: ([127, 0, 20, 9], 53).into(), ..rig.primary.clone() };
    let (told, asked) = rig.run(async move {
        let told = nobody.update(30, None, &mark(1), &changes(None, 1)).await.expect_err("nobody is there");
        (told, ask(nobody.server, "contoso.test.", "SOA", Manner::Authority, Duration::from_secs(1)).await)
    });
    assert!(told.passes(), "{told}");
    assert!(asked.is_err());
}

/// A lost reply is no answer: whoever swallows it leaves us in doubt, and reading back decides.
#[test]
fn a_lost_reply_is_read_back() {
    for maker in MAKERS {
        let rig = Rig::new(maker);
        let primary = rig.primary.clone();
        let told = rig.run(async move {
            // Between us and the server sits somebody who passes on updates and no replies; questions go by UDP.
            let between = TcpListener::bind(("127.0.20.2", 53)).await.expect("free");
            let eaten = tokio::spawn(async move {
                let (mut ours, _) = between.accept().await.expect("somebody comes");
                let mut bytes = vec![0; usize::from(ours.read_u16().await.expect("an update"))];
                ours.read_exact(&mut bytes).await.expect("an update");
                let mut theirs = TcpStream::connect(address()).await.expect("it listens");
                theirs.write_u16(u16::try_from(bytes.len()).expect("short")).await.expect("open");
                theirs.write_all(&bytes).await.expect("open");
                theirs.read_u16().await.expect("a reply");
            });
            let questions = tokio::spawn(pass_on_questions());
            let between = Primary { server: ([127, 0, 20, 2], 53).into(), ..primary };
            let told = between.update(30, None, &mark(1), &changes(None, 1)).await;
            eaten.await.expect("it saw an update and a reply");
            questions.abort();
            told
        });
        assert_eq!(told.expect("it was made"), Updated::ReadBack, "{maker:?}");
    }
}

/// An update that anybody could send.
fn unsigned() -> Message {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Update;
    message.add_query(Query::query(Name::from_ascii("contoso.test.").expect("a name"), RecordType::SOA));
    let name = Name::from_ascii("_epoch.contoso.test.").expect("a name");
    message.add_authority(Record::from_rdata(name, 30, RData::TXT(TXT::new(vec!["mine".to_owned()]))));
    message
}

async fn pass_on_questions() {
    let (near, far) =
        (tokio::net::UdpSocket::bind(("127.0.20.2", 53)).await, tokio::net::UdpSocket::bind(("127.0.0.1", 0)).await);
    let (near, far) = (near.expect("free"), far.expect("free"));
    let mut buffer = [0; 4096];
    loop {
        let (length, from) = near.recv_from(&mut buffer).await.expect("a question");
        far.send_to(&buffer[..length], address()).await.expect("sent");
        let length = far.recv(&mut buffer).await.expect("an answer");
        near.send_to(&buffer[..length], from).await.expect("sent");
    }
}
