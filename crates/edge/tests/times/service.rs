//! The federation service is stopped, drained and started, and the daemon runs on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::local::{Drained, Reply, Service, ServiceState};
use testkit::lab::border::{Border, EXTERNAL, INTERNAL, server_of};
use testkit::lab::played::{Caller, Conduct, PlayedServer};
use testkit::lab::{CONTOSO, FABRIKAM};

use crate::rig::{PATIENCE, contoso, fabrikam, message, with_times};

/// Has something done with it, and says how it is then; or why that was refused.
fn order(border: &Border, arguments: &[&str]) -> Result<Service, String> {
    let told = border.ask(&[&["service"], arguments, &["--json"]].concat()).map_err(|error| error.to_string())?;
    match serde_json::from_str(&told) {
        Ok(Reply::Service(service)) => Ok(service),
        other => panic!("{other:?}"),
    }
}

/// The same beside what goes on here.
async fn ordered(border: &Arc<Border>, arguments: &'static [&'static str]) -> Service {
    let border = border.clone();
    tokio::task::spawn_blocking(move || order(&border, arguments)).await.expect("no panic").expect("it is done")
}

fn health(border: &Border) -> String {
    let told = border.ask(&["health", "--or", "draining", "--or", "stopped"]).expect("any will do");
    told.trim().to_owned()
}

/// Waits for another state of health.
async fn becomes(border: &Border, state: &str) {
    let began = Instant::now();
    while health(border) != state {
        assert!(began.elapsed() < PATIENCE, "it is {}", health(border));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_stop_finishes_what_is_under_way_and_a_start_takes_partners_in_again() {
    with_times("drain = 30", |border| async move {
        let border = Arc::new(border);
        let mut contoso = contoso(&border, Conduct::GOOD);
        let mut caller = fabrikam(&border).await;
        caller.write(message("before")).await.expect("open");
        contoso.stanza().await.expect("it arrives");
        let running = order(&border, &["status"]).expect("it answers");
        assert_eq!((running.state, running.last), (ServiceState::Running, None));

        let stopping = tokio::spawn({
            let border = border.clone();
            async move { ordered(&border, &["stop"]).await }
        });
        caller.until("<system-shutdown").await.expect("it is told");
        assert_eq!(health(&border), "draining");
        assert_eq!(order(&border, &["status"]).expect("it answers").state, ServiceState::Draining);
        for number in 0..100 {
            caller.write(message(&format!("after-{number}"))).await.expect("fedge reads on");
        }
        assert!(caller.close().await.expect("fedge closes").closed);
        for _ in 0..100 {
            contoso.stanza().await.expect("it was accepted");
        }
        let stopped = stopping.await.expect("no panic");
        assert_eq!(stopped.state, ServiceState::Stopped);
        let last = stopped.last.expect("it has drained");
        assert_eq!(last, Drained { finished: 100, returned: 0, left: 0, ..last });
        assert!(running.since <= stopped.since);
        for address in [EXTERNAL, INTERNAL] {
            assert!(Caller::connect(address).await.is_err(), "nobody is let in at {address}");
        }
        assert_eq!(health(&border), "stopped");
        let told = border.ask(&["status"]).expect("it answers");
        assert!(
            told.contains("0 accepted, 0 dialed") && told.contains("or the daemon is; `fedge-edge service"),
            "{told}"
        );

        // Stopped is stopped, and there is nothing to drain.
        assert_eq!(order(&border, &["stop"]).expect("it is"), stopped);
        let refused = order(&border, &["drain"]).expect_err("nothing to drain");
        assert!(refused.contains("start it first"), "{refused}");
        let started = order(&border, &["start"]).expect("started");
        assert_eq!((started.state, started.last), (ServiceState::Running, stopped.last));
        becomes(&border, "ready").await;
        // Of the end of the stream that was dialed.
        contoso.heard();
        let mut caller = fabrikam(&border).await;
        caller.write(message("again")).await.expect("open");
        let (_, stanza) = contoso.stanza().await.expect("it arrives");
        assert_eq!(stanza.id().as_deref(), Some("again"));
        assert_eq!(order(&border, &["start"]).expect("it is"), started);
    });
}

#[test]
fn what_can_not_be_delivered_in_time_goes_back_and_later_it_is_delivered_again() {
    with_times("drain = 30\nhold = 600", |border| async move {
        let border = Arc::new(border);
        // Contoso's server isn't there; fabrikam's is.
        let fabrikams = border.issue(FABRIKAM).expect("ASCII");
        let mut back = PlayedServer::start(server_of(FABRIKAM), fabrikams, Conduct::GOOD).expect("free");
        let mut caller = fabrikam(&border).await;
        for number in 0..50 {
            caller.write(message(&number.to_string())).await.expect("open");
        }
        let began = Instant::now();
        let drained = ordered(&border, &["drain", "--seconds", "2"]).await;
        assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
        let last = drained.last.expect("it has drained");
        assert_eq!(last, Drained { returned: 50, left: 0, ..last });
        for number in 0..50 {
            let (_, error) = back.stanza().await.expect("each comes back");
            assert_eq!(error.id().as_deref(), Some(number.to_string().as_str()));
        }
        // It has been told, and didn't end its side.
        assert!(caller.ending().await.expect("fedge leaves").said.contains("system-shutdown"));

        assert_eq!(drained.state, ServiceState::Running);
        becomes(&border, "ready").await;
        let mut contoso = contoso(&border, Conduct::GOOD);
        let mut caller = fabrikam(&border).await;
        caller.write(message("again")).await.expect("open");
        let (_, stanza) = contoso.stanza().await.expect("what was given up is taken up again");
        assert_eq!(stanza.id().as_deref(), Some("again"));
        assert_eq!(stanza.to().as_deref(), Some(format!("alice@{CONTOSO}").as_str()));
    });
}

#[test]
fn no_stream_outlives_a_stop_that_has_less_time_than_usual() {
    with_times("drain = 600", |border| async move {
        let border = Arc::new(border);
        let mut contoso = contoso(&border, Conduct::GOOD);
        let mut caller = fabrikam(&border).await;
        caller.write(message("before")).await.expect("open");
        contoso.stanza().await.expect("it arrives");
        // This peer never ends its side.
        let stopped = ordered(&border, &["stop", "--seconds", "2"]).await;
        let last = stopped.last.expect("it has drained");
        assert_eq!(last, Drained { returned: 0, left: 0, ..last });
        assert!(caller.ending().await.expect("fedge leaves").said.contains("system-shutdown"));
        let began = Instant::now();
        while !border.ask(&["status"]).expect("it answers").contains("0 accepted, 0 dialed") {
            assert!(began.elapsed() < PATIENCE, "a stream is left");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let refused = order(&border, &["stop", "--seconds", "3601"]).expect_err("too long");
        assert!(refused.contains("3601 is not in 0..=3600"), "{refused}");
    });
}
