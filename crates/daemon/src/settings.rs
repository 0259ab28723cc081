//! The sections that the configurations of several daemons have, as they are written and what they mean.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use net::judge::Roots;
use serde::de::DeserializeOwned;
use topology::faults::Faults;

mod check;
mod file;

pub use check::{Alone, check_listeners, settings, with_shared};
pub use file::{Limits, Metrics, Times};
pub use topology::entries::{Asked, Federation, Local, Partner};
pub use topology::written::Policies;

/// What a face is made from, besides what is its daemon's alone.
#[derive(Debug)]
pub struct FaceConfig {
    /// Where it accepts streams.
    pub listen: Vec<SocketAddr>,
    /// Those of them that may be another machine's at times.
    pub shared: Vec<SocketAddr>,
    /// Whose certificates count.
    pub trusted: Trusted,
    /// The file of dialback secrets; without it, one is drawn at each start.
    pub dialback_secrets: Option<PathBuf>,
    /// The DNS servers to ask; none for those of the system.
    pub resolvers: Vec<SocketAddr>,
}

/// Whose certificates count.
#[derive(Debug)]
pub struct Trusted {
    /// Roots.
    pub roots: Roots,
    /// Revocation lists.
    pub revoked: Vec<PathBuf>,
}

impl Trusted {
    /// As written: `system` or a file of roots, and files of revocation lists, found from `folder`.
    pub fn new(folder: &Path, trusted: &Path, revoked: &[PathBuf]) -> Trusted {
        let system = trusted.as_os_str() == "system";
        Trusted {
            roots: if system { Roots::System } else { Roots::File(folder.join(trusted)) },
            revoked: revoked.iter().map(|file| folder.join(file)).collect(),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{}: it can't be read ({error}); name a file that this user may read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// It says something that can't be.
    #[error("{0}")]
    Faulty(#[from] Faults),
}

/// Reads a configuration, and checks it with `check`, which gets the file, the folder from which the
/// files that it names are found, and where to add faults.
///
/// # Errors
/// Every fault, with its place; of unknown keys and wrong types only the first.
pub fn read<F: DeserializeOwned, C>(
    path: &Path,
    check: impl FnOnce(F, &Path, &mut Faults) -> C,
) -> Result<C, ConfigError> {
    let text = fs::read_to_string(path).map_err(|error| ConfigError::Unreadable { file: path.to_owned(), error })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok(parse(&path.display().to_string(), &text, folder, check)?)
}

/// As [`read`], of a text that was read already.
///
/// # Errors
/// As [`read`].
pub fn parse<F: DeserializeOwned, C>(
    name: &str,
    text: &str,
    folder: &Path,
    check: impl FnOnce(F, &Path, &mut Faults) -> C,
) -> Result<C, Faults> {
    let mut faults = Faults::new(name, text);
    match toml::from_str(text) {
        Ok(file) => {
            let config = check(file, folder, &mut faults);
            faults.none_or(config)
        }
        Err(error) => {
            // Where something is missing, the place has no width; one that isn't empty is drawn.
            let place = error.span().filter(|place| *place != (0..0));
            let place = place.map(|place| place.start..place.end.max(place.start + 1)).unwrap_or_default();
            faults.add(place, error.message(), "docs/configuration.md names every key and its values");
            Err(faults.none_or(()).expect_err("a fault was added"))
        }
    }
}
