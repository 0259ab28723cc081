//! Reading the files that certificates, keys, roots and revocation lists come in, and noticing that they changed.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// More than any certificate, key or bundle of roots has; a file that is bigger is a mistake.
const FILE_BYTES: u64 = 16 * 1024 * 1024;

/// The whole of a file, unless it is absurdly big.
pub(crate) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is over 16 MiB"));
    }
    Ok(bytes)
}

/// What a set of files looked like from outside: cheap to take, different as soon as one of them is
/// written, replaced, added or removed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Fingerprint(Vec<(PathBuf, Option<Stamp>)>);

/// Size and times alone would miss a file that another of the same size replaced within a tick.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    /// Looks at each of `paths`, through symbolic links.
    pub(crate) fn take(paths: impl IntoIterator<Item = PathBuf>) -> Fingerprint {
        let look = |path: PathBuf| {
            let stamp = std::fs::metadata(&path).ok().map(|found| Stamp::of(&found));
            (path, stamp)
        };
        let mut seen: Vec<_> = paths.into_iter().map(look).collect();
        seen.sort();
        Fingerprint(seen)
    }
}

impl Stamp {
    fn of(file: &Metadata) -> Stamp {
        Stamp {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}
