//! Which answers of a resolver are believed, and a hundred thousand that aren't even messages.

use hickory_proto::op::OpCode;
use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{Name, Record, RecordType};

use super::*;
use crate::testing::{Mutator, bytes, question};

fn asked() -> Message {
    let name = Name::from_ascii("a.test.").expect("a name");
    query(&Ask { name, wanted: RecordType::A, dnssec_ok: false, checking_disabled: false })
}

fn answer(query: &Message) -> Message {
    let mut said = Message::response(query.id, OpCode::Query);
    said.queries = query.queries.clone();
    let name = query.queries[0].name().clone();
    said.add_answer(Record::from_rdata(name, 60, RData::A(A::new(127, 0, 0, 1))));
    said
}

#[test]
fn only_an_answer_to_the_question_is_one() {
    let query = asked();
    let good = answer(&query);
    assert!(matches!(accept(&query, &bytes(&good)), Some(Ok(said)) if said.answers.len() == 1));
    let change = |with: fn(&mut Message)| {
        let mut said = good.clone();
        with(&mut said);
        bytes(&said)
    };
    for (what, bytes) in [
        ("another id", change(|said| said.metadata.id ^= 1)),
        ("a query", change(|said| said.metadata.message_type = MessageType::Query)),
        ("another operation", change(|said| said.metadata.op_code = OpCode::Notify)),
        ("no question", change(|said| said.queries.clear())),
        ("two questions", change(|said| said.queries.push(said.queries[0].clone()))),
        ("another type", change(|said| said.queries[0] = question("a.test.", RecordType::AAAA))),
        ("another name", change(|said| said.queries[0] = question(".", RecordType::A))),
        ("nothing", Vec::new()),
    ] {
        assert!(accept(&query, &bytes).is_none(), "{what}");
    }
    let upper = change(|said| said.queries[0] = question("A.TEST.", RecordType::A));
    assert!(matches!(accept(&query, &upper), Some(Ok(_))), "case doesn't count");
}

#[test]
fn errors_are_believed_without_the_question_too() {
    let query = asked();
    for code in [ResponseCode::FormErr, ResponseCode::ServFail, ResponseCode::Refused] {
        let error = bytes(&Message::error_msg(query.id, OpCode::Query, code));
        assert!(matches!(accept(&query, &error), Some(Err(Fault::Code(said))) if said == code));
    }
    let nothing = bytes(&Message::error_msg(query.id, OpCode::Query, ResponseCode::NXDomain));
    assert!(accept(&query, &nothing).is_none(), "a denial must say of what");
}

#[test]
fn what_is_cut_needs_no_readable_records() {
    let query = asked();
    let mut said = answer(&query);
    said.metadata.truncation = true;
    let mut cut = bytes(&said);
    cut.truncate(cut.len() - 2);
    assert!(matches!(accept(&query, &cut), Some(Ok(said)) if said.truncation && said.answers.is_empty()));
    cut[2] &= !2;
    assert!(matches!(accept(&query, &cut), Some(Err(Fault::Unreadable(_)))), "cut, and not marked as cut");
}

#[test]
fn times_are_what_they_mean() {
    let query = asked();
    let mut said = answer(&query);
    said.answers[0].ttl = 1 << 31;
    let name = Name::root();
    let soa = SOA::new(name.clone(), name.clone(), 1, 1, 1, 1, 7);
    said.authorities.push(Record::from_rdata(name, 60, RData::SOA(soa)));
    let Some(Ok(said)) = accept(&query, &bytes(&said)) else { panic!("not accepted") };
    assert_eq!((said.answers[0].ttl, said.authorities[0].ttl), (0, 7));
}

#[test]
fn bad_answers_do_no_harm() {
    let query = asked();
    let mut large = answer(&query);
    large.answers = vec![large.answers[0].clone(); 20];
    let seeds = [bytes(&answer(&query)), bytes(&large), bytes(&query)];
    let mut mutator = Mutator(2);
    let mut believed = 0;
    for _ in 0..100_000 {
        let bad = mutator.mutate(&seeds);
        if let Some(Ok(said)) = accept(&query, &bad) {
            assert_eq!(said.id, query.id);
            believed += 1;
        }
    }
    assert!((1000..90_000).contains(&believed), "the mutator makes good and bad ones, {believed} good");
}
