//! `trace`: what one stream says and hears, without what people say.

use std::fs;
use std::process::Command;
use std::time::Duration;

use testkit::lab::border::BorderPlan;
use testkit::lab::{CONTOSO, FABRIKAM};
use testkit::process::Daemon;

use crate::rig::{Streams, at_the_border};

/// Longer than anything takes here that is to come at all.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_trace_shows_markup_and_nobodys_words() {
    at_the_border(&BorderPlan::default(), |border| async move {
        let mut streams = Streams::open(&border).await;
        streams.say("before", "hello").await;
        let listed = border.ask(&["streams"]).expect("streams");
        let number = |direction: &str, pair: &str| {
            let line = listed.lines().find(|line| line.contains(direction) && line.contains(pair)).expect("a stream");
            line.split_whitespace().next().expect("a number").to_owned()
        };
        let follow = |number: &str| {
            let mut command = Command::new(border.programs.path("fedge-edge"));
            command.args(["trace", number, "--socket"]).arg(border.folder().join("socket"));
            let shown = border.folder().join(format!("trace-{number}"));
            Daemon::start("a trace", command, &shown).expect("it starts")
        };
        let mut heard = follow(&number("accepted", "fabrikam.test -> contoso.test"));
        let mut said = follow(&number("dialed", "fabrikam.test -> contoso.test"));
        let mut tries = 0;
        // It isn't told when a trace has begun.
        while fs::read(heard.log()).expect("it is there").is_empty()
            || fs::read(said.log()).expect("it is there").is_empty()
        {
            tries += 1;
            assert!(tries < 500, "nothing is shown");
            streams.say(&format!("try-{tries}"), "secret-words").await;
        }
        streams.say("marked", "secret-words").await;
        heard.wait_for_line("< <message from='bob@fabrikam.test/resource-mark' to='alice@contoso.test' id='marked'><body>…</body></message>", PATIENCE).expect("shown");
        said.wait_for_line("id='marked'><body>…</body></message>", PATIENCE).expect("shown");
        // A peer chooses what stands in attributes.
        let forged = format!(
            "<message from='bob@{FABRIKAM}' to='alice@{CONTOSO}' id='a&#10;&lt; &lt;forged' type='\u{9b}31m'/>"
        );
        streams.inward.write(forged).await.expect("open");
        streams.contoso.stanza().await.expect("it arrives");
        // The end is shown, too, and ends the trace.
        streams.inward.write(format!("<presence from='nobody@{CONTOSO}' to='alice@{CONTOSO}'/>")).await.expect("open");
        heard.wait_for_line("> <stream:error><invalid-from", PATIENCE).expect("shown");
        heard.wait_for_line("ended", PATIENCE).expect("told");
        for trace in [&heard, &said] {
            let shown = fs::read_to_string(trace.log()).expect("it is there");
            assert!(!shown.contains("secret-words"), "{shown}");
            assert!(
                shown.lines().all(|line| line.starts_with("< ") || line.starts_with("> ") || line.ends_with(" ended")),
                "{shown}"
            );
            assert!(!shown.contains('\u{9b}'), "{shown:?}");
        }
        drop(said);
        streams.outward.close().await.expect("fedge answers the end");
        border.stop().expect("fedge ends well");
    });
}
