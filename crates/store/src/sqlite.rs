//! A store in a file, by SQLite: for the processes of one machine. What was acknowledged survives a lost power supply.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, TransactionBehavior, params};

use crate::error::StoreError;
use crate::hints::{Hinter, Hints};
use crate::key::{Key, Keys};
use crate::transaction::{Expect, Transaction, Write};
use crate::{Answer, Entry, Revision, Snapshot, Store};

/// What says that a file is ours: "fedg", read as a number.
const APPLICATION: i64 = 0x6665_6467;
/// How the tables look; a newer fedge counts on.
const SCHEMA: i64 = 1;
/// For another process to end its transaction.
const PATIENCE: Duration = Duration::from_secs(5);
/// Before a file that others are making, too, is opened again.
const PAUSE: Duration = Duration::from_millis(10);
/// Between two looks for changes of other processes.
const LOOK: Duration = Duration::from_millis(100);

/// A store in a file. Copies are the same store; several processes of a machine may have it open.
#[derive(Debug, Clone)]
pub struct Sqlite(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    file: PathBuf,
    connection: Mutex<Connection>,
    watching: Mutex<Vec<Hinter>>,
}

impl Sqlite {
    /// Opens the file, and makes it where it isn't there; its folder must be. Blocks for a moment.
    ///
    /// # Errors
    /// When that can't be done, or the file isn't a store of fedge's.
    pub fn open(file: &Path) -> Result<Sqlite, StoreError> {
        refuse_network(file)?;
        // SQLite gives the files beside it the same mode. One that is there is left alone: to close it here would take
        // away this process's locks on it.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(refused(file, format!("it can't be made ({error})"), "have its folder be this user's"));
            }
            _ => {}
        }
        let began = Instant::now();
        let connection = loop {
            match prepared(file) {
                // Who changes the journal of a file at the same time as somebody else isn't made to wait, but turned away.
                Err(StoreError::Unreachable(_)) if began.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                done => break done?,
            }
        };
        let shared = Shared { file: file.to_owned(), connection: Mutex::new(connection), watching: Mutex::default() };
        Ok(Sqlite(Arc::new(shared)))
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection, &Path) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = self.0.clone();
        let done = tokio::task::spawn_blocking(move || work(&mut lock(&shared.connection), &shared.file)).await;
        done.unwrap_or_else(|error| Err(StoreError::Unknown(format!("the work on the file broke off ({error})"))))
    }
}

impl Store for Sqlite {
    fn read<'a>(&'a self, keys: &'a [Keys]) -> Answer<'a, Snapshot> {
        let keys = keys.to_vec();
        Box::pin(self.work(move |connection, file| read(connection, &keys).map_err(|error| of_reading(file, &error))?))
    }

    fn transact<'a>(&'a self, transaction: &'a Transaction) -> Answer<'a, Revision> {
        let transaction = transaction.clone();
        Box::pin(self.work(move |connection, file| transact(connection, file, &transaction)))
    }

    /// The file says only that something changed, not where: there is a hint for each change.
    fn watch(&self, _keys: &Keys) -> Hints {
        let (hinter, hints) = Hints::new();
        let mut watching = lock(&self.0.watching);
        let first = watching.is_empty();
        watching.push(hinter);
        if first {
            let (file, shared) = (self.0.file.clone(), Arc::downgrade(&self.0));
            std::thread::spawn(move || look(&file, &shared));
        }
        hints
    }

    fn name(&self) -> String {
        format!("sqlite:{}", self.0.file.display())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refused(file: &Path, what: impl std::fmt::Display, fix: &str) -> StoreError {
    StoreError::Refused { what: format!("{}: {what}", file.display()), fix: fix.to_owned() }
}

/// Locks don't work on file systems over the network, and two machines would destroy the file.
fn refuse_network(file: &Path) -> Result<(), StoreError> {
    use nix::sys::statfs::{FsType, NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, statfs};
    const CIFS: FsType = FsType(0xff53_4d42);
    const SMB2: FsType = FsType(0xfe53_4d42);
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match statfs(folder).map(|found| found.filesystem_type()) {
        Ok(NFS_SUPER_MAGIC | SMB_SUPER_MAGIC | CIFS | SMB2) => Err(refused(
            file,
            "it lies on a file system over the network, where its locks don't work",
            "lay it on a disk of this machine; several machines take etcd",
        )),
        _ => Ok(()),
    }
}

fn prepared(file: &Path) -> Result<Connection, StoreError> {
    let broken = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => StoreError::Damaged {
            what: format!("{}: it isn't a database, or it is damaged ({error})", file.display()),
            fix: "bring it back from a backup".to_owned(),
        },
        _ => of_reading(file, &error),
    };
    let connection = Connection::open(file).map_err(broken)?;
    connection.busy_timeout(PATIENCE).map_err(broken)?;
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(broken);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(broken)?;
    let (application, schema) = (pragma("application_id")?, pragma("user_version")?);
    if tables > 0 && application != APPLICATION {
        return Err(refused(file, "it is a database, but no store of fedge's", "name another file"));
    }
    if schema > SCHEMA {
        let what = format!("a newer fedge made it (its form is {schema}, and this one knows {SCHEMA})");
        return Err(refused(file, what, "run the newer fedge-control"));
    }
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(broken)?;
    if mode != "wal" {
        return Err(refused(
            file,
            format!("SQLite keeps it as `{mode}`, not as `wal`"),
            "lay it on a usual file system",
        ));
    }
    // What is acknowledged is on disk.
    connection.pragma_update(None, "synchronous", "full").map_err(broken)?;
    connection
        .execute_batch(&format!(
            "BEGIN IMMEDIATE;
             PRAGMA application_id = {APPLICATION};
             PRAGMA user_version = {SCHEMA};
             CREATE TABLE IF NOT EXISTS revision (latest INTEGER NOT NULL);
             INSERT INTO revision SELECT 0 WHERE NOT EXISTS (SELECT * FROM revision);
             CREATE TABLE IF NOT EXISTS entry (key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL)
                 WITHOUT ROWID;
             COMMIT;"
        ))
        .map_err(broken)?;
    Ok(connection)
}

fn read(connection: &mut Connection, keys: &[Keys]) -> rusqlite::Result<Result<Snapshot, StoreError>> {
    let transaction = connection.transaction()?;
    let revision = latest(&transaction)?;
    let mut entries = BTreeMap::new();
    for keys in keys {
        let (first, end) = range(keys);
        let mut found =
            transaction.prepare_cached("SELECT key, value, revision FROM entry WHERE key >= ?1 AND key < ?2")?;
        let mut rows = found.query(params![first, end])?;
        while let Some(row) = rows.next()? {
            let text: String = row.get(0)?;
            let Ok(key) = text.parse::<Key>() else {
                return Ok(Err(StoreError::Damaged {
                    what: format!("there is something at `{text}`, which is no key"),
                    fix: "has somebody else written into the file? Bring it back from a backup".to_owned(),
                }));
            };
            entries.insert(key, Entry { value: row.get(1)?, revision: Revision(unsigned(row.get(2)?)) });
        }
    }
    Ok(Ok(Snapshot { revision, entries }))
}

/// From the first of these keys to the one behind the last. Text is compared byte by byte.
fn range(keys: &Keys) -> (String, String) {
    match keys {
        Keys::One(key) => (key.to_string(), format!("{key}\u{1}")),
        // What comes after the slash is `0`.
        Keys::Under(key) => (format!("{key}/"), format!("{key}0")),
        Keys::All => (String::new(), "\u{7f}".to_owned()),
    }
}

fn latest(connection: &Connection) -> rusqlite::Result<Revision> {
    let latest = connection.query_row("SELECT latest FROM revision", [], |row| row.get(0))?;
    Ok(Revision(unsigned(latest)))
}

/// SQLite's numbers have a sign; ours begin at 0 and never get that far.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

fn of_reading(file: &Path, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => StoreError::Damaged {
            what: format!("{}: the file is damaged ({error})", file.display()),
            fix: "bring it back from a backup".to_owned(),
        },
        _ if is_full(error) => StoreError::Unreachable(format!(
            "{}: its disk is full; make room there, and it goes on by itself",
            file.display()
        )),
        Some(ErrorCode::DatabaseBusy) => StoreError::Unreachable(format!(
            "{}: for {} s another process has been writing into it; if a fedge-control of this machine is paused, or \
             somebody works on the file by hand, have it go on or end it",
            file.display(),
            PATIENCE.as_secs()
        )),
        _ => StoreError::Unreachable(format!("{}: {error}", file.display())),
    }
}

fn transact(connection: &mut Connection, file: &Path, asked: &Transaction) -> Result<Revision, StoreError> {
    asked.check()?;
    let before = |error: rusqlite::Error| of_reading(file, &error);
    // Immediate: whoever would have to wait for a lock in the middle would have to begin again.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(before)?;
    for (key, expect) in &asked.expected {
        let found = transaction
            .prepare_cached("SELECT revision FROM entry WHERE key = ?1")
            .and_then(|mut found| found.query_row([key.as_str()], |row| row.get(0)).optional())
            .map_err(before)?;
        let found = found.map_or(Expect::Absent, |revision| Expect::Unchanged(Revision(unsigned(revision))));
        if found != *expect {
            return Err(StoreError::Conflict(key.clone()));
        }
    }
    let revision = Revision(latest(&transaction).map_err(before)?.0 + 1);
    write(&transaction, &asked.writes, revision).map_err(before)?;
    match transaction.execute_batch("COMMIT") {
        Ok(()) => Ok(revision),
        // Leaving scope takes back a transaction that is still open. On a full disk SQLite has done so already: what makes a
        // transaction count is written last.
        Err(error) if !transaction.is_autocommit() || is_full(&error) => Err(before(error)),
        Err(error) => Err(StoreError::Unknown(format!("{}: {error}", file.display()))),
    }
}

fn write(connection: &Connection, writes: &[(Key, Write)], revision: Revision) -> rusqlite::Result<()> {
    connection.execute("UPDATE revision SET latest = ?1", [signed(revision.0)])?;
    for (key, write) in writes {
        match write {
            Write::Put(value) => {
                let mut put = connection
                    .prepare_cached("INSERT OR REPLACE INTO entry (key, value, revision) VALUES (?1, ?2, ?3)")?;
                put.execute(params![key.as_str(), value, signed(revision.0)])?;
            }
            Write::Delete => {
                connection.prepare_cached("DELETE FROM entry WHERE key = ?1")?.execute([key.as_str()])?;
            }
        }
    }
    Ok(())
}

/// Looks for changes on a connection of its own, which sees those of all others, until nobody has the store any more.
fn look(file: &Path, shared: &Weak<Shared>) {
    let version =
        |connection: &Connection| connection.pragma_query_value(None, "data_version", |row| row.get::<_, i64>(0));
    let mut connection = None;
    let mut last = None;
    while let Some(shared) = shared.upgrade() {
        if connection.is_none() {
            connection = Connection::open(file).ok();
        }
        let now = connection.as_ref().and_then(|connection| version(connection).ok());
        // Who can't look says so by hints: reading will tell what is wrong.
        if now.is_none() || now != last {
            last = now;
            let mut watching = lock(&shared.watching);
            watching.retain(Hinter::hint);
            if watching.is_empty() {
                return;
            }
        }
        drop(shared);
        std::thread::sleep(LOOK);
    }
}
