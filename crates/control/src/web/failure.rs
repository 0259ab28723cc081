//! Why a request wasn't done, as status and problem.

use api::control::Problem;
use store::StoreError;

use crate::access::Denied;

/// Why a request wasn't done.
#[derive(Debug)]
pub struct Failure {
    /// HTTP's status.
    pub status: u16,
    /// What the one who asked is told.
    pub problem: Problem,
}

impl Failure {
    fn new(status: u16, code: &str, title: impl Into<String>, fix: impl Into<String>) -> Failure {
        let problem = Problem { code: code.to_owned(), title: title.into(), fix: fix.into(), faults: Vec::new() };
        Failure { status, problem }
    }

    /// What was asked for doesn't exist.
    pub fn not_found(title: impl Into<String>, fix: impl Into<String>) -> Failure {
        Failure::new(404, "not-found", title, fix)
    }

    /// It can't be done as it was asked.
    pub fn refused(title: impl Into<String>, fix: impl Into<String>) -> Failure {
        Failure::new(422, "refused", title, fix)
    }

    /// Something is as the one who asked didn't know it.
    pub fn conflict(title: impl Into<String>, fix: impl Into<String>) -> Failure {
        Failure::new(409, "conflict", title, fix)
    }

    /// A document is at fault, in all these places.
    pub fn faulty(title: impl Into<String>, faults: Vec<String>) -> Failure {
        let mut failure =
            Failure::new(422, "faulty", title, "mend each of the faults; `fedge topology check` shows them");
        failure.problem.faults = faults;
        failure
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        let title = error.to_string();
        match error {
            StoreError::Conflict(_) => Failure::conflict(title, "ask again"),
            StoreError::Refused { what, fix } => Failure::refused(what, fix),
            StoreError::Unreachable(_) => {
                Failure::new(503, "unreachable", title, "nothing was changed; federation goes on meanwhile; try again")
            }
            StoreError::Unknown(_) => {
                Failure::new(503, "unknown", title, "look with `fedge audit show` before you try again")
            }
            StoreError::Damaged { what, fix } => Failure::new(500, "damaged", what, fix),
        }
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Failure {
        match denied {
            Denied::Anonymous | Denied::Unknown => Failure::new(
                401,
                "who",
                denied.to_string(),
                "name a token's file with --token-file, or a certificate of a user",
            ),
            Denied::Role { .. } => {
                Failure::new(403, "role", denied.to_string(), "ask somebody who may, or have your role changed")
            }
        }
    }
}
