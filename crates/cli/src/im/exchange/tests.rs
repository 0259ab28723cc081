//! Messages between two played servers: what counts as arrived, what as returned, and when it can't be told.

use super::*;
use crate::im::login::How;
use crate::im::played::{Played, open};

const ANN: &str = "ann@contoso.test/1";
const BOB: &str = "bob@fabrikam.test/2";
const WITHIN: Duration = Duration::from_secs(30);

async fn session(jid: &str) -> (Session, Played) {
    let (wire, _, played) = open(xmpp::jid::domain_of(jid), "").await;
    let how = How { server: String::new(), tls: String::new(), mechanism: "PLAIN", ms: 0 };
    (Session { wire, jid: jid.to_owned(), how }, played)
}

/// What comes of an exchange whose servers do that with the message of Ann and the message of Bob.
async fn exchanged<F: Future<Output = ()>>(play: impl FnOnce(Played, Played, [String; 2]) -> F) -> [Outcome; 2] {
    let ((ann, mut one), (bob, mut other)) = (session(ANN).await, session(BOB).await);
    let played = async {
        let sent = [one.hear("</message>").await, other.hear("</message>").await];
        play(one, other, sent).await;
    };
    tokio::join!(exchange(ann, bob, WITHIN), played).0
}

/// A message as the server of whom it is for hands it on.
fn from(jid: &str, sent: &str) -> String {
    sent.replacen("<message", &format!("<message from='{jid}'"), 1)
}

fn nothing() -> Outcome {
    Outcome::Nothing { seconds: WITHIN.as_secs() }
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_arrives_beside_other_things() {
    let outcomes = exchanged(|mut one, mut other, [of_ann, of_bob]| async move {
        assert!(of_ann.contains("to='bob@fabrikam.test/2'") && of_bob.contains("to='ann@contoso.test/1'"));
        assert!(of_ann.contains("<no-store ") && of_ann.contains("<private "), "{of_ann}");
        other.say("<message from='eve@fabrikam.test'><body>hello</body></message> ").await;
        other.say("<iq from='fabrikam.test' id='p' type='get'><ping xmlns='urn:xmpp:ping'/></iq>").await;
        assert_eq!(other.hear("</iq>").await, "<iq to='fabrikam.test' id='p' type='result'></iq>");
        other.say(&from(ANN, &of_ann)).await;
        one.say(&from(BOB, &of_bob)).await;
        assert!(one.hear("</stream:stream>").await.ends_with("</stream:stream>"));
    });
    assert!(outcomes.await.iter().all(|outcome| matches!(outcome, Outcome::Arrived { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_another_sends_or_has_changed_did_not_arrive() {
    let outcomes = exchanged(|mut one, mut other, [of_ann, of_bob]| async move {
        other.say(&from("eve@contoso.test/1", &of_ann)).await;
        one.say(&from(BOB, &of_bob.replace("it needs no answer", "it needs one"))).await;
        // Both stay until the time is over.
        one.hear("</stream:stream>").await;
        other.hear("</stream:stream>").await;
    });
    assert_eq!(outcomes.await, [nothing(), nothing()]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_is_told_with_its_condition_and_harmless_words() {
    let outcomes = exchanged(|mut one, mut other, [of_ann, of_bob]| async move {
        let id = of_ann.split("id='").nth(1).and_then(|rest| rest.split('\'').next()).expect("it has one").to_owned();
        let error = format!(
            "<message from='{BOB}' id='{id}' type='error'><error type='wait'><remote-server-timeout \
             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no\nway\
             </text></error></message>"
        );
        // At the other end it is no answer to anything.
        other.say(&error).await;
        one.say(&from(BOB, &of_bob)).await;
        one.say(&error).await;
        one.hear("</stream:stream>").await;
        other.hear("</stream:stream>").await;
    });
    let [there, back] = outcomes.await;
    assert!(matches!(back, Outcome::Arrived { .. }), "{back:?}");
    let Outcome::Returned { condition, text, .. } = there else { panic!("{there:?}") };
    assert_eq!((condition.as_str(), text.as_deref()), ("remote-server-timeout", Some("no way")));
}

#[tokio::test(start_paused = true)]
async fn where_a_session_ends_it_can_not_be_told() {
    let outcomes = exchanged(|mut one, mut other, [_, of_bob]| async move {
        one.say(&from(BOB, &of_bob)).await;
        one.say(
            "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
        )
        .await;
        other.hear("</stream:stream>").await;
    });
    let [there, back] = outcomes.await;
    assert!(matches!(back, Outcome::Arrived { .. }), "{back:?}");
    let Outcome::Unknown { what } = there else { panic!("{there:?}") };
    assert_eq!(what, "the stream of ann@contoso.test ended: the server ends the stream with system-shutdown");
}
