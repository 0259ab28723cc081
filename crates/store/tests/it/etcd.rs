//! The store in a real etcd cluster with users and TLS, of which members are killed, frozen and cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use etcd_client::{Certificate, Client, ConnectOptions, Identity, TlsOptions};
use store::{Keys, Memory, Store as _, StoreError, Transaction, Writer};
use testkit::etcd::{Etcd, MEMBERS};

use crate::battery::{self, Tried, count_up, key};
use crate::document;

/// Longer than an election takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster with authentication switched on, and a user that may use what is below one prefix: both as docs/store.md
/// tells administrators to.
fn cluster(folder: &std::path::Path) -> Etcd {
    let etcd = Etcd::start(folder).expect("a cluster");
    etcd.secure().expect("its users");
    etcd
}

fn tls(etcd: &Etcd) -> TlsOptions {
    let pem = |name: &str| std::fs::read(etcd.file(name)).expect("it is there");
    TlsOptions::new()
        .ca_certificate(Certificate::from_pem(pem("ca.crt")))
        .identity(Identity::from_pem(pem("client.crt"), pem("client.key")))
}

fn address(etcd: &Etcd, more: &str) -> String {
    let file = |name: &str| etcd.file(name).display().to_string();
    let (ca, certificate, key) = (file("ca.crt"), file("client.crt"), file("client.key"));
    format!("{}?ca={ca}&certificate={certificate}&key={key}{more}", etcd.endpoints())
}

fn open(address: &str) -> Tried {
    Arc::new(store::etcd::Etcd::new(address.parse().expect("an address")).expect("its files are there"))
}

fn as_user(etcd: &Etcd) -> String {
    address(etcd, &format!("&user=fedge&password-file={}", etcd.file("password").display()))
}

#[test]
fn the_store_in_etcd_does_what_a_store_must() {
    let folder = tempfile::tempdir().expect("a folder");
    let etcd = cluster(folder.path());
    let (good, place) = (as_user(&etcd), etcd.place());
    let nobody = address(&etcd, "");
    let elsewhere = format!("{good}&prefix=other");
    std::fs::write(etcd.file("wrong"), "guessed").expect("written");
    let wrong = address(&etcd, &format!("&user=fedge&password-file={}", etcd.file("wrong").display()));
    place.run(move || async move {
        battery::all(open(&good)).await;
        let put = Transaction::new().put(key("a"), "1");
        for bad in [nobody, elsewhere, wrong] {
            let refused = open(&bad).transact(&put).await;
            assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
        }
    });
    etcd.administer(&document::lines("sh", "snapshot save").remove(0)).expect("a backup");
    assert!(etcd.file("etcd.db").metadata().expect("a backup").len() > 0);
    drop(etcd);
}

#[test]
fn the_names_of_the_document_are_those_of_stores() {
    let after = |line: &str| {
        let name = line.split('"').find_map(|part| part.strip_prefix("etcd:")).expect("a name in quotes");
        name.parse::<store::etcd::Address>().expect("an address").to_string()
    };
    for line in [document::lines("toml", "etcd:"), document::lines("sh", "copy")].concat() {
        assert!(after(&line).contains("etcd1.contoso.test"), "{line}");
    }
    let text = document::text();
    let rows = text.split("| setting |").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a table");
    let named: Vec<&str> = rows.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(named, store::etcd::SETTINGS);
}

#[test]
fn what_is_in_another_store_is_copied_there_and_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let etcd = cluster(folder.path());
    let good = as_user(&etcd);
    etcd.place().run(move || async move {
        let (from, to, back) = (Memory::new(), open(&good), Memory::new());
        for number in 0..120 {
            // Some are so large that few go into one transaction.
            let value = vec![b'x'; if number % 20 == 0 { store::VALUE_BYTES } else { number }];
            let put = Transaction::new().put(key(&format!("copied/{number}")), value);
            from.transact(&put).await.expect("it is in memory");
        }
        assert_eq!(store::copy(&from, &*to).await, Ok(120));
        assert_eq!(store::copy(&from, &*to).await, Ok(120), "once more is nothing");
        assert_eq!(store::copy(&*to, &back).await, Ok(120));
        assert_eq!(store::copy(&from, &back).await, Ok(120), "it is the same");
    });
    drop(etcd);
}

#[test]
fn a_new_password_is_taken_from_its_file_without_a_failure() {
    const NEW: &str = "of the laboratory, and better";
    let folder = tempfile::tempdir().expect("a folder");
    let etcd = cluster(folder.path());
    let endpoint = etcd.endpoints().split(',').next().expect("three").to_owned();
    // Only one endpoint: there is no other whose token would do.
    let one = as_user(&etcd).replace(&etcd.endpoints(), &endpoint);
    let root = std::fs::read_to_string(etcd.file("etcd-root.password")).expect("it is there");
    let (place, tls, file) = (etcd.place(), tls(&etcd), etcd.file("password"));
    place.run(move || async move {
        let store = open(&one);
        store.transact(&Transaction::new().put(key("a"), "1")).await.expect("it is known");
        let options = ConnectOptions::new().with_tls(tls).with_user("root", root.trim());
        let mut root = Client::connect([&endpoint], Some(options)).await.expect("it is known");
        root.user_change_password("fedge", NEW).await.expect("root may");
        let refused = store.transact(&Transaction::new().put(key("a"), "2")).await;
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "the old password: {refused:?}");
        std::fs::write(file, NEW).expect("written");
        store.transact(&Transaction::new().put(key("a"), "2")).await.expect("it is known again");
        // Its token ends with the old password, though it is the same.
        root.user_change_password("fedge", NEW).await.expect("root may");
        store.transact(&Transaction::new().put(key("a"), "3")).await.expect("it is known again");
    });
    drop(etcd);
}

/// What is done to a member, and undone.
#[derive(Debug, Clone, Copy)]
enum Harm {
    Kill,
    Freeze,
    Cut,
}

#[test]
fn no_acknowledged_write_is_lost_whatever_happens_to_a_member() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut etcd = cluster(folder.path());
    let (good, place) = (as_user(&etcd), etcd.place());
    let (counted, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let counting = {
        let (counted, over, good) = (counted.clone(), over.clone(), good.clone());
        std::thread::spawn(move || place.run(move || count(good, counted, over)))
    };
    let progress = |more: u64| {
        let (before, began) = (counted.load(Ordering::Relaxed), Instant::now());
        while counted.load(Ordering::Relaxed) < before + more {
            assert!(began.elapsed() < PATIENCE, "counting went on no more");
            assert!(!counting.is_finished(), "a counter failed");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    // One after the other, so that each member is the leader in its turn for sure, or its follower.
    for (round, harm) in [Harm::Kill, Harm::Freeze, Harm::Cut].into_iter().cycle().take(3 * MEMBERS).enumerate() {
        let member = (round + round / MEMBERS) % MEMBERS;
        progress(10);
        match harm {
            Harm::Kill => etcd.kill(member),
            Harm::Freeze => etcd.freeze(member, true).expect("it runs"),
            Harm::Cut => etcd.cut(member, true).expect("it is plugged in"),
        }
        // It goes on with two of three.
        progress(10);
        match harm {
            Harm::Kill => etcd.begin(member).expect("it starts again"),
            Harm::Freeze => etcd.freeze(member, false).expect("it runs"),
            Harm::Cut => etcd.cut(member, false).expect("it is there"),
        }
        etcd.wait_for(member).expect("it is back");
    }
    progress(10);
    over.store(true, Ordering::Relaxed);
    let there = counting.join().expect("both counters went well");
    assert_eq!(there, counted.load(Ordering::Relaxed), "what is there is what was acknowledged, no more and no less");
}

#[test]
fn without_a_majority_nothing_is_done_and_that_is_said_soon() {
    // Each request has its end, at each of three endpoints; and a machine may be busy.
    const SOON: Duration = Duration::from_secs(30);
    let folder = tempfile::tempdir().expect("a folder");
    let mut etcd = cluster(folder.path());
    let good = as_user(&etcd);
    let at_it = |etcd: &Etcd, value: &'static str| {
        let good = good.clone();
        etcd.place().run(move || async move {
            let (store, began) = (open(&good), Instant::now());
            let writer = Writer::new(store.clone(), key("writer/0"), u64::from(std::process::id()));
            let put = Transaction::new().put(key("a"), value);
            let done = writer.transact(&put).await;
            let read = store.read(&[Keys::One(key("a"))]).await;
            (done, read.map(|read| read.get(&key("a")).map(|entry| entry.value.clone())), began.elapsed())
        })
    };
    let (done, _, _) = at_it(&etcd, "1");
    done.expect("all are there");
    etcd.kill(0);
    etcd.freeze(1, true).expect("it runs");
    let (done, read, took) = at_it(&etcd, "2");
    assert!(matches!(done, Err(StoreError::Unreachable(_))), "{done:?}");
    assert!(matches!(read, Err(StoreError::Unreachable(_))), "{read:?}");
    assert!(took < SOON, "{took:?}");
    etcd.freeze(1, false).expect("it runs");
    let began = Instant::now();
    loop {
        let (done, read, _) = at_it(&etcd, "3");
        // It goes on with two.
        if done.is_ok() && read == Ok(Some(b"3".to_vec())) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{done:?}, and {read:?} is there");
    }
}

/// Two controllers count up one number until it is over; gives the number that is there in the end.
async fn count(address: String, counted: Arc<AtomicU64>, over: Arc<AtomicBool>) -> u64 {
    let counters = [0, 1].map(|index: u64| {
        let (store, counted, over) = (open(&address), counted.clone(), over.clone());
        tokio::spawn(async move {
            let writer = Writer::new(store, key(&format!("writer/{index}")), index);
            while !over.load(Ordering::Relaxed) {
                count_up(&writer).await;
                counted.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for counter in counters {
        counter.await.expect("it went well");
    }
    let store = open(&address);
    battery::number(&store).await.0
}

#[test]
fn changes_are_heard_of_though_the_member_that_tells_them_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut etcd = cluster(folder.path());
    let (good, place) = (as_user(&etcd), etcd.place());
    let (heard, hearing) = std::sync::mpsc::channel();
    let (go, gone) = tokio::sync::mpsc::unbounded_channel::<u64>();
    let listener = std::thread::spawn(move || place.run(move || listen(good, heard, gone)));
    let wait = |round: u64| {
        go.send(round).expect("it listens");
        assert_eq!(hearing.recv_timeout(PATIENCE), Ok(round));
    };
    wait(1);
    etcd.freeze(0, true).expect("it runs");
    wait(2);
    etcd.kill(0);
    etcd.begin(0).expect("it starts again");
    etcd.wait_for(0).expect("it is back");
    etcd.cut(1, true).expect("it is plugged in");
    wait(3);
    etcd.cut(1, false).expect("it is there");
    drop(go);
    listener.join().expect("it went well");
}

/// Puts each number that comes, waits for a hint and sees it, says so.
async fn listen(
    address: String,
    heard: std::sync::mpsc::Sender<u64>,
    mut numbers: tokio::sync::mpsc::UnboundedReceiver<u64>,
) {
    let (listener, writer) = (open(&address), Writer::new(open(&address), key("writer/0"), 0));
    let mut hints = listener.watch(&Keys::Under(key("news")));
    while let Some(number) = numbers.recv().await {
        let put = Transaction::new().put(key("news/a"), number.to_string());
        while let Err(error) = writer.transact(&put).await {
            assert!(matches!(error, StoreError::Unreachable(_)), "{error}");
        }
        loop {
            hints.next().await;
            let seen = listener.read(&[Keys::One(key("news/a"))]).await;
            let seen = seen.ok().and_then(|seen| seen.get(&key("news/a")).map(|entry| entry.value.clone()));
            if seen == Some(number.to_string().into_bytes()) {
                break;
            }
        }
        heard.send(number).expect("somebody waits");
    }
}
