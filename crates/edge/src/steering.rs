//! The course of an edge server with gateways as it is gone by, and changed while it runs.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use daemon::life::ListenError;

use crate::course::Course;
use crate::files::Files;
use crate::gateways::Trunks;

/// What is steered.
pub(crate) struct Steering {
    files: Files,
    trunks: Arc<Trunks>,
    /// The pool that it is a member of, where controllers say so.
    pool: ArcSwapOption<String>,
}

impl Steering {
    pub(crate) fn new(files: Files, trunks: Arc<Trunks>) -> Steering {
        Steering { files, trunks, pool: ArcSwapOption::empty() }
    }

    /// Goes by this course from now on: all of it, or nothing.
    ///
    /// # Errors
    /// When it can't be listened where gateways are to come.
    pub(crate) fn take(&self, course: Course) -> Result<(), ListenError> {
        let Course { policy, secrets, pool, trunk, gateways } = course;
        let opened = self.trunks.open(&trunk)?;
        self.files.policy.store(Arc::new(policy));
        if let Some(secrets) = secrets {
            self.files.outside.make_keys_of(secrets);
        }
        self.pool.store(pool.map(Arc::new));
        self.trunks.admit(&gateways, &trunk, opened);
        Ok(())
    }

    /// The pool that it is a member of, where controllers say so.
    pub(crate) fn pool(&self) -> Option<Arc<String>> {
        self.pool.load_full()
    }
}
