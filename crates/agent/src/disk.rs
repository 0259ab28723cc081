//! Files that are whole or not there, whatever happens meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, lchown};
use std::path::Path;

use api::agent::Digest;
use aws_lc_rs::digest;

/// The mode of a file that only its owner may read.
pub const SECRET: u32 = 0o600;
/// The mode of a file that everybody may read.
pub const PUBLIC: u32 = 0o644;

/// The SHA-256 hash of some bytes.
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest(digest::digest(&digest::SHA256, bytes).as_ref().try_into().expect("SHA-256 makes 32 bytes"))
}

/// Writes a file beside the one that it will replace, so that it is on the disk as a whole.
pub(crate) fn write_beside(file: &Path, parts: &[&[u8]], mode: u32) -> io::Result<()> {
    // What an earlier try left may have another mode.
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(file).and_then(|mut opened| {
        parts.iter().try_for_each(|part| opened.write_all(part))?;
        opened.sync_all()
    });
    if written.is_err() {
        // On a full disk, half a file is in the way of everybody.
        let _ = fs::remove_file(file);
    }
    written
}

/// Gives the files in a folder to whoever the folder belongs to, as far as they aren't his. Others than root can't, and for
/// them nothing is done.
///
/// # Errors
/// When it can't be done.
pub fn give_to_owner(folder: &Path) -> io::Result<()> {
    let (owner, ourselves) = (fs::metadata(folder)?, fs::metadata("/proc/self")?);
    if ourselves.uid() != 0 {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let of_file = entry.metadata()?;
        if (of_file.uid(), of_file.gid()) != (owner.uid(), owner.gid()) {
            lchown(entry.path(), Some(owner.uid()), Some(owner.gid()))?;
        }
    }
    Ok(())
}

/// Replaces a file; it is the old one or the new one, also after a power failure.
///
/// # Errors
/// When it can't be written; then it is the old one.
pub fn replace(file: &Path, parts: &[&[u8]], mode: u32) -> io::Result<()> {
    let beside = file.with_added_extension("new");
    write_beside(&beside, parts, mode)?;
    fs::rename(&beside, file)?;
    sync_folder_of(file)
}

/// Brings what was renamed or removed in the file's folder to the disk.
///
/// # Errors
/// When the system can't.
pub fn sync_folder_of(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_root_wrote_belongs_to_whoever_has_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let elsewhere = tempfile::NamedTempFile::new().expect("a file");
        fs::write(folder.path().join("lock"), "").expect("written");
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("link")).expect("made");
        lchown(folder.path(), Some(12_345), Some(54_321)).expect("as root");
        give_to_owner(folder.path()).expect("as root");
        for name in ["lock", "link"] {
            let of_file = fs::symlink_metadata(folder.path().join(name)).expect("it is there");
            assert_eq!((of_file.uid(), of_file.gid()), (12_345, 54_321));
        }
        let of_other = fs::metadata(elsewhere.path()).expect("it is there");
        assert_ne!(of_other.uid(), 12_345, "what a link leads to is somebody else's");
    }
}
