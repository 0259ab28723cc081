//! The folder in which a member keeps what it was told, so that it can start when no controller answers.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use api::agent::{Digest, Head, LINE, Route, Snapshot};

use crate::disk::{self, sha256};

const SNAPSHOT: &str = "snapshot";
const PREVIOUS: &str = "snapshot.previous";
const LOCK: &str = "lock";
/// What a snapshot's file begins with; the hash of all that follows comes behind it.
const MARK: &str = "fedge snapshot 1 ";

/// A snapshot with its content.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// Which it is.
    pub head: Head,
    /// What is in it, as [`api::agent::content`] writes it.
    pub content: String,
}

// There are secrets in the content.
impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("head", &self.head).field("content_bytes", &self.content.len()).finish()
    }
}

impl Kept {
    /// What a member is to go by: version `version` of a topology, read from `document`, of which `content` is its view
    /// ([`api::agent::view`]).
    pub fn new(
        installation: &str,
        member: &str,
        (version, document): (u64, &str),
        route: Route,
        content: String,
    ) -> Kept {
        let head = Head {
            installation: installation.to_owned(),
            member: member.to_owned(),
            version,
            topology: sha256(document.as_bytes()),
            route,
            content: sha256(content.as_bytes()),
        };
        Kept { head, content }
    }

    /// Puts together what a controller sent with what is here already.
    ///
    /// # Errors
    /// When it is neither here nor sent, or isn't what its hash says.
    pub fn of(sent: Snapshot, have: Option<&Kept>) -> Result<Kept, Incomplete> {
        let content = match sent.content {
            Some(content) => {
                let found = sha256(content.as_bytes());
                if found != sent.head.content {
                    return Err(Incomplete::Damaged { said: sent.head.content, found });
                }
                content
            }
            None => match have.filter(|have| have.head.content == sent.head.content) {
                Some(have) => have.content.clone(),
                None => return Err(Incomplete::Missing(sent.head.content)),
            },
        };
        Ok(Kept { head: sent.head, content })
    }
}

/// Why there is no whole snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Incomplete {
    /// Its content isn't here.
    #[error("the content {0} is not here; send it whole")]
    Missing(Digest),
    /// Its content was changed on its way, or never was what it is said to be.
    #[error("the snapshot's content should have the hash {said}, and has {found}; send it again")]
    Damaged {
        /// What its head says.
        said: Digest,
        /// What it is.
        found: Digest,
    },
}

/// Why the state folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process has it.
    #[error("{}: another process uses this state folder; give each daemon its own, and stop it before `enrol`", .0.display())]
    InUse(PathBuf),
    /// It can't be read or written.
    #[error("{}: {error}; this user must be able to write there, and the disk have room", file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// The folder, for this process alone.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    /// Whether the file is one that was read or written whole, and so worth keeping as the previous one.
    whole: bool,
    _lock: File,
}

/// What was found in the folder.
#[derive(Debug)]
pub struct Found {
    /// The latest snapshot that is whole.
    pub snapshot: Option<Kept>,
    /// What somebody should look at, in sentences.
    pub concerns: Vec<String>,
}

impl State {
    /// Opens the folder, or makes it, and reads what is in it. What is damaged is named and left out.
    ///
    /// # Errors
    /// When it can't be used, or another process uses it.
    pub fn open(folder: &Path) -> Result<(State, Found), StateError> {
        let failed = |file: &Path| {
            let file = file.to_owned();
            move |error| StateError::Io { file, error }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
        let file = folder.join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(&file).map_err(failed(&file))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StateError::InUse(folder.to_owned()),
            TryLockError::Error(error) => failed(&file)(error),
        })?;
        let (snapshot, whole, concerns) = latest(folder);
        Ok((State { folder: folder.to_owned(), whole, _lock: lock }, Found { snapshot, concerns }))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps a snapshot: it is on the disk when this returns, and the one before it beside it.
    ///
    /// # Errors
    /// When it can't be written; what was there is still there then.
    pub fn keep(&mut self, snapshot: &Kept) -> Result<(), StateError> {
        let file = self.folder.join(SNAPSHOT);
        let kept = self.write(&file, snapshot);
        kept.map_err(|error| StateError::Io { file, error })?;
        self.whole = true;
        Ok(())
    }

    fn write(&self, file: &Path, snapshot: &Kept) -> io::Result<()> {
        let beside = self.folder.join("snapshot.new");
        let mut body = serde_json::to_vec(&snapshot.head)?;
        body.push(b'\n');
        body.extend_from_slice(snapshot.content.as_bytes());
        let first = format!("{MARK}{}\n", sha256(&body));
        disk::write_beside(&beside, &[first.as_bytes(), &body], disk::SECRET)?;
        if self.whole {
            let previous = self.folder.join(PREVIOUS);
            match fs::remove_file(&previous) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => fs::hard_link(file, &previous)?,
            }
        }
        fs::rename(&beside, file)?;
        disk::sync_folder_of(file)
    }
}

/// The latest that is whole, whether it is the newest, and what was wrong.
fn latest(folder: &Path) -> (Option<Kept>, bool, Vec<String>) {
    let mut concerns = Vec::new();
    for (name, newest) in [(SNAPSHOT, true), (PREVIOUS, false)] {
        let file = folder.join(name);
        match read(&file) {
            Ok(Some(kept)) => {
                if !newest {
                    let (version, epoch) = (kept.head.version, kept.head.route.epoch);
                    concerns.push(format!(
                        "{}: the snapshot before is used instead, with version {version} of the topology and epoch {epoch} \
                         of the route, until a controller sends the present one",
                        file.display()
                    ));
                }
                return (Some(kept), newest, concerns);
            }
            Ok(None) => {}
            Err(what) => concerns.push(format!("{}: {what}", file.display())),
        }
    }
    (None, false, concerns)
}

fn read(file: &Path) -> Result<Option<Kept>, String> {
    match fs::metadata(file) {
        Ok(found) if found.len() > 2 * LINE as u64 => {
            return Err(format!("this snapshot has {} bytes, which no controller sends; it is not used", found.len()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        _ => {}
    }
    let bytes = fs::read(file).map_err(|error| format!("it can't be read ({error}); it is not used"))?;
    whole(&bytes).map(Some).ok_or_else(|| {
        let (seen, cause) = (bytes.len(), "the disk was full or is failing, or somebody changed it");
        format!("this snapshot ({seen} bytes) isn't what was written: {cause}; it is not used")
    })
}

/// Reads a file's bytes; nothing unless all of them are those that were written.
fn whole(bytes: &[u8]) -> Option<Kept> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (hash, body) = text.strip_prefix(MARK)?.split_once('\n')?;
    if hash.parse() != Ok(sha256(body.as_bytes())) {
        return None;
    }
    let (head, content) = body.split_once('\n')?;
    let kept = Kept { head: serde_json::from_str(head).ok()?, content: content.to_owned() };
    (kept.head.content == sha256(content.as_bytes())).then_some(kept)
}

#[cfg(test)]
mod tests;
