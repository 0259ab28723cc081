//! The fault rig: a split laboratory in which two users flood each other while one thing breaks, and the account of every message.

use std::time::Duration;

use crate::fedge::Programs;
use crate::lab::split::{GATEWAYS, Sites, Split};
use crate::lab::{CONTOSO, FABRIKAM, Kind, LabPlan, Peer, TAILSPIN};
use crate::server::Authentication::External;

mod account;
mod cause;
mod fault;
mod flood;
mod late;
mod log;
mod random;
mod run;
mod sides;

pub use crate::lab::split::Rival;
pub use account::Outcome;
pub use cause::{BREAK, FEDGE, KILLED, QUEUE};
pub use fault::{Deed, Fault, Victim};
pub use late::Lateness;
pub use log::{Said, Since};
pub use run::{Order, Report};

/// For streams to come up in a laboratory where nothing is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A laboratory for one run after the other: contoso.test with a Prosody inside, fabrikam.test with a Prosody and
/// tailspin.test with an ejabberd outside, each gateway, edge server and server on a host of its own.
#[derive(Debug)]
pub struct Rig {
    split: Split,
    /// How many runs it has seen; ids of messages are not used again.
    runs: u32,
    /// Its files; gone when it is.
    _folder: tempfile::TempDir,
}

impl Rig {
    /// Builds it up, with this build of fedge or with a rival in its place.
    ///
    /// # Errors
    /// When something doesn't start; with its log.
    pub fn start(programs: Programs, rival: Option<Rival>) -> anyhow::Result<Rig> {
        let authentication = rival.map_or(External, Rival::authentication);
        let peer = |kind| Peer { kind, authentication };
        let partners = [(FABRIKAM, peer(Kind::Prosody)), (TAILSPIN, peer(Kind::Ejabberd))];
        let plan = LabPlan::new(peer(Kind::Prosody), &partners);
        let folder = tempfile::Builder::new().prefix("fedge-rig-").tempdir()?;
        let split = match rival {
            Some(rival) => Split::start_rival(Sites::hosts()?, &plan, folder.path(), programs, rival)?,
            None => Split::start_at(Sites::hosts()?, &plan, folder.path(), programs)?,
        };
        Ok(Rig { split, runs: 0, _folder: folder })
    }

    /// Where its logs are.
    pub fn folder(&self) -> &std::path::Path {
        self.split.folder()
    }

    /// Leaves its files where they are when it ends.
    pub fn keep_files(&mut self) {
        self._folder.disable_cleanup(true);
    }

    /// Starts again what doesn't run, and waits until all trunks are up and the route is on the first pool.
    fn heal(&mut self) -> anyhow::Result<()> {
        for member in self.split.everybody() {
            if !self.split.members.contains_key(member) {
                self.split.begin(member)?;
            }
        }
        if self.split.rival().is_some() {
            return Ok(());
        }
        for gateway in GATEWAYS {
            self.split.wait_for_trunks(gateway, crate::lab::split::edges().count())?;
        }
        self.split.route(crate::lab::split::POOLS[0].0)
    }

    /// A user of the laboratory's own domain, and one of the partner's.
    fn users(partner: &str) -> [String; 2] {
        [format!("alice@{CONTOSO}/rig"), format!("bob@{partner}/rig")]
    }
}
