//! What an error of etcd's means: whether anything was done, and whether another endpoint may be asked.

use etcd_client::Error;

use super::Went;
use crate::error::StoreError;

/// Codes of gRPC, as its specification numbers them.
const INVALID_ARGUMENT: i32 = 3;
const PERMISSION_DENIED: i32 = 7;
const RESOURCE_EXHAUSTED: i32 = 8;
const FAILED_PRECONDITION: i32 = 9;
const UNAVAILABLE: i32 = 14;
const DATA_LOSS: i32 = 15;
const UNAUTHENTICATED: i32 = 16;

/// What an error means that came before anything was done, or of something that changes nothing.
pub(super) fn of_reading<T>(error: &Error) -> Went<T> {
    definite(error).unwrap_or_else(|| Went::Nowhere(error.to_string()))
}

/// What an error means that came after a transaction was sent.
pub(super) fn of_transacting<T>(error: &Error) -> Went<T> {
    definite(error).unwrap_or_else(|| Went::Wrong(StoreError::Unknown(error.to_string())))
}

fn definite<T>(error: &Error) -> Option<Went<T>> {
    let Error::GRpcStatus(status) = error else { return None };
    meaning(status.code() as i32, status.message())
}

/// What an answer means with which etcd says that it did nothing.
fn meaning<T>(code: i32, message: &str) -> Option<Went<T>> {
    let elsewhere = || Some(Went::Nowhere(message.to_owned()));
    let forgotten = || Some(Went::Forgotten(message.to_owned()));
    let refused = |fix: &str| {
        let what = format!("etcd refuses: {message}");
        Some(Went::Wrong(StoreError::Refused { what, fix: fix.to_owned() }))
    };
    match code {
        // A token doesn't outlive the member that gave it, nor a change of users and roles.
        UNAUTHENTICATED => forgotten(),
        INVALID_ARGUMENT if message.contains("auth token") || message.contains("auth store is old") => forgotten(),
        INVALID_ARGUMENT => refused("look at user and password, and at etcd's limits (docs/store.md)"),
        PERMISSION_DENIED => {
            refused("grant its user a role that may read and write below fedge's prefix (docs/store.md)")
        }
        // It has more to do than it can, and didn't begin with this.
        RESOURCE_EXHAUSTED if message.contains("too many requests") => elsewhere(),
        RESOURCE_EXHAUSTED => {
            refused("has etcd's space run out? `etcdctl alarm list` says so, docs/store.md what to do")
        }
        FAILED_PRECONDITION => {
            refused("does this cluster have authentication switched on, and this user? See docs/store.md")
        }
        // It looks for a leader before it begins, because we ask for one.
        UNAVAILABLE if message == "etcdserver: no leader" => elsewhere(),
        DATA_LOSS => Some(Went::Wrong(StoreError::Damaged {
            what: format!("etcd's members don't have the same: {message}"),
            fix: "look at `etcdctl alarm list`, and replace the member that differs".to_owned(),
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNKNOWN: i32 = 2;

    fn told(code: i32, message: &str) -> &'static str {
        match meaning::<()>(code, message) {
            None => "nothing",
            Some(Went::Well(())) => "well",
            Some(Went::Nowhere(_)) => "elsewhere",
            Some(Went::Forgotten(_)) => "anew",
            Some(Went::Wrong(StoreError::Refused { .. })) => "refused",
            Some(Went::Wrong(StoreError::Damaged { .. })) => "damaged",
            Some(Went::Wrong(_)) => "wrong",
        }
    }

    #[test]
    fn each_answer_means_what_etcd_means_by_it() {
        for (code, message, meant) in [
            (UNAUTHENTICATED, "etcdserver: invalid auth token", "anew"),
            (INVALID_ARGUMENT, "etcdserver: revision of auth store is old", "anew"),
            (INVALID_ARGUMENT, "etcdserver: authentication failed, invalid user ID or password", "refused"),
            (INVALID_ARGUMENT, "etcdserver: user name is empty", "refused"),
            (INVALID_ARGUMENT, "etcdserver: request is too large", "refused"),
            (PERMISSION_DENIED, "etcdserver: permission denied", "refused"),
            (RESOURCE_EXHAUSTED, "etcdserver: too many requests", "elsewhere"),
            (RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded", "refused"),
            (FAILED_PRECONDITION, "etcdserver: authentication is not enabled", "refused"),
            (DATA_LOSS, "etcdserver: corrupt cluster", "damaged"),
            (UNAVAILABLE, "etcdserver: no leader", "elsewhere"),
        ] {
            assert_eq!(told(code, message), meant, "{message}");
        }
    }

    #[test]
    fn what_may_have_been_done_is_never_told_otherwise() {
        for (code, message) in [
            (UNAVAILABLE, "etcdserver: leader changed"),
            (UNAVAILABLE, "etcdserver: request timed out"),
            (UNAVAILABLE, "etcdserver: request timed out, possibly due to previous leader failure"),
            (UNAVAILABLE, "etcdserver: server stopped"),
            (UNAVAILABLE, "error reading a body from connection"),
            (UNKNOWN, "raft proposal dropped"),
        ] {
            assert_eq!(told(code, message), "nothing", "{message}");
        }
    }
}
