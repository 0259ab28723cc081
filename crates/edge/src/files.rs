//! What the daemon reads from files, taken over again while it runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use gateway::inside::{Inside, InsideError};
use tokio::signal::unix::Signal;
use topology::policy::Policy;

use crate::config::{Config, Configured, Inward};
use crate::gateways::Trunks;
use crate::outside::{Outside, OutsideError};
use crate::run::Failure;

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(5);
/// Between two reminders of what somebody should look at, in looks.
const REMIND: u32 = 12 * 60 * 24;

/// All of it, and the policy, which is from a file where no controllers lead.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) outside: Outside,
    pub(crate) inside: Option<Inside>,
    pub(crate) policy: Arc<ArcSwap<Policy>>,
}

impl Files {
    pub(crate) fn read(config: &Config, policy: Arc<ArcSwap<Policy>>) -> Result<Files, Failure> {
        let inside = match &config.inward {
            Inward::Gateway { face, ca, .. } => Some(Inside::read(face, ca.as_deref())?),
            Inward::Trunk { .. } | Inward::Control(_) => None,
        };
        Ok(Files { outside: Outside::read(&config.external, &config.certificates)?, inside, policy })
    }

    /// Takes over what a configuration that was read again says: all of it, or nothing.
    fn read_again(&self, file: &Path, led: bool) -> Result<(), Failure> {
        let Configured::Edge(config) = Configured::read(file)? else {
            tracing::warn!("whether this is a witness changes with the next start");
            return Ok(());
        };
        let fresh = Files::read(&config, self.policy.clone())?;
        self.outside.replace(&fresh.outside).map_err(OutsideError::from)?;
        if let (Some(inside), Some(fresh)) = (&self.inside, &fresh.inside) {
            inside.replace(fresh).map_err(InsideError::from)?;
        }
        match config.inward.policy() {
            Some(policy) if !led => self.policy.store(Arc::new(policy.clone())),
            None if led => {}
            _ => tracing::warn!("whether controllers lead this edge server changes with the next start"),
        }
        Ok(())
    }

    pub(crate) fn concerns(&self) -> Vec<String> {
        let (policy, now) = (self.policy.load(), SystemTime::now());
        let inside = self.inside.as_ref().map(|inside| inside.concerns(&policy, now)).unwrap_or_default();
        [self.outside.concerns(&policy, now), inside].concat()
    }

    /// Our own domains for which there is no certificate that lasts.
    pub(crate) fn uncovered(&self, now: SystemTime) -> Vec<String> {
        self.outside.uncovered(&self.policy.load(), now)
    }

    /// Takes over changed files: certificates and roots by themselves, everything on SIGHUP. Where controllers lead,
    /// the policy is theirs.
    pub(crate) async fn watch(self, file: PathBuf, mut hangup: Signal, trunks: Option<Arc<Trunks>>, led: bool) {
        let mut look = tokio::time::interval(LOOK);
        let mut looks = 0_u32;
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    match self.read_again(&file, led) {
                        Ok(()) => {
                            tracing::info!("policy, certificates, roots and secrets were read again; other changes need a restart");
                        }
                        Err(error) => tracing::error!(%error, "the configuration can't be used; everything stays as it was"),
                    }
                    self.tell();
                }
                _ = look.tick() => {
                    self.outside.look();
                    if let Some(inside) = &self.inside {
                        inside.look();
                    }
                    if let Some(trunks) = &trunks {
                        trunks.look();
                    }
                    if looks.is_multiple_of(REMIND) {
                        self.tell();
                    }
                    looks = looks.wrapping_add(1);
                }
            }
        }
    }

    fn tell(&self) {
        for concern in self.concerns() {
            tracing::warn!("{concern}");
        }
    }
}
