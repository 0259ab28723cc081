//! What can't be delivered goes back to its sender as an error; errors and results never do.

use std::collections::BTreeMap;

use testkit::lab::border::{BorderPlan, EXTERNAL, NEXT_HOP, server_of};
use testkit::lab::played::{Caller, Conduct, PlayedServer};
use testkit::lab::{CONTOSO, FABRIKAM};
use xmpp::stanza::STANZA_ERRORS;
use xmpp::xml::tree::Element;
use xmpp::xml::{SERVER, Verbatim};

use crate::beside::at_the_border;

fn stanza(kind: &str, type_: &str, id: &str) -> String {
    format!(
        "<{kind} from='bob@{FABRIKAM}/pc' to='alice@{CONTOSO}' type='{type_}' id='{id}'><x xmlns='urn:x'/></{kind}>"
    )
}

/// The condition in an error stanza.
fn condition(stanza: &Verbatim) -> String {
    let tree = Element::of(stanza).expect("a stanza");
    let error = tree.child(SERVER, "error").expect("an error");
    error.children().find(|child| child.namespace == STANZA_ERRORS).expect("a condition").name.to_string()
}

#[test]
fn errors_come_back_and_are_not_answered_by_errors() {
    let more = "[times]\nhold = 1\n".to_owned();
    at_the_border(&BorderPlan { more, ..BorderPlan::default() }, |border| async move {
        // Contoso's server isn't there.
        let fabrikams = border.issue(FABRIKAM).expect("a certificate");
        let mut fabrikam = PlayedServer::start(server_of(FABRIKAM), fabrikams.clone(), Conduct::GOOD).expect("free");
        let mut caller = Caller::by_certificate(EXTERNAL, FABRIKAM, CONTOSO, &fabrikams).await.expect("a stream");
        for (kind, type_, id) in [
            ("message", "error", "no-1"),
            ("message", "chat", "yes-1"),
            ("iq", "result", "no-2"),
            ("iq", "get", "yes-2"),
            ("presence", "error", "no-3"),
            ("presence", "subscribe", "yes-3"),
            ("iq", "error", "no-4"),
            ("message", "groupchat", "yes-4"),
        ] {
            caller.write(stanza(kind, type_, id)).await.expect("open");
        }
        // Nobody can be told whom these were for; but the second one may not be told at all.
        for type_ in ["chat", "error"] {
            let to = format!("<message from='bob@{FABRIKAM}' to='@{CONTOSO}' type='{type_}' id='where-{type_}'/>");
            caller.write(to).await.expect("open");
        }
        let mut came = BTreeMap::new();
        while came.len() < 5 {
            let (_, error) = fabrikam.stanza().await.expect("an error comes back");
            assert_eq!(error.type_().as_deref(), Some("error"), "{error:?}");
            came.insert(error.id().expect("the id of what it answers").into_owned(), condition(&error));
        }
        let expected = [
            ("where-chat", "jid-malformed"),
            ("yes-1", "remote-server-timeout"),
            ("yes-2", "remote-server-timeout"),
            // Rooms would throw the sender out for any other.
            ("yes-3", "resource-constraint"),
            ("yes-4", "resource-constraint"),
        ];
        assert_eq!(came, expected.map(|(id, condition)| (id.to_owned(), condition.to_owned())).into());
        let status = border.ask(&["status"]).expect("a status");
        assert!(status.contains("10 = 0 taken + 5 returned + 5 failed + 0 in flight"), "{status}");
        for (id, fate) in [
            ("no-1", "failed, and such a stanza is not returned"),
            ("yes-1", "returned to its sender: remote-server-timeout"),
            ("where-chat", "returned to its sender"),
            ("where-error", "failed"),
        ] {
            let told = border.ask(&["stanza", id]).expect("an answer");
            assert!(told.contains(fate), "{id}: {told}");
        }
        // It is there again: all goes on, by the stream that there was.
        let contosos = border.issue(CONTOSO).expect("a certificate");
        let mut contoso = PlayedServer::start(NEXT_HOP, contosos, Conduct::GOOD).expect("free");
        caller.write(stanza("message", "chat", "later")).await.expect("open");
        assert_eq!(contoso.stanza().await.expect("delivered").1.id().as_deref(), Some("later"));
        caller.close().await.expect("fedge answers the end");
        assert!(fabrikam.heard().is_empty(), "nothing else came back");
        border.stop().expect("fedge ends well");
    });
}

#[test]
fn an_error_comes_again_where_the_stream_that_brought_it_broke() {
    let more = "[times]\nhold = 3\n".to_owned();
    at_the_border(&BorderPlan { more, ..BorderPlan::default() }, |border| async move {
        // Contoso's server isn't there. Fabrikam's dies of the error, before it can have told that it has it.
        let fabrikams = border.issue(FABRIKAM).expect("a certificate");
        let deaf = Conduct { external: false, deaf: true, ..Conduct::default() };
        let mut fabrikam = PlayedServer::start(server_of(FABRIKAM), fabrikams.clone(), deaf).expect("free");
        let mut caller = Caller::by_certificate(EXTERNAL, FABRIKAM, CONTOSO, &fabrikams).await.expect("a stream");
        caller.write(stanza("message", "chat", "lost")).await.expect("open");
        let (_, error) = fabrikam.stanza().await.expect("an error comes back");
        assert_eq!(error.id().as_deref(), Some("lost"));
        let status = border.ask(&["status"]).expect("a status");
        assert!(status.contains("1 returned + 0 failed + 0 in flight"), "{status}");
        assert!(status.contains("errors on their way back to senders: 1"), "nobody says that it was taken: {status}");
        fabrikam.stop().await;
        let mut again = PlayedServer::start(server_of(FABRIKAM), fabrikams, Conduct::GOOD).expect("free");
        let (_, error) = again.stanza().await.expect("it comes again");
        assert_eq!((error.id().as_deref(), error.type_().as_deref()), (Some("lost"), Some("error")));
        caller.close().await.expect("fedge answers the end");
        border.stop().expect("fedge ends well");
    });
}
