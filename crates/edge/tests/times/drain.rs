//! SIGTERM: nothing new, everything that was accepted has an outcome, and the next daemon may begin.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::lab::border::{BorderPlan, EXTERNAL, server_of};
use testkit::lab::played::{Caller, Conduct, PlayedServer, header};
use testkit::lab::{CONTOSO, FABRIKAM, Kind, Lab, LabPlan, Peer};
use testkit::place::Place;
use testkit::server::Authentication::External;

use crate::rig::{PATIENCE, contoso, ended, fabrikam, message, with_times};

const MESSAGES: u32 = 20_000;

/// The numbers behind `name=` in the last account of a face.
fn account(log: &str, face: &str) -> impl Fn(&str) -> u64 + use<> {
    let line = log.lines().rfind(|line| line.contains("stanzas that came in") && line.contains(face));
    let line = line.expect("an account").to_owned();
    move |name| {
        let rest = line.split_once(&format!("{name}=")).expect("it is counted").1;
        rest.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
    }
}

#[test]
fn what_comes_until_the_peers_end_is_taken_and_who_proved_nothing_holds_nobody_up() {
    with_times("drain = 30", |mut border| async move {
        let mut contoso = contoso(&border, Conduct::GOOD);
        let mut caller = fabrikam(&border).await;
        caller.write(message("before")).await.expect("open");
        contoso.stanza().await.expect("it arrives");
        let mut silent = Caller::connect(EXTERNAL).await.expect("fedge listens");
        let mut unproven = Caller::connect(EXTERNAL).await.expect("fedge listens");
        unproven.write(header(FABRIKAM, CONTOSO)).await.expect("open");
        unproven.until("</stream:features>").await.expect("features");
        let began = Instant::now();
        border.fedge_edge.signal(Signal::SIGTERM).expect("it runs");
        caller.until("<system-shutdown").await.expect("it is told");
        // It hadn't read that yet.
        for number in 0..100 {
            caller.write(message(&format!("after-{number}"))).await.expect("fedge reads on");
        }
        assert!(Caller::connect(EXTERNAL).await.is_err(), "nothing new");
        assert!(caller.close().await.expect("fedge closes").closed);
        for number in 0..100 {
            let (_, stanza) = contoso.stanza().await.expect("it was accepted");
            assert_eq!(stanza.id().as_deref(), Some(format!("after-{number}").as_str()));
        }
        assert_eq!(silent.ending().await.expect("fedge leaves").condition, None);
        assert_eq!(unproven.ending().await.expect("fedge leaves").condition.as_deref(), Some("system-shutdown"));
        ended(&mut border.fedge_edge);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        let count = account(&border.log().expect("a log"), "external");
        assert_eq!((count("accepted"), count("taken"), count("left")), (101, 101, 0));
    });
}

#[test]
fn who_does_not_end_is_left_when_the_time_is_over() {
    with_times("drain = 2", |mut border| async move {
        let mut contoso = contoso(&border, Conduct { lingers: true, ..Conduct::GOOD });
        let mut caller = fabrikam(&border).await;
        caller.write(message("before")).await.expect("open");
        contoso.stanza().await.expect("it arrives");
        let began = Instant::now();
        border.fedge_edge.signal(Signal::SIGTERM).expect("it runs");
        ended(&mut border.fedge_edge);
        assert!((Duration::from_secs(2)..PATIENCE).contains(&began.elapsed()), "{:?}", began.elapsed());
        assert!(caller.ending().await.expect("fedge leaves").said.contains("system-shutdown"));
    });
}

#[test]
fn what_can_not_be_delivered_in_time_goes_back_before_the_end() {
    let more = "[times]\ndrain = 2\nhold = 600\n".to_owned();
    let folder = tempfile::tempdir().expect("a folder");
    let plan = BorderPlan { more, ..BorderPlan::default() };
    let mut border = testkit::lab::border::Border::start(&plan, folder.path()).expect("fedge-edge starts");
    let place = border.place.clone();
    place.run(move || async move {
        // Contoso's server isn't there; fabrikam's is.
        let fabrikams = border.issue(FABRIKAM).expect("ASCII");
        let mut back = PlayedServer::start(server_of(FABRIKAM), fabrikams, Conduct::GOOD).expect("free");
        let mut caller = fabrikam(&border).await;
        for number in 0..50 {
            caller.write(message(&number.to_string())).await.expect("open");
        }
        border.fedge_edge.signal(Signal::SIGTERM).expect("it runs");
        caller.until("<system-shutdown").await.expect("it is told");
        caller.close().await.expect("fedge closes");
        for number in 0..50 {
            let (_, error) = back.stanza().await.expect("each comes back");
            assert_eq!(
                (error.id().as_deref(), error.type_().as_deref()),
                (Some(number.to_string().as_str()), Some("error"))
            );
        }
        ended(&mut border.fedge_edge);
        let count = account(&border.log().expect("a log"), "external");
        assert_eq!((count("accepted"), count("returned"), count("left")), (50, 50, 0));
    });
}

#[test]
fn an_end_in_full_flood_loses_nothing_and_the_next_daemon_begins_at_once() {
    let prosody = Peer { kind: Kind::Prosody, authentication: External };
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::isolated().expect("a namespace");
    let plan = LabPlan::new(prosody, &[(FABRIKAM, prosody)]);
    let lab = Lab::start(place.clone(), &plan, folder.path(), &mut |_| {}).expect("a laboratory");
    place.run(move || async move {
        let mut lab = lab;
        let alice = lab.login(&format!("alice@{CONTOSO}")).await.expect("a login");
        let bob = lab.login(&format!("bob@{FABRIKAM}")).await.expect("a login");
        alice.message(bob.jid(), "first", "first");
        bob.message_with_id("first", PATIENCE).await.expect("the streams are up");
        let middle = MESSAGES / 5;
        let at_bob = bob.collect(alice.jid(), 0..MESSAGES, PATIENCE / 2);
        // None of these ever comes; what comes back does.
        let at_alice = alice.collect(bob.jid(), MESSAGES..MESSAGES + 1, PATIENCE / 2);
        let restart = async {
            lab.fedge_edge.signal(Signal::SIGTERM).expect("it runs");
            tokio::task::block_in_place(|| {
                ended(&mut lab.fedge_edge);
                let (config, log) = (lab.folder().join("edge.toml"), lab.folder().join("second.log"));
                lab.programs.start("fedge-edge", &lab.layout.fedge, &config, &log).expect("the same addresses at once")
            })
        };
        let flood = async {
            alice.flood(bob.jid(), 0..middle, 100, 500).await.expect("alice could send");
            let (sent, second) = tokio::join!(alice.flood(bob.jid(), middle..MESSAGES, 100, 500), restart);
            sent.expect("alice could send");
            second
        };
        let (second, arrived, back) = tokio::join!(flood, at_bob, at_alice);
        let (arrived, back) = (arrived.expect("bob listened"), back.expect("alice listened"));
        let count = account(&fs::read_to_string(lab.fedge_edge.log()).expect("a log"), "internal");
        assert_eq!(count("left"), 0);
        assert_eq!(count("taken") + count("returned") + count("failed"), count("accepted"));
        assert!(
            count("accepted") > 1 && count("accepted") < u64::from(MESSAGES),
            "in the middle: {}",
            count("accepted")
        );
        let told: std::collections::HashSet<u32> = back.returned.iter().map(|(number, _)| *number).collect();
        let lost: Vec<u32> = arrived.missing.iter().copied().filter(|number| !told.contains(number)).collect();
        assert!(lost.is_empty(), "{} of {} neither arrived nor came back: {lost:?}", lost.len(), arrived.missing.len());
        assert!(arrived.duplicates.is_empty(), "{:?}", arrived.duplicates);
        drop(second);
    });
}
