//! Files that are whole or not there, whatever happens meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
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
