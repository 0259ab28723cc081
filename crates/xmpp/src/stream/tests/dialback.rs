//! Dialback among three parties, with real keys: who asks, who is asked, who is authoritative.

use super::*;
use crate::dialback::{Secrets, Sha256};

#[test]
fn several_keys_are_verified_at_once_and_one_refusal_spares_the_stream() {
    let mut host = Host::authenticated();
    for to in ["one", "two", "forbidden"] {
        host.hears(&format!("<db:result from='im.contoso.test' to='{to}.fabrikam.test'>k</db:result>"));
    }
    let asked: Vec<_> = host
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Ask(Question::VerifyKey { pair, .. }) => Some(pair.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(asked.len(), 2);
    assert!(host.sent.contains("type='error'") && host.sent.contains("<not-allowed "));
    host.machine.answer(host.now, Answer::Key { pair: asked[1].clone(), verdict: KeyVerdict::Valid });
    host.machine.answer(host.now, Answer::Key { pair: asked[0].clone(), verdict: KeyVerdict::Invalid });
    host.run();
    host.hears("<message from='a@im.contoso.test' to='b@two.fabrikam.test'/>");
    assert!(matches!(host.steps.last(), Some(Step::Stanza { .. })));
    assert_eq!(host.ended_with(), None);
}

struct AwsLc;

impl Sha256 for AwsLc {
    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, data).as_ref().try_into().expect("32 bytes")
    }
    fn hmac_sha256(&self, key: &[u8], data: &[u8]) -> [u8; 32] {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
        aws_lc_rs::hmac::sign(&key, data).as_ref().try_into().expect("32 bytes")
    }
}

/// The third party: asks the authoritative server of `pair.from`, which holds `secrets`, by a stream of its own.
fn verify(secrets: &Secrets, pair: &DomainPair, id: &str, key: &str) -> KeyVerdict {
    let (now, goal) = (Instant::now(), Goal::Verify { id: id.to_owned(), key: key.to_owned() });
    let mut asking = Dialed::new(now, pair.reversed(), goal, NO_TLS, false, false, Settings::default());
    let mut authority = Accepted::new(now, "other".into(), false, false, Settings::default());
    let mut verdict = None;
    while verdict.is_none() {
        while let Some(step) = asking.poll(now) {
            match step {
                Step::Send(bytes) => authority.input().extend_from_slice(&bytes),
                Step::Verified { valid } => verdict = Some(valid),
                other => panic!("{other:?}"),
            }
        }
        while let Some(step) = authority.poll(now) {
            match step {
                Step::Send(bytes) => asking.input().extend_from_slice(&bytes),
                Step::Ask(Question::Arrive { .. }) => authority.answer(now, Answer::Arrive(Ok(NO_TLS))),
                Step::Ask(Question::CheckKey { pair, id, key }) => {
                    let valid = secrets.made(&AwsLc, &pair, &id, &key);
                    authority.answer(now, Answer::CheckedKey { pair, id, valid });
                }
                other => panic!("{other:?}"),
            }
        }
    }
    if verdict == Some(true) { KeyVerdict::Valid } else { KeyVerdict::Invalid }
}

/// Shows `key` on a stream of its own; the id for which it should have been made comes along.
fn show(key: impl FnOnce(&str) -> String, secrets: &Secrets) -> Host {
    let mut host = Host::with(true, Terms { external: Need::NotSupported, ..USUAL });
    host.hears(HEADER);
    let id = host.sent.split(" id='").nth(1).and_then(|rest| rest.split('\'').next()).expect("an id").to_owned();
    host.hears(&format!("<db:result from='contoso.test' to='fabrikam.test'>{}</db:result>", key(&id)));
    let Some(Step::Ask(Question::VerifyKey { pair, id, key })) = host.steps.pop() else { panic!("{:?}", host.steps) };
    let verdict = verify(secrets, &pair, &id, &key);
    host.answer(Answer::Key { pair, verdict });
    host.hears(HELLO);
    host
}

#[test]
fn a_key_holds_for_its_pair_its_stream_and_its_secret_only() {
    let secrets = Secrets::new(&AwsLc, b"s3cret", &[]);
    let host = show(|id| secrets.key(&AwsLc, &pair(), id), &secrets);
    assert_eq!((host.passed(), host.ended_with()), (1, None));
    assert!(host.sent.contains("<db:result from='fabrikam.test' to='contoso.test' type='valid'/>"));
    assert!(matches!(host.steps[..], [Step::Authenticated { method: Method::Dialback, .. }, Step::Stanza { .. }]));

    let other = Secrets::new(&AwsLc, b"guessed", &[]);
    let forged: [&dyn Fn(&str) -> String; 5] = [
        &|id| other.key(&AwsLc, &pair(), id),
        &|id| secrets.key(&AwsLc, &pair().reversed(), id),
        &|id| secrets.key(&AwsLc, &DomainPair::new(domain("contoso.test"), domain("other.test")), id),
        &|_| secrets.key(&AwsLc, &pair(), "of another stream"),
        &|_| String::new(),
    ];
    for key in forged {
        let host = show(key, &secrets);
        assert_eq!((host.passed(), host.ended_with()), (0, Some(Condition::NotAuthorized)));
        assert!(host.sent.contains("type='invalid'/>") && host.machine.pairs().is_empty());
    }
}

/// What was valid on one stream is shown again on another one.
#[test]
fn a_key_that_was_seen_on_the_wire_is_worth_nothing_elsewhere() {
    let secrets = Secrets::new(&AwsLc, b"s3cret", &[]);
    let mut seen = String::new();
    let first = show(
        |id| {
            seen = secrets.key(&AwsLc, &pair(), id);
            seen.clone()
        },
        &secrets,
    );
    assert_eq!(first.passed(), 1);
    // The same process never gives an id twice; here it is another base.
    let mut host = Host::with(true, Terms { external: Need::NotSupported, ..USUAL });
    host.machine = Accepted::new(host.now, "0ther".into(), true, true, Settings::default());
    host.hears(HEADER);
    host.hears(&format!("<db:result from='contoso.test' to='fabrikam.test'>{seen}</db:result>"));
    let Some(Step::Ask(Question::VerifyKey { pair, id, key })) = host.steps.pop() else { panic!("{:?}", host.steps) };
    assert_eq!(verify(&secrets, &pair, &id, &key), KeyVerdict::Invalid);
}

#[test]
fn a_stream_has_another_id_after_tls() {
    let mut host = Host::new(false);
    host.hears(HEADER);
    host.hears("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    host.answer(Answer::TlsUp { certificate: true, own_certificate: true });
    host.hears(HEADER);
    let ids: Vec<_> = host.sent.match_indices(" id='").map(|(at, _)| &host.sent[at..at + 16]).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
}

#[test]
fn a_forged_key_spares_the_pairs_that_are_proven() {
    let mut host = Host::authenticated();
    host.hears("<db:result from='im.contoso.test' to='fabrikam.test'>k</db:result>");
    let Some(Step::Ask(Question::VerifyKey { pair, .. })) = host.steps.pop() else { panic!("{:?}", host.steps) };
    host.answer(Answer::Key { pair, verdict: KeyVerdict::Invalid });
    assert!(host.sent.contains("type='error'><error type='cancel'><forbidden ") && !host.sent.contains("'invalid'"));
    host.hears(HELLO);
    assert_eq!((host.passed(), host.ended_with()), (1, None));
    host.hears("<message from='a@im.contoso.test' to='b@fabrikam.test'/>");
    assert_eq!((host.passed(), host.ended_with()), (1, Some(Condition::InvalidFrom)));
}

#[test]
fn a_domain_that_is_not_served_here_is_a_dialback_error_and_no_stream_error() {
    let mut host = Host::authenticated();
    for to in ["fabrikam..test", "192.0.2.1", "x&apos;y"] {
        host.hears(&format!("<db:result from='im.contoso.test' to='{to}'>k</db:result>"));
        host.hears(&format!("<db:verify from='im.contoso.test' to='{to}' id='1'>k</db:verify>"));
        for answer in ["result", "verify"] {
            let start = format!("<db:{answer} from='{to}' to='im.contoso.test' ");
            assert!(host.sent.contains(&start), "{start} {}", host.sent);
        }
    }
    assert_eq!(host.sent.matches("<item-not-found ").count(), 6);
    assert_eq!((host.ended_with(), host.steps.len()), (None, 0));
}

#[test]
fn a_pair_that_may_send_is_told_so_again_without_a_question() {
    let mut host = Host::authenticated();
    host.hears("<db:result from='contoso.test' to='fabrikam.test'>k</db:result>");
    assert!(host.sent.contains("type='valid'/>"));
    assert!(host.steps.is_empty(), "{:?}", host.steps);
}

#[test]
fn a_flood_of_keys_makes_us_ask_only_so_many() {
    let mut host = Host::authenticated();
    for number in 0..1000 {
        host.hears(&format!("<db:result from='d{number}.test' to='fabrikam.test'>k</db:result>"));
    }
    assert_eq!(host.steps.len(), 16, "at once");
    assert_eq!(host.sent.matches("<resource-constraint ").count(), 984);
    let mut asked = 0;
    for number in 0..1000 {
        for step in std::mem::take(&mut host.steps) {
            let Step::Ask(Question::VerifyKey { pair, .. }) = step else { panic!("{step:?}") };
            asked += 1;
            host.answer(Answer::Key { pair, verdict: KeyVerdict::Unreachable("nobody there".into()) });
        }
        host.hears(&format!("<db:result from='e{number}.test' to='fabrikam.test'>k</db:result>"));
    }
    assert!((100..=116).contains(&asked), "{asked} in all");
    host.hears(HELLO);
    assert_eq!((host.passed(), host.ended_with()), (1, None), "the pair that is proven goes on");
}

#[test]
fn what_no_server_makes_is_neither_kept_nor_repeated() {
    let long = "k".repeat(2000);
    for text in [
        format!("<db:result from='a.test' to='fabrikam.test'>{long}</db:result>"),
        format!("<db:result from='a.test' to='{long}'>k</db:result>"),
        format!("<db:verify from='a.test' to='fabrikam.test' id='{long}'>k</db:verify>"),
        format!("<db:verify from='a.test' to='fabrikam.test' id='1'>{long}</db:verify>"),
    ] {
        let mut host = Host::authenticated();
        host.hears(&text);
        assert_eq!((host.ended_with(), host.steps.len()), (Some(Condition::PolicyViolation), 1));
        assert!(host.sent.len() < 500);
    }
}
