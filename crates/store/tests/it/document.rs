//! What docs/store.md says is so.

use std::os::unix::fs::PermissionsExt as _;

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
    let programs = debian.path("usr/bin/sqlite3").with_file_name("").display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    let mut shell = debian.command(&Place::here(), "bin/sh");
    assert!(shell.args(["-c", &line]).env("PATH", path).status().expect("it starts").success(), "{line}");
    let file = folder.path().join("backup/store.db");
    let mode = std::fs::metadata(&file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o077, 0, "others may read it");
    let backup = Sqlite::open(&file).expect("it opens");
    let all = backup.read(&[Keys::All]).await;
    assert_eq!(all, store.read(&[Keys::All]).await);
    assert_eq!(all.expect("it can be read").entries.len(), 1);
}
