//! Logins at played servers: which mechanism is used, and what is believed.

use super::*;
use crate::im::accounts::Password;
use crate::im::played::open;

fn account() -> Account {
    Account {
        jid: "ann@contoso.test".to_owned(),
        user: "ann".to_owned(),
        domain: "contoso.test".parse().expect("good"),
        password: Password::new("pencil"),
        server: None,
        trusted: None,
    }
}

fn offer(mechanisms: &[&str]) -> String {
    let each: String = mechanisms.iter().map(|name| format!("<mechanism>{name}</mechanism>")).collect();
    format!("<mechanisms xmlns='{SASL}'>{each}</mechanisms>")
}

/// What comes of a proof where the server says that, each after something of the client's; and all that the client said.
async fn proof(mechanisms: &[&str], says: &[&str]) -> (Result<&'static str, Trouble>, String) {
    let (mut wire, features, mut played) = open("contoso.test", &offer(mechanisms)).await;
    let account = account();
    let server = async {
        let mut heard = String::new();
        for say in says {
            heard += &played.hear(">").await;
            played.say(say).await;
        }
        heard
    };
    tokio::join!(proven(&mut wire, &features, &account), server)
}

#[tokio::test]
async fn plain_is_used_where_there_is_nothing_better() {
    let (proven, heard) = proof(&["X-OTHER", "PLAIN"], &[&format!("<success xmlns='{SASL}'/>")]).await;
    assert_eq!(proven.expect("it is taken"), "PLAIN");
    assert!(heard.contains(&STANDARD.encode("\0ann\0pencil")), "{heard}");
    let (refused, _) = proof(&["X-OTHER", "SCRAM-SHA-512"], &[]).await;
    assert!(matches!(refused, Err(Trouble::NoMechanism(offered)) if offered == "X-OTHER SCRAM-SHA-512"));
}

#[tokio::test]
async fn a_server_that_proves_nothing_is_not_believed() {
    // Success at once, a nonce of its own, and the word that all is good without a proof.
    let success = format!("<success xmlns='{SASL}'/>");
    let (proven, heard) = proof(&["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"], &[&success]).await;
    assert!(matches!(proven, Err(Trouble::Unproven(_))), "{proven:?}");
    assert!(heard.contains("mechanism='SCRAM-SHA-256'") && !heard.contains("pencil"), "{heard}");
    let foreign = STANDARD.encode("r=other,s=QSXCR+Q6sek8bf92,i=4096");
    let challenge = format!("<challenge xmlns='{SASL}'>{foreign}</challenge>");
    let (proven, _) = proof(&["SCRAM-SHA-1"], &[&challenge]).await;
    assert!(matches!(proven, Err(Trouble::Unproven(_))), "{proven:?}");
}

#[tokio::test]
async fn a_proof_that_is_none_is_found_out() {
    let (mut wire, features, mut played) = open("contoso.test", &offer(&["SCRAM-SHA-1"])).await;
    let account = account();
    let server = async {
        let heard = played.hear("</auth>").await;
        let first = heard.split_once('>').and_then(|(_, rest)| rest.strip_suffix("</auth>")).expect("a message");
        let first = String::from_utf8(STANDARD.decode(first).expect("Base64")).expect("text");
        let nonce = first.strip_prefix("n,,n=ann,r=").expect("a nonce");
        let challenge = STANDARD.encode(format!("r={nonce}more,s=QSXCR+Q6sek8bf92,i=1"));
        played.say(&format!("<challenge xmlns='{SASL}'>{challenge}</challenge>")).await;
        played.hear("</response>").await;
        played.say(&format!("<success xmlns='{SASL}'>{}</success>", STANDARD.encode("v=AAAA"))).await;
    };
    let (proven, ()) = tokio::join!(proven(&mut wire, &features, &account), server);
    assert!(matches!(proven, Err(Trouble::Unproven(_))), "{proven:?}");
}

#[tokio::test]
async fn a_refusal_is_told_with_the_server_s_words() {
    let failure =
        format!("<failure xmlns='{SASL}'><account-disabled/><text xml:lang='en'>ask\u{85}Eve</text></failure>");
    let (proven, _) = proof(&["PLAIN"], &[&failure]).await;
    let told = proven.expect_err("it is refused").told("ann@contoso.test");
    assert_eq!(told.what, "the server refuses the login with account-disabled (ask Eve)");
    assert_eq!((told.cause.as_str(), told.fix.as_str()), ("the account is locked", "unlock ann@contoso.test"));
}
