//! Metrics: the account adds up in every scrape, is that of the clients in the end, and whoever asks badly harms nobody.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use daemon::metrics::ALL;
use testkit::lab::border::{Border, BorderPlan, INTERNAL, NEXT_HOP, server_of};
use testkit::lab::played::{Caller, Conduct, PlayedServer, Sink};
use testkit::lab::{CONTOSO, FABRIKAM, TAILSPIN};
use testkit::scrape::{Page, exchange, scrape};
use tokio::net::TcpStream;

const AT: &str = "127.0.3.1:9105";
const FLOOD: usize = 30_000;
/// More than fedge takes at a time.
const CROWD: usize = 20;
/// Longer than anything takes here that is to come at all.
const PATIENCE: Duration = Duration::from_secs(60);

fn at() -> SocketAddr {
    AT.parse().expect("an address")
}

/// Runs `work` in the network of a border that tells metrics. Its stanzas are held for long enough that only those come
/// back which nobody takes: a link holds 2 MiB at most, which are 7,000 of the flood's. Two cores bring 60,000 a second
/// out when they are idle, and 5,000 beside eight busy loops.
fn with_metrics<F: Future<Output = ()>>(work: impl FnOnce(Border) -> F + Send + 'static) {
    let folder = tempfile::tempdir().expect("a folder");
    let more = format!("[metrics]\nlisten = [\"{AT}\"]\n\n[times]\nhold = 4\n");
    let plan = BorderPlan { log: String::new(), more, ..BorderPlan::default() }.partner(TAILSPIN, "");
    let border = Border::start(&plan, folder.path()).expect("fedge-edge starts");
    let place = border.place.clone();
    place.run(move || work(border));
}

async fn read() -> Page {
    scrape(at()).await.expect("metrics")
}

fn message(to: &str, id: usize, kind: &str) -> String {
    format!(
        "<message from='alice@{CONTOSO}/phone' to='bob@{to}' id='{id}' type='{kind}'><body>{id:200}</body></message>"
    )
}

/// What became of the stanzas with these labels: taken, returned, failed, in flight; their sum is what was
/// accepted, or the test fails.
fn account(page: &Page, link: &str, labels: &str) -> [i64; 4] {
    let number = |what: &str| page.one(&format!("fedge{link}_stanzas_{what}"), labels).expect("a number");
    let parts = ["taken_total", "returned_total", "failed_total", "in_flight"].map(number);
    assert_eq!(parts.iter().sum::<i64>(), number("accepted_total"), "{labels}: {parts:?}");
    parts
}

/// That both faces and all links add up, and the links of a face to what the face says.
fn adds_up(page: &Page) {
    for face in ["external", "internal"] {
        let mut sum = [0; 4];
        let of_face = format!("face=\"{face}\"");
        for labels in page.all("fedge_link_stanzas_accepted_total").keys().filter(|key| key.contains(&of_face)) {
            let parts = account(page, "_link", labels);
            sum = [0, 1, 2, 3].map(|part| sum[part] + parts[part]);
        }
        assert_eq!(account(page, "", &of_face), sum, "{face}");
    }
}

async fn from_contoso(border: &Border, to: &str) -> Caller {
    let contosos = border.issue(CONTOSO).expect("ASCII");
    Caller::by_certificate(INTERNAL, CONTOSO, to, &contosos).await.expect("a stream")
}

#[test]
fn the_account_adds_up_whenever_it_is_read() {
    with_metrics(|border| async move {
        let issue = |domain| border.issue(domain).expect("ASCII");
        let fabrikam = Sink::start(server_of(FABRIKAM), FABRIKAM, CONTOSO, issue(FABRIKAM)).await.expect("free");
        let mut contoso = PlayedServer::start(NEXT_HOP, issue(CONTOSO), Conduct::GOOD).expect("free");
        let (mut flood, mut lost) = (from_contoso(&border, FABRIKAM).await, from_contoso(&border, TAILSPIN).await);
        adds_up(&read().await);

        // Nobody is there who would take these.
        for id in 0..5 {
            lost.write(message(TAILSPIN, id, "chat")).await.expect("open");
        }
        lost.write(message(TAILSPIN, 5, "error")).await.expect("open");
        let flooding = tokio::spawn(async move {
            for ids in (0..FLOOD).collect::<Vec<_>>().chunks(100) {
                let text: String = ids.iter().map(|id| message(FABRIKAM, *id, "chat")).collect();
                flood.write(text).await.expect("open");
            }
            flood
        });
        let (mut scrapes, mut under_way, began) = (0, 0, Instant::now());
        while fabrikam.messages() < FLOOD as u64 {
            let page = read().await;
            adds_up(&page);
            scrapes += 1;
            let link = format!("face=\"internal\",from=\"{CONTOSO}\",to=\"{FABRIKAM}\"");
            if page.all("fedge_link_stanzas_in_flight").get(&link).is_some_and(|stanzas| *stanzas > 0) {
                under_way += 1;
                assert!(page.one("fedge_held_bytes", "face=\"internal\"").expect("held") > 0);
            }
            assert!(began.elapsed() < PATIENCE, "{} of {FLOOD} arrived", fabrikam.messages());
        }
        assert!(scrapes > 3 && under_way > 3, "{scrapes} scrapes, {under_way} of them while stanzas were under way");
        for _ in 0..5 {
            contoso.stanza().await.expect("an error comes back");
        }
        // The sink has them before fedge is told so.
        let mut page = read().await;
        while page.one("fedge_stanzas_in_flight", "face=\"internal\"").expect("a number") > 0 {
            assert!(began.elapsed() < PATIENCE, "some are never settled");
            page = read().await;
        }
        adds_up(&page);
        let link = |to| format!("face=\"internal\",from=\"{CONTOSO}\",to=\"{to}\"");
        let flood_taken = i64::try_from(FLOOD).expect("not that many");
        assert_eq!(account(&page, "_link", &link(FABRIKAM)), [flood_taken, 0, 0, 0]);
        assert_eq!(account(&page, "_link", &link(TAILSPIN)), [0, 5, 1, 0]);
        assert_eq!(account(&page, "", "face=\"internal\""), [flood_taken, 5, 1, 0]);
        assert_eq!(page.one("fedge_held_bytes", "face=\"internal\"").expect("held"), 0);
        let streams = |labels| page.one("fedge_streams", labels).expect("streams");
        assert_eq!(streams("face=\"internal\",direction=\"accepted\",state=\"proven\""), 2);
        assert_eq!(streams("face=\"external\",direction=\"dialed\",state=\"proven\""), 1);
        let mut flood = flooding.await.expect("it was all written");
        flood.close().await.expect("fedge answers the end");
        lost.close().await.expect("fedge answers the end");
        border.stop().expect("fedge ends well");
    });
}

#[test]
fn the_page_has_what_the_catalogue_says() {
    with_metrics(|border| async move {
        let page = read().await;
        let known: BTreeSet<String> = ALL.iter().map(|metric| metric.full_name()).collect();
        assert_eq!(known.len(), ALL.len(), "a name is there twice");
        assert!(page.names().all(|name| known.contains(name)), "{:?}", page.names().collect::<Vec<_>>());
        let version = format!("program=\"fedge-edge\",version=\"{}\"", env!("CARGO_PKG_VERSION"));
        assert_eq!(page.one("fedge_build_info", &version).expect("it is told"), 1);
        // The laboratory's are valid for 90 days.
        let left = |labels| page.one("fedge_certificate_left_seconds", labels).expect("a certificate");
        let days = left("use=\"external\",certificate=\"contoso.pem\"") / (24 * 3600);
        assert!((88..=90).contains(&days), "{days} days");
        assert!(left("use=\"internal\",certificate=\"internal CA\"") > 24 * 3600);
        assert_eq!(page.one("fedge_service_running", "").expect("it is told"), 1);
        border.ask(&["service", "stop"]).expect("done");
        assert_eq!(read().await.one("fedge_service_running", "").expect("it is told"), 0);
        let page = read().await;
        // The root's key lies on the machine here.
        let concerns = border.ask(&["status"]).expect("it answers").matches("warning: ").count();
        assert_eq!(page.one("fedge_concerns", "").expect("it is told"), i64::try_from(concerns).expect("few"));
        assert!(concerns > 0);
        border.stop().expect("fedge ends well");
    });
}

#[test]
fn whoever_asks_badly_gets_nothing_and_holds_nobody() {
    with_metrics(|border| async move {
        for (request, answer) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 "),
            ("GET /metrics/x HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 "),
            ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 "),
            ("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405 "),
            ("<stream:stream to='x'>\r\n\r\n", "HTTP/1.1 400 "),
            // One request for each connection.
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 "),
        ] {
            let got = exchange(at(), request.as_bytes()).await.unwrap_or_else(|error| panic!("{request}: {error}"));
            assert!(got.starts_with(answer), "{request}: {got}");
            assert_eq!(got.matches("HTTP/1.1").count(), 1, "{got}");
        }
        // Too large; what isn't read any more may break the connection under the answer.
        let large = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(20_000));
        let got = exchange(at(), large.as_bytes()).await;
        assert!(got.as_ref().is_ok_and(|got| got.starts_with("HTTP/1.1 431 ")) || got.is_err(), "{got:?}");
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(100));
        assert!(exchange(at(), many.as_bytes()).await.expect("an answer").starts_with("HTTP/1.1 431 "));
        // Those who say nothing are sent away, and the next one is served.
        let mut silent = Vec::new();
        for _ in 0..CROWD {
            silent.push(TcpStream::connect(at()).await.expect("fedge listens"));
        }
        let began = Instant::now();
        read().await;
        assert!(began.elapsed() > Duration::from_secs(3), "more are served at a time than should be");
        drop(silent);
        border.stop().expect("fedge ends well");
    });
}
