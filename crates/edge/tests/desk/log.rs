//! The log: whatever happens, it has no words of people, no addresses of theirs, no keys and no secrets.

use std::fs;

use testkit::lab::border::{Border, BorderPlan, EXTERNAL, server_of};
use testkit::lab::played::{Caller, Conduct, FOOTER, PlayedServer, STARTTLS, What, header};
use testkit::lab::{CONTOSO, FABRIKAM, TAILSPIN};

use crate::rig::{Streams, at_the_border};

/// Never to be seen in a log.
const MARKS: [&str; 6] = ["body-mark", "resource-mark", "user-mark", "key-mark", "secret-mark", "id-mark"];
/// The same as an identity in `<auth/>`: user-mark@fabrikam.test.
const IDENTITY: &str = "dXNlci1tYXJrQGZhYnJpa2FtLnRlc3Q=";

/// A message with marks wherever a person writes.
fn marked(from: &str, to: &str) -> String {
    format!(
        "<message from='user-mark@{from}/resource-mark' to='user-mark@{to}/resource-mark' id='id-mark'>\
         <subject>body-mark</subject><body>body-mark</body></message>"
    )
}

/// Says this first, in clear, and waits for the end.
async fn opens_with(bytes: String) {
    let mut caller = Caller::connect(EXTERNAL).await.expect("fedge listens");
    caller.write(bytes).await.expect("open");
    caller.ending().await.expect("fedge ends it");
}

/// Says this as fabrikam, proven, and waits for the end.
async fn says(border: &Border, bytes: &str) {
    let fabrikams = border.issue(FABRIKAM).expect("ASCII");
    let mut caller = Caller::by_certificate(EXTERNAL, FABRIKAM, CONTOSO, &fabrikams).await.expect("a stream");
    caller.write(format!("{bytes}{FOOTER}")).await.expect("open");
    caller.ending().await.expect("fedge ends it");
}

/// Everything that might make somebody write to the log what he was told.
async fn provoke(border: &Border, streams: &mut Streams) {
    let good = header(FABRIKAM, CONTOSO);
    opens_with(good.replace("from='", "from='user-mark@")).await;
    opens_with(good.replace("to='", "to='user-mark@")).await;
    opens_with(good.replace(&format!("to='{CONTOSO}"), &format!("to='{CONTOSO}/resource-mark"))).await;
    opens_with(format!("{good}{}", marked(FABRIKAM, CONTOSO))).await;
    opens_with(format!("{good}body-mark")).await;
    opens_with(format!("{good}{STARTTLS}body-mark")).await;
    says(border, &marked(TAILSPIN, CONTOSO)).await;
    says(border, &marked("fabrikam..test", CONTOSO)).await;
    says(border, &marked(FABRIKAM, TAILSPIN)).await;
    says(border, &marked(FABRIKAM, CONTOSO).replace("</subject>", "</body>")).await;
    says(border, "<query xmlns='urn:x'>body-mark</query>").await;
    says(border, "<stream:error><host-gone xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>").await;
    // Can't pass, and can't go back.
    let error = marked(FABRIKAM, CONTOSO).replace("id=", "type='error' id=").replace(&format!("@{CONTOSO}"), "@");
    streams.inward.write(error).await.expect("open");
    // A key that nobody made, and an identity that isn't the stream's.
    let mut caller = Caller::connect(EXTERNAL).await.expect("fedge listens");
    caller.starttls(FABRIKAM, CONTOSO, Some(&border.issue(FABRIKAM).expect("ASCII"))).await.expect("TLS");
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>";
    caller.write(format!("{auth}{IDENTITY}</auth>")).await.expect("open");
    caller.until("<invalid-authzid/>").await.expect("refused");
    caller.show_key(FABRIKAM, CONTOSO, "key-mark").await.expect("open");
    caller.until("type='invalid'").await.expect("refused");
    caller.ending().await.expect("fedge ends it");
    // Nobody is there to take it, then somebody who doesn't want it.
    streams.outward.write(marked(CONTOSO, FABRIKAM)).await.expect("open");
}

#[test]
fn no_log_at_any_level_has_words_addresses_or_secrets() {
    let log = "level = \"trace\"\nformat = \"json\"".to_owned();
    let more = "[times]\nhold = 1\n".to_owned();
    at_the_border(&BorderPlan { log, more, ..BorderPlan::default() }.partner(TAILSPIN, ""), |mut border| async move {
        // Secrets from a file, then from one that can't be used; and a damaged key.
        let text = fs::read_to_string(border.config()).expect("it is there");
        let with_secrets = text.replace("private_targets", "dialback_secrets = \"secrets\"\nprivate_targets");
        fs::write(border.config(), with_secrets).expect("written");
        let secrets = border.folder().join("secrets");
        fs::write(&secrets, "secret-mark-0123456789\n").expect("written");
        assert!(border.reload().expect("it says so").contains("were read again"));
        fs::write(&secrets, "secret-mark-0123456789\nsecret-mark\n").expect("written");
        assert!(border.reload().expect("it says so").contains("too short"));
        let certificate = border.folder().join("certificates/contoso.pem");
        let pem = fs::read_to_string(&certificate).expect("it is there");
        fs::write(&certificate, pem.replacen("MII", "M!I", 1).replacen("\nMIG", "\nM!G", 1)).expect("written");
        assert!(border.reload().expect("it says so").contains("stays as it was"));
        fs::write(&certificate, &pem).expect("written");

        let mut streams = Streams::open(&border).await;
        streams.inward.write(marked(FABRIKAM, CONTOSO)).await.expect("open");
        streams.contoso.stanza().await.expect("it arrives");
        streams.outward.write(marked(CONTOSO, FABRIKAM)).await.expect("open");
        streams.fabrikam.stanza().await.expect("it arrives");
        provoke(&border, &mut streams).await;
        streams.fabrikam.stanza().await.expect("it arrives");

        // A key of ours, to a partner that verifies by dialback.
        let tailspins = border.issue(TAILSPIN).expect("ASCII");
        let dialback = Conduct { external: false, ..Conduct::GOOD };
        let mut tailspin = PlayedServer::start(server_of(TAILSPIN), tailspins, dialback).expect("free");
        streams.outward.write(marked(CONTOSO, TAILSPIN)).await.expect("open");
        let heard = tailspin.next().await.expect("a key");
        let What::Key { key, .. } = heard.what else { panic!("a key, not {heard:?}") };

        let log = border.log().expect("a log");
        let lines = pem.lines().filter(|line| line.len() > 40);
        for mark in MARKS.into_iter().chain([key.as_str(), IDENTITY]).chain(lines) {
            assert!(!log.contains(mark), "{mark}: {:?}", log.lines().find(|line| line.contains(mark)));
        }
        // It is a log all the same.
        for event in ["stream authenticated", "stream dialed", "stream closed", "could not pass"] {
            assert!(log.contains(event), "{event}");
        }
        for line in log.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        }
        streams.end(border).await;
    });
}
