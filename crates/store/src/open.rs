//! A store by its name: `sqlite:/var/lib/fedge-control/store.db`, `etcd:https://…`.

use std::path::Path;
use std::sync::Arc;

use crate::{Sqlite, Store, StoreError};

/// Opens the store of that name: `sqlite:` and a file's whole path, or `etcd:` and what [`crate::etcd::Address`] reads.
///
/// # Errors
/// When it is no such name, or the store can't be opened.
pub fn open(name: &str) -> Result<Arc<dyn Store>, StoreError> {
    match name.split_once(':') {
        Some(("sqlite", file)) if file.starts_with('/') => Ok(Arc::new(Sqlite::open(Path::new(file))?)),
        Some(("etcd", address)) => open_etcd(address),
        _ => Err(StoreError::Refused {
            what: format!("`{name}` is no store"),
            fix: "write `sqlite:` and a file's whole path, such as \"sqlite:/var/lib/fedge-control/store.db\", or `etcd:` and \
                  its endpoints (docs/store.md)"
                .to_owned(),
        }),
    }
}

#[cfg(feature = "etcd")]
fn open_etcd(address: &str) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(crate::etcd::Etcd::new(address.parse()?)?))
}

#[cfg(not(feature = "etcd"))]
fn open_etcd(_address: &str) -> Result<Arc<dyn Store>, StoreError> {
    Err(StoreError::Refused {
        what: "this fedge was built without etcd".to_owned(),
        fix: "build it with `--features etcd`, which needs Debian's protobuf-compiler and libprotobuf-dev".to_owned(),
    })
}
