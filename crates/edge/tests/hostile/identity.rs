//! Speaking for somebody else: in the stream header, in stanzas, on both faces; and through us to others.

use testkit::lab::border::{BorderPlan, EXTERNAL, INTERNAL};
use testkit::lab::played::{Caller, header};
use testkit::lab::{CONTOSO, FABRIKAM, TAILSPIN};

use crate::beside::{Beside, at_the_border, attack, ended_with};

fn two_partners() -> BorderPlan {
    BorderPlan::default().partner(TAILSPIN, "").partner("*.fabrikam.test", "")
}

#[test]
fn who_may_not_come_is_told_so_before_he_proves_anything() {
    at_the_border(&two_partners(), |border| async move {
        let mut beside = Beside::new(&border).await;
        for (at, from, to, condition) in [
            (EXTERNAL, CONTOSO, CONTOSO, "invalid-from"),
            (EXTERNAL, "CONTOSO.test.", CONTOSO, "invalid-from"),
            (EXTERNAL, "chat.contoso.test", CONTOSO, "policy-violation"),
            (EXTERNAL, "woodgrove.test", CONTOSO, "policy-violation"),
            (EXTERNAL, "fabrikam.test.woodgrove.test", CONTOSO, "policy-violation"),
            (EXTERNAL, "a@fabrikam.test", CONTOSO, "invalid-from"),
            (EXTERNAL, "127.0.4.1", CONTOSO, "invalid-from"),
            (EXTERNAL, FABRIKAM, TAILSPIN, "host-unknown"),
            (EXTERNAL, FABRIKAM, FABRIKAM, "host-unknown"),
            (INTERNAL, FABRIKAM, TAILSPIN, "invalid-from"),
            (INTERNAL, "chat.contoso.test", FABRIKAM, "invalid-from"),
            (INTERNAL, CONTOSO, "woodgrove.test", "policy-violation"),
            (INTERNAL, CONTOSO, "chat.contoso.test", "policy-violation"),
        ] {
            let ending = attack(at, header(from, to)).await;
            ended_with(&ending, condition).unwrap_or_else(|fault| panic!("{from} to {to} at {at}: {fault}"));
            beside.goes_on().await;
        }
        beside.ends(border).await;
    });
}

#[test]
fn a_stanza_of_somebody_else_ends_the_stream_and_gets_nowhere() {
    at_the_border(&two_partners(), |border| async move {
        let mut beside = Beside::new(&border).await;
        let outsider = beside.fabrikams.clone();
        let insider = beside.contosos.clone();
        for (at, stranger, to, condition) in [
            (EXTERNAL, format!("ceo@{CONTOSO}"), CONTOSO, "invalid-from"),
            (EXTERNAL, format!("bob@{TAILSPIN}/x"), CONTOSO, "invalid-from"),
            (EXTERNAL, "bob@sub.fabrikam.test".to_owned(), CONTOSO, "invalid-from"),
            (EXTERNAL, "chat.contoso.test".to_owned(), CONTOSO, "invalid-from"),
            (EXTERNAL, "fabrikam.test@tailspin.test".to_owned(), CONTOSO, "invalid-from"),
            (EXTERNAL, "tailspin.test/fabrikam.test".to_owned(), CONTOSO, "invalid-from"),
            // The same letters, full width: not the same everywhere.
            (EXTERNAL, "bob@ｆabrikam.test".to_owned(), CONTOSO, "improper-addressing"),
            (INTERNAL, format!("bob@{FABRIKAM}"), FABRIKAM, "invalid-from"),
            (INTERNAL, "alice@chat.contoso.test".to_owned(), FABRIKAM, "invalid-from"),
        ] {
            let (from, identity) = if at == EXTERNAL { (FABRIKAM, &outsider) } else { (CONTOSO, &insider) };
            let mut caller = Caller::by_certificate(at, from, to, identity).await.expect("a stream");
            caller
                .write(format!("<message from='{stranger}' to='alice@{to}'><body>evil</body></message>"))
                .await
                .expect("open");
            ended_with(&caller.ending().await.expect("fedge ends it"), condition)
                .unwrap_or_else(|fault| panic!("{stranger} at {at}: {fault}"));
            // Were it delivered, it would come here before the next good message.
            beside.goes_on().await;
        }
        beside.ends(border).await;
    });
}

#[test]
fn nothing_is_relayed_between_outsiders_nor_between_insiders() {
    at_the_border(&two_partners(), |border| async move {
        let mut beside = Beside::new(&border).await;
        let outsider = beside.fabrikams.clone();
        let insider = beside.contosos.clone();
        for (at, from, to, others) in [
            (EXTERNAL, FABRIKAM, CONTOSO, TAILSPIN),
            (EXTERNAL, FABRIKAM, CONTOSO, "woodgrove.test"),
            (EXTERNAL, FABRIKAM, CONTOSO, "chat.contoso.test"),
            (EXTERNAL, FABRIKAM, CONTOSO, FABRIKAM),
            (INTERNAL, CONTOSO, FABRIKAM, CONTOSO),
            (INTERNAL, CONTOSO, FABRIKAM, "woodgrove.test"),
        ] {
            let identity = if at == EXTERNAL { &outsider } else { &insider };
            let mut caller = Caller::by_certificate(at, from, to, identity).await.expect("a stream");
            caller
                .write(format!("<iq from='eve@{from}' to='x@{others}' id='1' type='get'><q xmlns='urn:x'/></iq>"))
                .await
                .expect("open");
            caller.until("<policy-violation").await.unwrap_or_else(|error| panic!("{from} to {others}: {error}"));
            caller.close().await.expect("fedge answers the end");
            beside.goes_on().await;
        }
        let asked = border.dns.questions();
        assert!(
            !asked.iter().any(|question| question.name.contains("tailspin") || question.name.contains("woodgrove")),
            "{asked:?}"
        );
        beside.ends(border).await;
    });
}
