//! Whether an administrator has stopped the federation service: a file in the state folder, there as long as that is so.

use std::io;
use std::path::{Path, PathBuf};

use agent::disk;

/// Its name in the state folder.
const NAME: &str = "service.stopped";

/// What is remembered over a restart.
#[derive(Debug)]
pub(crate) struct Memory(PathBuf);

/// It can't be written down.
#[derive(Debug, thiserror::Error)]
#[error("{}: it can't be written down whether the service is stopped ({error}); is there room, and may this user write there?", .0.display(), error = .1)]
pub(crate) struct MemoryError(PathBuf, io::Error);

impl Memory {
    /// In this state folder.
    pub(crate) fn new(folder: impl AsRef<Path>) -> Memory {
        Memory(folder.as_ref().join(NAME))
    }

    /// Since when it is stopped, in seconds since 1970; nothing where it isn't. A file that says no time, as somebody may
    /// have made it by hand, stops it too.
    pub(crate) fn stopped_since(&self) -> Option<u64> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => Some(text.trim().parse().unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::error!(file = %self.0.display(), %error, "it can't be read, so the service counts as stopped");
                Some(0)
            }
        }
    }

    /// It is stopped since then.
    pub(crate) fn stopped(&self, since: u64) -> Result<(), MemoryError> {
        let text = format!("{since}\n");
        disk::replace(&self.0, &[text.as_bytes()], disk::PUBLIC).map_err(|error| self.failed(error))
    }

    /// It isn't any more.
    pub(crate) fn forget(&self) -> Result<(), MemoryError> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.failed(error)),
            Ok(()) => disk::sync_folder_of(&self.0).map_err(|error| self.failed(error)),
        }
    }

    fn failed(&self, error: io::Error) -> MemoryError {
        MemoryError(self.0.clone(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_remembered_until_it_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = Memory::new(folder.path());
        assert_eq!(memory.stopped_since(), None);
        memory.forget().expect("nothing is forgotten");
        memory.stopped(17).expect("written");
        assert_eq!(Memory::new(folder.path()).stopped_since(), Some(17));
        std::fs::write(folder.path().join(NAME), "by hand").expect("written");
        assert_eq!(memory.stopped_since(), Some(0));
        memory.forget().expect("removed");
        assert_eq!(memory.stopped_since(), None);
        let nowhere = Memory::new(folder.path().join("missing"));
        assert!(
            nowhere.stopped(17).expect_err("no folder").to_string().contains("service.stopped: it can't be written")
        );
    }
}
