//! Dialback that proves nothing: forged and replayed keys, authorities that say no or nothing, floods.

use std::net::SocketAddr;

use testkit::lab::border::{Border, BorderPlan, EXTERNAL, INTERNAL, server_of};
use testkit::lab::played::{Caller, Conduct, PlayedServer, header};
use testkit::lab::{CONTOSO, FABRIKAM, TAILSPIN, WOODGROVE};

use crate::beside::{Beside, at_the_border, ended_with};

const DIALBACK: Conduct = Conduct { external: false, ..Conduct::GOOD };

/// The server that a partner's DNS leads to.
fn authority(border: &Border, domain: &str, conduct: Conduct) -> PlayedServer {
    PlayedServer::start(server_of(domain), border.issue(domain).expect("a certificate"), conduct).expect("free")
}

/// In TLS, without a certificate; and the stream's id.
async fn opens(at: SocketAddr, from: &str, to: &str) -> (Caller, String) {
    let mut caller = Caller::connect(at).await.expect("fedge listens");
    caller.starttls(from, to, None).await.expect("TLS");
    let features = caller.until("</stream:features>").await.expect("features");
    let id = features.split_once(" id='").and_then(|(_, rest)| rest.split_once('\'')).expect("an id").0.to_owned();
    (caller, id)
}

fn verdict(kind: &str) -> String {
    format!("type='{kind}'")
}

fn message(from: &str, to: &str) -> String {
    format!("<message from='eve@{from}' to='alice@{to}'><body>evil</body></message>")
}

#[test]
fn only_the_key_of_this_stream_and_this_pair_proves_anything() {
    at_the_border(&BorderPlan::default().partner(TAILSPIN, ""), |border| async move {
        let mut beside = Beside::new(&border).await;
        let fabrikam = authority(&border, FABRIKAM, DIALBACK);

        let (mut first, id) = opens(EXTERNAL, FABRIKAM, CONTOSO).await;
        fabrikam.answers_for(&id, "genuine");
        first.show_key(FABRIKAM, CONTOSO, "genuine").await.expect("open");
        first.until(&verdict("valid")).await.expect("a genuine key is valid");

        for key in ["forged", "", "genuine "] {
            let (mut caller, id) = opens(EXTERNAL, FABRIKAM, CONTOSO).await;
            if key != "forged" {
                fabrikam.answers_for(&id, "another");
            }
            caller.show_key(FABRIKAM, CONTOSO, key).await.expect("open");
            caller.until(&verdict("invalid")).await.expect("the authority says no");
            ended_with(&caller.ending().await.expect("fedge ends it"), "not-authorized").expect(key);
            beside.goes_on().await;
        }
        // The first stream's key, replayed on another.
        let (mut caller, _) = opens(EXTERNAL, FABRIKAM, CONTOSO).await;
        caller.show_key(FABRIKAM, CONTOSO, "genuine").await.expect("open");
        caller.until(&verdict("invalid")).await.expect("it was made for another stream");
        ended_with(&caller.ending().await.expect("fedge ends it"), "not-authorized").expect("replayed");
        beside.goes_on().await;

        // What is proven for one domain is proven for no other, and a bad key takes nothing away.
        first.show_key(FABRIKAM, "nobody.test", "genuine").await.expect("open");
        first.until(&verdict("error")).await.expect("not served");
        first.show_key(CONTOSO, CONTOSO, "genuine").await.expect("open");
        first.until(&verdict("error")).await.expect("one of us, from outside");
        first.show_key(TAILSPIN, CONTOSO, "genuine").await.expect("open");
        first.until(&verdict("error")).await.expect("tailspin's server isn't there");
        first.write(message(TAILSPIN, CONTOSO)).await.expect("open");
        ended_with(&first.ending().await.expect("fedge ends it"), "invalid-from").expect("not proven");
        beside.goes_on().await;
        beside.ends(border).await;
    });
}

#[test]
fn an_internal_server_is_asked_about_where_its_configuration_says() {
    at_the_border(&BorderPlan::default(), |border| async move {
        let mut beside = Beside::new(&border).await;
        // Whoever connects from inside: contoso's own server, its configured next hop, didn't make this key.
        let (mut caller, _) = opens(INTERNAL, CONTOSO, FABRIKAM).await;
        caller.show_key(CONTOSO, FABRIKAM, "forged").await.expect("open");
        caller.until(&verdict("invalid")).await.expect("contoso's server says no");
        ended_with(&caller.ending().await.expect("fedge ends it"), "not-authorized").expect("forged");
        let (mut caller, id) = opens(INTERNAL, CONTOSO, FABRIKAM).await;
        beside.contoso.answers_for(&id, "genuine");
        caller.show_key(CONTOSO, FABRIKAM, "genuine").await.expect("open");
        caller.until(&verdict("valid")).await.expect("contoso's server says yes");
        assert!(caller.close().await.expect("fedge answers the end").closed);
        assert!(!border.dns.questions().iter().any(|question| question.name.contains(CONTOSO)), "nobody asked DNS");
        beside.contoso.heard();
        beside.goes_on().await;
        beside.ends(border).await;
    });
}

#[test]
fn an_authority_that_can_not_be_asked_leaves_the_stream_unproven() {
    let more = "[times]\nestablish = 3\n".to_owned();
    at_the_border(&BorderPlan { more, ..BorderPlan::default() }, |border| async move {
        let mut beside = Beside::new(&border).await;
        let unproven = async |mut caller: Caller| {
            caller.show_key(FABRIKAM, CONTOSO, "key").await.expect("open");
            let answer = caller.until("</db:result>").await.expect("an answer");
            assert!(answer.contains(&verdict("error")) && answer.contains("remote-server-not-found"), "{answer}");
            caller.write(message(FABRIKAM, CONTOSO)).await.expect("open");
            ended_with(&caller.ending().await.expect("fedge ends it"), "not-authorized").expect("unproven");
        };
        unproven(opens(EXTERNAL, FABRIKAM, CONTOSO).await.0).await;
        beside.goes_on().await;
        // One who accepts and says nothing: the stream that waits for it has no more time than any other.
        let _silent = authority(&border, FABRIKAM, Conduct { silent: true, ..DIALBACK });
        let (mut caller, _) = opens(EXTERNAL, FABRIKAM, CONTOSO).await;
        caller.show_key(FABRIKAM, CONTOSO, "key").await.expect("open");
        ended_with(&caller.ending().await.expect("fedge ends it"), "connection-timeout").expect("too late");
        beside.goes_on().await;
        beside.ends(border).await;
    });
}

#[test]
fn each_pair_is_judged_by_its_own_terms_on_whichever_stream_it_comes() {
    let plan =
        BorderPlan { partners: vec![(FABRIKAM.to_owned(), "tls = \"optional\"".to_owned())], ..BorderPlan::default() };
    let plan =
        plan.partner(TAILSPIN, "external = \"required\"\ndialback = false").partner(WOODGROVE, "tls = \"required\"");
    at_the_border(&plan, |border| async move {
        let mut beside = Beside::new(&border).await;
        let tailspin = authority(&border, TAILSPIN, DIALBACK);
        let woodgrove = authority(&border, WOODGROVE, DIALBACK);
        // On a stream of one who may use dialback, for one who must show a certificate.
        let (mut caller, id) = opens(EXTERNAL, FABRIKAM, CONTOSO).await;
        tailspin.answers_for(&id, "genuine");
        caller.show_key(TAILSPIN, CONTOSO, "genuine").await.expect("open");
        let answer = caller.until("/>").await.expect("an answer");
        assert!(answer.contains(&verdict("error")), "dialback is not for tailspin: {answer}");
        beside.goes_on().await;
        // In clear, which fabrikam may and woodgrove may not.
        let mut caller = Caller::connect(EXTERNAL).await.expect("fedge listens");
        caller.write(header(FABRIKAM, CONTOSO)).await.expect("open");
        let features = caller.until("</stream:features>").await.expect("features");
        let id = features.split_once(" id='").and_then(|(_, rest)| rest.split_once('\'')).expect("an id").0.to_owned();
        woodgrove.answers_for(&id, "genuine");
        caller.show_key(WOODGROVE, CONTOSO, "genuine").await.expect("open");
        let answer = caller.until("/>").await.expect("an answer");
        assert!(answer.contains(&verdict("error")), "TLS is required of woodgrove: {answer}");
        beside.goes_on().await;
        beside.ends(border).await;
    });
}

#[test]
fn floods_of_keys_and_pairs_are_bounded() {
    let plan = BorderPlan::default().partner("*.fabrikam.test", "next_hop = \"127.0.4.1:5269\"");
    at_the_border(&plan, |border| async move {
        let mut beside = Beside::new(&border).await;
        let mut silent = authority(&border, FABRIKAM, Conduct { silent: true, ..DIALBACK });
        let (mut caller, _) = opens(EXTERNAL, FABRIKAM, CONTOSO).await;
        let pairs: String =
            (0..1000).map(|n| format!("<db:result from='n{n}.fabrikam.test' to='{CONTOSO}'>key</db:result>")).collect();
        caller.write(pairs).await.expect("open");
        caller.until("from='contoso.test' to='n999.fabrikam.test' type='error'").await.expect("refused at once");
        beside.goes_on().await;
        assert!(silent.streams() <= 16, "{} streams were dialed for one that proved nothing", silent.streams());
        silent.stop().await;
        // A genuine authority, and one who guesses.
        let _authority = authority(&border, FABRIKAM, DIALBACK);
        let (mut caller, _) = opens(EXTERNAL, FABRIKAM, CONTOSO).await;
        let guesses: String =
            (0..10_000).map(|n| format!("<db:result from='{FABRIKAM}' to='{CONTOSO}'>{n}</db:result>")).collect();
        let _ = caller.write(guesses).await;
        ended_with(&caller.ending().await.expect("fedge ends it"), "not-authorized").expect("the first wrong guess");
        beside.goes_on().await;
        // One who asks us whether we made what he guesses, and would take yes for an answer.
        let (mut caller, _) = opens(EXTERNAL, FABRIKAM, CONTOSO).await;
        let questions: String = (0..10_000)
            .map(|n| format!("<db:verify from='{FABRIKAM}' to='{CONTOSO}' id='{n}'>{n:064x}</db:verify>"))
            .collect();
        caller.write(questions).await.expect("open");
        let answers = caller.until("id='9999' type='invalid'/>").await.expect("each is answered");
        assert_eq!(answers.matches("type='invalid'").count(), 10_000);
        beside.goes_on().await;
        beside.ends(border).await;
    });
}
