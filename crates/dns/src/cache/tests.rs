//! How long answers are kept, and that TTLs go down meanwhile.

use hickory_proto::op::{OpCode, Query};
use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{RData, Record};

use super::*;

fn ask(name: &str) -> Ask {
    let name = Name::from_ascii(name).expect("a name");
    Ask { name, wanted: RecordType::A, dnssec_ok: false, checking_disabled: false }
}

fn said(code: ResponseCode, answers: &[u32], soa: Option<u32>) -> Arc<Message> {
    let name = Name::from_ascii("a.test.").expect("a name");
    let mut said = Message::error_msg(7, OpCode::Query, code);
    said.add_query(Query::query(name.clone(), RecordType::A));
    let address = |ttl: &u32| Record::from_rdata(name.clone(), *ttl, RData::A(A::new(127, 0, 0, 1)));
    said.answers = answers.iter().map(address).collect();
    let zone = |ttl| SOA::new(name.clone(), name.clone(), 1, 1, 1, 1, ttl);
    said.authorities.extend(soa.map(|ttl| Record::from_rdata(name.clone(), ttl, RData::SOA(zone(ttl)))));
    said.into()
}

fn after(seconds: u64) -> impl Fn(Instant) -> Instant {
    move |start| start + Duration::from_secs(seconds)
}

#[test]
fn answers_are_kept_as_long_as_their_shortest_record() {
    let (cache, start) = (Cache::new(10), Instant::now());
    cache.put(ask("a.test."), said(ResponseCode::NoError, &[30, 10], None), start);
    let ttls = |seconds| {
        let kept = cache.get(&ask("A.test."), after(seconds)(start))?;
        Some(kept.answers.iter().map(|record| record.ttl).collect::<Vec<_>>())
    };
    assert_eq!(ttls(0), Some(vec![30, 10]));
    assert_eq!(ttls(9), Some(vec![21, 1]));
    assert_eq!(ttls(3), Some(vec![27, 7]), "what is kept stays as it came");
    assert_eq!(ttls(10), None);
}

#[test]
fn how_long_each_kind_of_answer_is_kept() {
    for (what, said, seconds) in [
        ("an answer that must not be kept", said(ResponseCode::NoError, &[0, 5], None), 0),
        ("a long answer", said(ResponseCode::NoError, &[u32::MAX], None), 86400),
        ("no such name", said(ResponseCode::NXDomain, &[], Some(60)), 60),
        ("no such name for very long", said(ResponseCode::NXDomain, &[], Some(100_000)), 10800),
        ("no such name, undated", said(ResponseCode::NXDomain, &[], None), 0),
        ("no such records", said(ResponseCode::NoError, &[], Some(60)), 60),
        ("no such records, undated", said(ResponseCode::NoError, &[], None), 0),
        ("a failure", said(ResponseCode::ServFail, &[], None), 1),
    ] {
        assert_eq!(keep(&said), seconds, "{what}");
    }
}

#[test]
fn different_questions_have_different_answers() {
    let (cache, now) = (Cache::new(10), Instant::now());
    cache.put(ask("a.test."), said(ResponseCode::NoError, &[30], None), now);
    let plain = ask("a.test.");
    for other in [
        ask("b.test."),
        Ask { wanted: RecordType::AAAA, ..plain.clone() },
        Ask { dnssec_ok: true, ..plain.clone() },
        Ask { checking_disabled: true, ..plain.clone() },
    ] {
        assert!(cache.get(&other, now).is_none(), "{other:?}");
    }
    assert!(cache.get(&plain, now).is_some());
}

#[test]
fn the_number_and_size_of_entries_is_bounded() {
    let (cache, now) = (Cache::new(100), Instant::now());
    for number in 0..10_000 {
        cache.put(ask(&format!("a{number}.test.")), said(ResponseCode::NoError, &[30], None), now);
    }
    cache.entries.run_pending_tasks();
    assert!(cache.entries.entry_count() <= 100, "{}", cache.entries.entry_count());
    cache.put(ask("large.test."), said(ResponseCode::NoError, &[30; 65], None), now);
    assert!(cache.get(&ask("large.test."), now).is_none());
    let none = Cache::new(0);
    none.put(ask("a.test."), said(ResponseCode::NoError, &[30], None), now);
    none.entries.run_pending_tasks();
    assert!(none.get(&ask("a.test."), now).is_none());
}
