//! What docs/store.md says is so.

use store::{Key, Keys, Sqlite, Store as _, Transaction};
use testkit::packages::Debian;
use testkit::place::Place;

const DOCUMENT: &str = "docs/store.md";

/// All of it.
pub(crate) fn text() -> String {
    testkit::document::text(DOCUMENT).expect("the document is there")
}

/// The lines of its blocks of this kind, in which something is.
pub(crate) fn lines(kind: &str, with: &str) -> Vec<String> {
    testkit::document::lines(DOCUMENT, kind, with).expect("such lines")
}

#[test]
fn its_limits_are_those_of_every_store() {
    let text = text().replace('\n', " ");
    let (value, all, writes) = (store::VALUE_BYTES, store::MOST_BYTES, store::MOST_WRITES);
    assert!(
        text.contains(&format!("a value has at most {value} bytes, a transaction at most {all} and {writes} writes"))
    );
    assert!(text.contains("a key at most 512 bytes"));
    assert!("x".repeat(512).parse::<Key>().is_ok() && "x".repeat(513).parse::<Key>().is_err());
}

#[tokio::test]
async fn its_backup_of_a_file_is_one_also_while_the_store_is_open() {
    let debian = Debian::unpack(&Debian::usual_folder(), &["sqlite3"], &mut |_| {}).expect("it can be unpacked");
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().display().to_string();
    let store = Sqlite::open(&folder.path().join("store.db")).expect("it opens");
    let put = Transaction::new().put("a".parse().expect("a key"), "1");
    store.transact(&put).await.expect("it is put");
    std::fs::create_dir(folder.path().join("backup")).expect("made");
    let line = lines("sh", ".backup").remove(0).replace("/var/lib/fedge-control", &here).replace("/srv", &here);
    let arguments = line.strip_prefix("sqlite3 ").and_then(|line| line.strip_suffix('"')?.split_once(" \""));
    let (file, told) = arguments.expect("sqlite3, the file, and what to do in quotes");
    let mut sqlite3 = debian.command(&Place::here(), "usr/bin/sqlite3");
    assert!(sqlite3.args([file, told]).status().expect("it starts").success(), "{line}");
    let backup = Sqlite::open(&folder.path().join("backup/store.db")).expect("it opens");
    let all = backup.read(&[Keys::All]).await;
    assert_eq!(all, store.read(&[Keys::All]).await);
    assert_eq!(all.expect("it can be read").entries.len(), 1);
}
