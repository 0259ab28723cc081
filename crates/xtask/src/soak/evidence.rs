//! What everybody logged during a run that somebody should look at.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// How long each log is.
pub(super) type Lengths = BTreeMap<PathBuf, u64>;

/// The logs of everybody below a laboratory's folder.
fn logs(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name.contains(".d") {
            found.extend([path.join("log"), path.join("logs/ejabberd.log")].into_iter().filter(|log| log.is_file()));
        } else if name.contains(".log") {
            found.push(path);
        }
    }
    Ok(found)
}

/// How long they are now.
pub(super) fn lengths(folder: &Path) -> io::Result<Lengths> {
    logs(folder)?.into_iter().map(|log| Ok((log.clone(), fs::metadata(log)?.len()))).collect()
}

/// Copies what was added to them since.
pub(super) fn keep(folder: &Path, before: &Lengths, into: &Path) -> io::Result<()> {
    fs::create_dir_all(into)?;
    for log in logs(folder)? {
        let mut file = File::open(&log)?;
        file.seek(SeekFrom::Start(before.get(&log).copied().unwrap_or_default()))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let name = log.strip_prefix(folder).unwrap_or(&log).to_string_lossy().replace('/', "-");
        fs::write(into.join(name), text)?;
    }
    Ok(())
}
