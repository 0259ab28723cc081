//! establish, keep_alive and idle: each does what it says, when it says.

use std::time::{Duration, Instant};

use testkit::lab::border::EXTERNAL;
use testkit::lab::played::{Caller, Conduct, What, header};
use testkit::lab::{CONTOSO, FABRIKAM};
use tokio::time::sleep;

use crate::rig::{PATIENCE, contoso, fabrikam, message, with_times};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn whoever_proves_nothing_has_the_time_to_establish() {
    with_times("establish = 2", |border| async move {
        for opening in ["", "<?xml version='1.0'?>", &header(FABRIKAM, CONTOSO)] {
            let began = Instant::now();
            let mut caller = Caller::connect(EXTERNAL).await.expect("fedge listens");
            caller.write(opening).await.expect("open");
            let ending = caller.ending().await.expect("fedge ends it");
            assert!((2 * SECOND..PATIENCE).contains(&began.elapsed()), "{:?}", began.elapsed());
            let told = (ending.condition.as_deref(), ending.said.contains("within 2 s"));
            // One who said nothing is told nothing.
            assert_eq!(told, if opening.is_empty() { (None, false) } else { (Some("connection-timeout"), true) });
        }
        border.stop().expect("fedge ends well");
    });
}

#[test]
fn a_quiet_stream_is_kept_alive_by_spaces() {
    with_times("keep_alive = 1", |border| async move {
        let mut contoso = contoso(&border, Conduct::GOOD);
        let mut caller = fabrikam(&border).await;
        caller.write(message("1")).await.expect("open");
        contoso.stanza().await.expect("it arrives");
        let began = Instant::now();
        for _ in 0..3 {
            assert_eq!(caller.until(" ").await.expect("a space"), " ", "and nothing else");
            let heard = contoso.next().await.expect("a space");
            assert!(matches!(heard.what, What::KeepAlive), "{heard:?}");
        }
        assert!((2 * SECOND..PATIENCE).contains(&began.elapsed()), "one each second: {:?}", began.elapsed());
        caller.close().await.expect("fedge answers the end");
        border.stop().expect("fedge ends well");
    });
}

#[test]
fn an_idle_stream_is_closed_properly_and_dialed_again_for_the_next_stanza() {
    with_times("idle = 3", |border| async move {
        let mut contoso = contoso(&border, Conduct::GOOD);
        let mut caller = fabrikam(&border).await;
        // A stanza now and then is enough; white space isn't.
        let mut last = Instant::now();
        for number in 1..=3 {
            sleep(3 * SECOND / 2).await;
            caller.write(message(&format!("awake-{number}"))).await.expect("open");
            last = Instant::now();
            let (stream, _) = contoso.stanza().await.expect("it arrives");
            assert_eq!(stream, 1);
        }
        caller.write(" ").await.expect("open");
        let heard = contoso.next().await.expect("the stream's end");
        assert!(matches!(heard.what, What::Closed), "{heard:?}");
        caller.until("</stream:stream>").await.expect("the stream's end");
        assert!((3 * SECOND..PATIENCE).contains(&last.elapsed()), "{:?}", last.elapsed());
        let ending = caller.close().await.expect("fedge closes");
        assert_eq!(ending.condition, None, "it is no fault");
        let mut caller = fabrikam(&border).await;
        caller.write(message("later")).await.expect("open");
        let (stream, stanza) = contoso.stanza().await.expect("it arrives");
        assert_eq!((stream, stanza.id().as_deref()), (2, Some("later")));
        caller.close().await.expect("fedge answers the end");
        border.stop().expect("fedge ends well");
    });
}

#[test]
fn a_stanza_does_not_follow_the_end_of_a_stream_that_its_peer_leaves_open() {
    with_times("idle = 1\nhold = 10", |border| async move {
        // Doesn't answer the end, which would leave the stream half open for the whole drain.
        let mut contoso = contoso(&border, Conduct { lingers: true, ..Conduct::GOOD });
        let mut caller = fabrikam(&border).await;
        caller.write(message("first")).await.expect("open");
        contoso.stanza().await.expect("it arrives");
        let heard = contoso.next().await.expect("it was idle");
        assert!(matches!(heard.what, What::Closed), "{heard:?}");
        caller.close().await.expect("fedge closes");
        contoso.behave(Conduct::GOOD);
        let mut caller = fabrikam(&border).await;
        caller.write(message("second")).await.expect("open");
        let (stream, stanza) = contoso.stanza().await.expect("it arrives, within the hold");
        assert_eq!((stream, stanza.id().as_deref()), (2, Some("second")));
        caller.close().await.expect("fedge answers the end");
        border.stop().expect("fedge ends well");
    });
}
