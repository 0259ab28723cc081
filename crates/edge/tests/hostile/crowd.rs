//! Peers that take up room: ten thousand that say nothing, some that say it byte by byte, some that don't listen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use testkit::lab::border::{Border, BorderPlan, EXTERNAL, INTERNAL, server_of};
use testkit::lab::played::{Caller, Conduct, Ending, PlayedServer, header};
use testkit::lab::{CONTOSO, FABRIKAM, TAILSPIN};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::beside::{Beside, at_the_border};

const CROWD: usize = 10_000;
/// How many connect at the same moment: what a kernel does whose backlog is full is not what is tested.
const AT_A_TIME: usize = 250;
const ESTABLISH: Duration = Duration::from_secs(6);
/// A machine that does much else.
const GENEROUS: Duration = Duration::from_secs(30);

fn hurried(establish: Duration) -> BorderPlan {
    BorderPlan { more: format!("[times]\nestablish = {}\nhold = 2\n", establish.as_secs()), ..BorderPlan::default() }
}

/// What fedge-edge has of the machine's memory, in MiB.
fn memory(border: &Border) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", border.fedge_edge.pid())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it has memory");
    line.split_whitespace().nth(1).and_then(|number| number.parse::<usize>().ok()).expect("a number") / 1024
}

async fn connects_and_says(opening: String, turns: Arc<Semaphore>) -> Ending {
    let turn = turns.acquire_owned().await.expect("never closed");
    let mut caller = Caller::connect(EXTERNAL).await.expect("fedge listens");
    drop(turn);
    caller.write(opening).await.expect("open");
    timeout(ESTABLISH + GENEROUS, caller.ending()).await.expect("fedge ends it in time").expect("fedge ends it")
}

/// They all come at once, and are all sent away; meanwhile the good one is served. How many were told why.
async fn crowd(beside: &mut Beside) -> usize {
    let good = header(FABRIKAM, CONTOSO);
    let openings = ["", "<?xml version='1.0'?><stream:stream ", &good, "\u{16}\u{3}"].map(str::to_owned);
    let (turns, mut crowd) = (Arc::new(Semaphore::new(AT_A_TIME)), JoinSet::new());
    for (number, opening) in openings.iter().cycle().take(CROWD).enumerate() {
        crowd.spawn(connects_and_says(opening.clone(), turns.clone()));
        if number % AT_A_TIME == 0 {
            beside.goes_on().await;
        }
    }
    let mut told = 0;
    while let Some(ending) = beside.goes_on_while(crowd.join_next()).await {
        let ending = ending.expect("no panic");
        told += usize::from(ending.condition.as_deref() == Some("connection-timeout") && ending.closed);
    }
    told
}

#[test]
fn ten_thousand_that_say_nothing_are_sent_away_and_the_good_one_is_served() {
    testkit::process::allow_open_files(CROWD + 1000).expect("this many connections at once");
    at_the_border(&hurried(ESTABLISH), |border| async move {
        let mut beside = Beside::new(&border).await;
        let before = memory(&border);
        // Half of them open a stream, or begin to.
        assert_eq!(crowd(&mut beside).await, CROWD / 2);
        let once = memory(&border);
        assert_eq!(crowd(&mut beside).await, CROWD / 2);
        let twice = memory(&border);
        // What the allocator keeps is taken by those who come next.
        assert!(once < before + 128 && twice < once + 32, "{before} MiB, then {once} MiB, then {twice} MiB");
        let streams = border.ask(&["streams"]).expect("streams");
        assert_eq!(streams.lines().count(), 1 + 2, "only the good one is left:\n{streams}");
        beside.ends(border).await;
    });
}

/// Says it byte by byte until fedge has had enough; how long that took.
async fn byte_by_byte(bytes: &[u8]) -> (Duration, Ending) {
    let began = Instant::now();
    let mut caller = Caller::connect(EXTERNAL).await.expect("fedge listens");
    for byte in bytes.iter().cycle() {
        if caller.write([*byte]).await.is_err() || began.elapsed() > GENEROUS {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    (began.elapsed(), caller.ending().await.expect("fedge ends it"))
}

#[test]
fn who_speaks_byte_by_byte_has_no_more_time_than_others() {
    let establish = Duration::from_secs(2);
    at_the_border(&hurried(establish), move |border| async move {
        let mut beside = Beside::new(&border).await;
        let endless = format!("{} a='", header(FABRIKAM, CONTOSO).trim_end_matches('>'));
        let endless = format!("{endless}{}", "x".repeat(5000));
        let hello = [&[0x16, 3, 1, 0x40, 0][..], &[1; 5000]].concat();
        let both = async { tokio::join!(byte_by_byte(endless.as_bytes()), byte_by_byte(&hello)) };
        let ((took, in_clear), (tls_took, in_tls)) = beside.goes_on_while(both).await;
        assert_eq!(in_clear.condition.as_deref(), Some("connection-timeout"), "{in_clear:?}");
        assert_eq!(in_tls.condition, None);
        for took in [took, tls_took] {
            assert!((establish..establish + GENEROUS / 2).contains(&took), "{took:?}");
        }
        beside.ends(border).await;
    });
}

#[test]
fn who_asks_and_does_not_listen_is_left() {
    at_the_border(&hurried(Duration::from_secs(2)), |border| async move {
        let mut beside = Beside::new(&border).await;
        let fabrikams = &beside.fabrikams;
        let mut caller = Caller::by_certificate(EXTERNAL, FABRIKAM, CONTOSO, fabrikams).await.expect("a stream");
        let question = format!("<db:verify from='{FABRIKAM}' to='{CONTOSO}' id='1'>{}</db:verify>", "0".repeat(64));
        let questions = question.repeat(1000);
        let asking = async { while caller.write(&questions).await.is_ok() {} };
        // Its answers fill what lies between, then fedge stops reading, and then it leaves.
        beside.goes_on_while(timeout(GENEROUS, asking)).await.expect("fedge leaves");
        beside.goes_on().await;
        beside.ends(border).await;
    });
}

#[test]
fn a_partner_that_stops_reading_holds_nobody_else_and_its_stanzas_go_back() {
    at_the_border(&hurried(Duration::from_secs(2)).partner(TAILSPIN, ""), |border| async move {
        let mut beside = Beside::new(&border).await;
        let tailspins = border.issue(TAILSPIN).expect("a certificate");
        let deaf = Conduct { deaf: true, ..Conduct::GOOD };
        let tailspin = PlayedServer::start(server_of(TAILSPIN), tailspins, deaf).expect("free");
        let mut caller = Caller::by_certificate(INTERNAL, CONTOSO, TAILSPIN, &beside.contosos).await.expect("a stream");
        let body = "x".repeat(50_000);
        let messages = 1..=400;
        let sending = async {
            for number in messages.clone() {
                let ends = format!("from='alice@{CONTOSO}' to='bob@{TAILSPIN}' id='{number}'");
                caller.write(format!("<message {ends}><body>{body}</body></message>")).await.expect("fedge reads on");
            }
        };
        beside.goes_on_while(timeout(2 * GENEROUS, sending)).await.expect("room again and again");
        // It took what fitted into the network's buffers; the rest comes back.
        let settled = async {
            loop {
                let status = border.ask(&["status"]).expect("a status");
                if status.contains("400 = ") && status.contains("0 in flight") && !status.contains(" = 0 taken") {
                    return status;
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        let settled = timeout(2 * GENEROUS, settled);
        let status = beside.goes_on_while(settled).await.expect("everything gets its outcome");
        let returned = status.lines().find(|line| line.contains("400 = ")).expect("the internal face");
        let returned = returned.split(" + ").nth(1).and_then(|part| part.split(' ').next()).expect("a number");
        let returned: usize = returned.parse().expect("a number");
        assert!(returned > 0, "{status}");
        let came_back = async {
            while beside.others.len() < returned {
                beside.goes_on_among_others().await;
            }
        };
        timeout(GENEROUS, came_back).await.expect("each error arrives");
        assert!(beside.others.iter().all(|error| error.type_().as_deref() == Some("error")));
        assert_eq!(beside.others.len(), returned);
        drop((tailspin, caller));
        beside.ends(border).await;
    });
}
