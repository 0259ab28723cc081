//! The store in a file: several processes, processes that are killed, and files that are something else.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use store::{Keys, Sqlite, Store as _, StoreError, Transaction};

use crate::battery::{self, key};

/// Where a process of `a_process_that_counts` finds its file.
const FILE: &str = "FEDGE_STORE_TEST_FILE";

fn open(file: &Path) -> Arc<Sqlite> {
    Arc::new(Sqlite::open(file).expect("it opens"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_in_a_file_does_what_a_store_must() {
    let folder = tempfile::tempdir().expect("a folder");
    battery::all(open(&folder.path().join("store.db"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_put_is_there_after_a_restart_and_for_its_owner_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("store.db");
    let first = open(&file).transact(&Transaction::new().put(key("a"), "1")).await.expect("it is put");
    let again = open(&file);
    let snapshot = again.read(&[Keys::All]).await.expect("it can be read");
    assert_eq!((snapshot.revision, snapshot.entries.len()), (first, 1));
    for beside in ["store.db", "store.db-wal", "store.db-shm"] {
        let mode = folder.path().join(beside).metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{beside}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_that_have_the_file_open_count_together_and_hear_of_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("store.db");
    let listener = open(&file);
    let mut hints = listener.watch(&Keys::All);
    // The first hint says that it began to look.
    hints.next().await;
    battery::counting_together(vec![open(&file), open(&file), open(&file)], 25).await;
    hints.next().await;
    let listener: battery::Tried = listener;
    assert_eq!(battery::number(&listener).await.0, 75);
}

#[test]
fn several_may_make_the_file_at_once() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, begin) = (folder.path().join("store.db"), std::sync::Barrier::new(6));
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    begin.wait();
                    open(&file)
                });
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stands_still_in_the_middle_of_writing_is_told_of_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("store.db");
    let store = open(&file);
    let still = rusqlite::Connection::open(&file).expect("it opens");
    still.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let refused = store.transact(&Transaction::new().put(key("a"), "1")).await.expect_err("it is held");
    assert!(matches!(&refused, StoreError::Unreachable(why) if why.contains("paused")), "{refused}");
    let snapshot = store.read(&[Keys::All]).await.expect("it can be read meanwhile");
    assert!(snapshot.entries.is_empty());
    still.execute_batch("ROLLBACK").expect("it goes on");
    store.transact(&Transaction::new().put(key("a"), "1")).await.expect("it is put");
}

/// Not a test by itself: counts up in the file that its environment names, and says each number once it is
/// acknowledged, until it is killed.
#[test]
fn a_process_that_counts() {
    let Some(file) = std::env::var_os(FILE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let store: battery::Tried = open(Path::new(&file));
        let writer = store::Writer::new(store.clone(), key("writer/child"), u64::from(std::process::id()));
        loop {
            battery::count_up(&writer).await;
            println!("counted {}", battery::number(&store).await.0);
        }
    });
}

fn counting(file: &Path) -> Child {
    Command::new(std::env::current_exe().expect("we run"))
        .args(["--exact", "sqlite::a_process_that_counts", "--nocapture"])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_whoever_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("store.db");
    let store: battery::Tried = open(&file);
    let mut told = 0;
    for round in 1..=8_u64 {
        let mut child = counting(&file);
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        // Killed in the middle of whatever comes after this many.
        let counted = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("counted ")?.parse::<u64>().ok());
        told = counted.take(usize::try_from(round * 3).expect("few")).last().expect("it counts");
        child.kill().expect("it runs");
        child.wait().expect("it is ours");
        let (there, _) = battery::number(&store).await;
        assert!(there >= told, "{there} are there, and {told} were acknowledged");
        told = there;
    }
    assert!(told >= 8 * 3);
}

#[test]
fn what_is_no_store_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("text"), "this is a letter to my mother, which is far too long for a header\n".repeat(20))
        .expect("written");
    assert!(matches!(Sqlite::open(&file("text")), Err(StoreError::Damaged { .. })));
    let other = rusqlite::Connection::open(file("other")).expect("it opens");
    other.execute_batch("CREATE TABLE mine (a)").expect("it is made");
    assert!(matches!(Sqlite::open(&file("other")), Err(StoreError::Refused { .. })));
    drop(Sqlite::open(&file("newer")).expect("it opens"));
    let newer = rusqlite::Connection::open(file("newer")).expect("it opens");
    newer.pragma_update(None, "user_version", 2).expect("it can be set");
    assert!(matches!(Sqlite::open(&file("newer")), Err(StoreError::Refused { .. })));
    assert!(matches!(Sqlite::open(&file("no/folder")), Err(StoreError::Refused { .. })));
}
