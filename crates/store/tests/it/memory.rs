//! The store in memory.

use std::sync::Arc;

use store::Memory;

use crate::battery;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_in_memory_does_what_a_store_must() {
    battery::all(Arc::new(Memory::new())).await;
}
