//! xmpp's machines against scripted peers: each quirk of a real server, with the line that copes with it.

use std::time::Instant;

use testkit::scripted::{self, Player, Script, Turn, ejabberd, mongooseim, openfire, prosody, tigase};
use xmpp::domain::{Domain, DomainPair};
use xmpp::stanza::Stanza;
use xmpp::stream::{Accepted, Answer, Dialed, End, Goal, KeyVerdict, Method, Need, Question, Settings, Step, Terms};

/// No script has as many acts.
const TURNS: usize = 100;
const USUAL: Terms = Terms { tls: Need::Required, external: Need::Optional, dialback: true };
const NO_TLS: Terms = Terms { tls: Need::Optional, external: Need::Optional, dialback: true };

fn pair(from: &str, to: &str) -> DomainPair {
    let domain = |text| Domain::parse(text).expect("a domain");
    DomainPair::new(domain(from), domain(to))
}

/// What came of a machine and a scripted peer.
#[derive(Default)]
struct Outcome {
    authenticated: Vec<(DomainPair, Method)>,
    ready: Option<Method>,
    /// Stanzas of ours that the peer has taken.
    taken: u64,
    /// Keys that we would have had verified.
    keys: Vec<(DomainPair, String, String)>,
    passed: Vec<Stanza>,
    returned: usize,
    end: Option<End>,
}

/// The script plays whoever dials us. Every question is answered kindly.
fn accepts(script: Script, terms: Terms, secure: bool) -> Outcome {
    let now = Instant::now();
    let mut machine = Accepted::new(now, "s3cret".into(), secure, secure, Settings::default());
    let (mut player, mut outcome) = (Player::new(script), Outcome::default());
    for _ in 0..TURNS {
        while let Some(step) = machine.poll(now) {
            let answer = match step {
                Step::Send(bytes) => {
                    player.hears(&bytes);
                    continue;
                }
                Step::StartTls => {
                    assert_eq!(player.turn(), Ok(Turn::StartTls));
                    Answer::TlsUp { certificate: true, own_certificate: true }
                }
                Step::Ask(Question::Arrive { .. }) => Answer::Arrive(Ok(terms)),
                Step::Ask(Question::Judge { .. }) => Answer::Judged(Ok(())),
                Step::Ask(Question::Admit { pair, .. }) => Answer::Admit(pair, Ok(())),
                Step::Ask(Question::VerifyKey { pair, id, key }) => {
                    outcome.keys.push((pair.clone(), id, key));
                    Answer::Key { pair, verdict: KeyVerdict::Valid }
                }
                step => {
                    outcome.note(step);
                    continue;
                }
            };
            machine.answer(now, answer);
        }
        match player.turn().expect("what the script demands") {
            Turn::Say(text) => machine.input().extend_from_slice(text.as_bytes()),
            Turn::HangUp => machine.eof(),
            Turn::Wait => panic!("{:?}, and {:?}", player.end(), outcome.end),
            Turn::StartTls => panic!("the machine is not at TLS yet"),
            Turn::Done if machine.is_over() || machine.input().is_empty() => return outcome,
            Turn::Done => {}
        }
    }
    panic!("the two go in circles")
}

/// The script plays whom we dial with direct TLS, for stanzas of `pair`, of which one is sent.
fn dials(script: Script, pair: DomainPair) -> Outcome {
    let now = Instant::now();
    let mut machine = Dialed::new(now, pair, Goal::Carry, USUAL, true, true, Settings::default());
    let (mut player, mut outcome) = (Player::new(script), Outcome::default());
    for _ in 0..TURNS {
        while let Some(step) = machine.poll(now) {
            match step {
                Step::Send(bytes) => player.hears(&bytes),
                Step::Ask(Question::Judge { .. }) => machine.answer(now, Answer::Judged(Ok(()))),
                Step::Ask(Question::MakeKey { id, .. }) => {
                    machine.answer(now, Answer::MadeKey(format!("key for {id}")));
                }
                Step::Ready { method } => {
                    outcome.ready = Some(method);
                    player.hears(b"<message from='a@contoso.test' to='b@fabrikam.test'/>");
                    machine.sent(now, 1);
                }
                step => outcome.note(step),
            }
        }
        match player.turn().expect("what the script demands") {
            Turn::Say(text) => machine.input().extend_from_slice(text.as_bytes()),
            Turn::Done if !machine.input().is_empty() => {}
            Turn::Done => {
                assert_eq!(player.unasked(), "", "nobody asked for this");
                return outcome;
            }
            turn => panic!("{turn:?}: {:?}, and {:?}", player.end(), outcome.end),
        }
    }
    panic!("the two go in circles")
}

impl Outcome {
    fn note(&mut self, step: Step) {
        match step {
            Step::Authenticated { pair, method } => self.authenticated.push((pair, method)),
            Step::Taken { stanzas } => self.taken = stanzas,
            Step::Stanza { stanza, .. } => self.passed.push(stanza),
            Step::Return { .. } => self.returned += 1,
            Step::End(end) => self.end = Some(end),
            other => panic!("unexpected: {other:?}"),
        }
    }
}

#[test]
fn openfire_opens_a_connection_only_to_close_it() {
    let outcome = accepts(openfire::probe(), USUAL, false);
    assert_eq!(outcome.end, Some(End::Probe), "no fault, and nothing for the log");
    let outcome = accepts(openfire::trunks(&["contoso.test"], "fabrikam.test"), NO_TLS, false);
    assert_eq!(outcome.authenticated, [(pair("contoso.test", "fabrikam.test"), Method::Dialback)]);
}

#[test]
fn openfire_shows_keys_for_foreign_domains_on_one_stream() {
    let domains = ["hub.test", "contoso.test", "im.contoso.test"];
    let stanza = |from: &str| format!("<message from='a@{from}' to='b@fabrikam.test'/>");
    let said = domains.iter().fold(Script::new(), |script, domain| script.say(stanza(domain)));
    let script = openfire::trunks(&domains, "fabrikam.test").then(said).say(stanza("other.test"));
    let outcome = accepts(script, NO_TLS, true);
    let expected = domains.map(|domain| (pair(domain, "fabrikam.test"), Method::Dialback));
    assert_eq!(outcome.authenticated, expected);
    assert_eq!(outcome.passed.len(), 3);
    // Each key was made for this stream, and each pair is verified by its own domain's server.
    for ((asked, id, key), domain) in outcome.keys.iter().zip(domains) {
        assert_eq!((asked, key), (&pair(domain, "fabrikam.test"), &format!("key of {domain} for {id}")));
    }
    assert!(matches!(outcome.end, Some(End::OurError(error)) if error.text.contains("other.test")));
}

#[test]
fn openfire_falls_back_to_a_stream_without_a_version() {
    let outcome = accepts(openfire::dials_without_version("contoso.test", "fabrikam.test"), NO_TLS, false);
    assert_eq!(outcome.authenticated, [(pair("contoso.test", "fabrikam.test"), Method::Dialback)]);
}

#[test]
fn mongooseim_hides_its_name_before_tls_and_demands_ours_as_it_wrote_it() {
    for to in ["fabrikam.test", "Fabrikam.Test", "xn--bcher-kva.example"] {
        let outcome = accepts(mongooseim::dials("contoso.test", to), USUAL, false);
        assert_eq!(outcome.authenticated, [(pair("contoso.test", to), Method::External)]);
        assert_eq!(outcome.end, None);
    }
}

#[test]
fn tigase_comes_by_a_mapped_name_and_asks_for_the_partner_all_the_same() {
    let outcome = accepts(tigase::dials_by_a_mapped_name("contoso.test", "fabrikam.test"), USUAL, false);
    assert_eq!(outcome.authenticated, [(pair("contoso.test", "fabrikam.test"), Method::External)]);
}

#[test]
fn tigase_offers_external_refuses_it_and_takes_dialback() {
    let script = tigase::refuses_external_and_takes_dialback("fabrikam.test", "contoso.test");
    let outcome = dials(script, pair("fabrikam.test", "contoso.test"));
    assert_eq!((outcome.ready, outcome.taken, outcome.end), (Some(Method::Dialback), 1, None));
}

#[test]
fn offers_of_bidi_and_limits_are_passed_over_and_every_peer_tells_what_it_took() {
    for script in [
        prosody::is_dialed("contoso.test", "fabrikam.test"),
        prosody::is_dialed_without_dialback("contoso.test", "fabrikam.test"),
        ejabberd::is_dialed("contoso.test", "fabrikam.test"),
    ] {
        let outcome = dials(script, pair("contoso.test", "fabrikam.test"));
        assert_eq!((outcome.ready, outcome.taken, outcome.end), (Some(Method::External), 1, None));
    }
}

#[test]
fn ejabberd_that_would_like_bidi_is_content_without() {
    let script =
        ejabberd::dials("contoso.test", "fabrikam.test", "<message from='a@contoso.test' to='b@fabrikam.test'/>");
    let outcome = accepts(script, USUAL, true);
    assert_eq!(outcome.authenticated, [(pair("contoso.test", "fabrikam.test"), Method::External)]);
    assert_eq!((outcome.passed.len(), outcome.end), (1, None));
}

/// What servers behind us would read otherwise than we: it must not reach them.
#[test]
fn stanzas_that_loose_readers_would_misread_go_back() {
    for stanza in [
        // Openfire (dom4j) and jabberd2 (nad_find_attr): the first attribute of that local name.
        "<message xmlns:x='u' x:from='boss@fabrikam.test' from='a@contoso.test' to='b@fabrikam.test'/>",
        // Tigase: references in addresses stay as they are, so this would come from fabrikam.test.
        "<message from='contoso.test&#47;boss@fabrikam.test' to='b@fabrikam.test'/>",
        // Prosody, ejabberd: another domain than that of the stream, which would end it.
        "<message from='a@contoso.test.' to='b@fabrikam.test'/>",
    ] {
        let outcome = accepts(ejabberd::dials("contoso.test", "fabrikam.test", stanza), USUAL, true);
        assert_eq!((outcome.passed.len(), outcome.returned, outcome.end), (0, 1, None), "{stanza}");
    }
}

/// ejabberd 23.01 takes a line feed in a namespace name for its own separator and ends the stream.
#[test]
fn namespaces_that_ejabberd_would_choke_on_do_not_pass() {
    let stanza = "<message from='a@contoso.test' to='b@fabrikam.test'><x xmlns='u&#10;v'/></message>";
    let outcome = accepts(ejabberd::dials("contoso.test", "fabrikam.test", stanza), USUAL, true);
    assert!(outcome.passed.is_empty());
    assert!(matches!(outcome.end, Some(End::OurError(error)) if error.text.contains("white space")));
}

#[tokio::test]
async fn two_scripts_play_over_a_wire() {
    let (one, other) = tokio::io::duplex(64);
    let mut dialing =
        Player::new(Script::new().say("<stream:stream id='1'>").hear(scripted::hear("<a").with("for 1")).start_tls());
    let said =
        Script::new().hear(scripted::hear("<stream:stream ")).say("<a>for {id}</a>").hear(scripted::hear("<never"));
    let mut accepting = Player::new(said);
    let accepting = async { scripted::play(&mut accepting, other).await };
    let dialing = async {
        let turn = scripted::play(&mut dialing, one).await;
        assert_eq!(turn.expect("what it demands"), Turn::StartTls);
    };
    let ((), surprise) = tokio::join!(dialing, accepting);
    let surprise = surprise.expect_err("the other side left too early");
    assert!(surprise.downcast_ref::<scripted::Surprise>().is_some_and(|surprise| surprise.expected.contains("<never")));
}
