//! Documents in the store: in pieces at their digest, since a value there may not be as long as a large topology.

use store::{Expect, Keys, StoreError, Transaction, VALUE_BYTES};

use super::Ledger;
use crate::audit::Hash;
use crate::records;

/// The longest document, in bytes: some 100,000 partners.
pub const DOCUMENT_BYTES: usize = 8 * 1024 * 1024;

/// Lays a document down, and gives its digest. Nothing refers to it yet. What lies there already is the same, by its name.
///
/// # Errors
/// [`StoreError::Refused`] when it is too long, and as [`Ledger::put`].
pub async fn put_document(ledger: &Ledger, document: &str) -> Result<Hash, StoreError> {
    if document.len() > DOCUMENT_BYTES {
        return Err(StoreError::Refused {
            what: format!("the document has {} bytes, and may have {DOCUMENT_BYTES}", document.len()),
            fix: "give several partners one entry".to_owned(),
        });
    }
    let digest = Hash::of(document.as_bytes());
    for (number, piece) in document.as_bytes().chunks(VALUE_BYTES).enumerate() {
        let key = records::piece(&digest, number);
        let put = Transaction::new().expect(key.clone(), Expect::Absent).put(key, piece);
        match ledger.put(&put).await {
            Ok(()) | Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(digest)
}

/// The document with this digest.
///
/// # Errors
/// [`StoreError::Damaged`] when it isn't there as it was, and as [`store::Store::read`].
pub async fn read_document(ledger: &Ledger, digest: &Hash) -> Result<String, StoreError> {
    let snapshot = ledger.read(&[Keys::Under(records::pieces(digest))]).await?;
    let bytes: Vec<u8> = snapshot.entries.into_values().flat_map(|entry| entry.value).collect();
    let whole = Hash::of(&bytes) == *digest;
    String::from_utf8(bytes).ok().filter(|_| whole).ok_or_else(|| StoreError::Damaged {
        what: format!("the document {digest} is not in the store as it was"),
        fix: "bring the store back from a backup, or publish the topology again from its file".to_owned(),
    })
}
