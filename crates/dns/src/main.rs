//! The daemon fedge-dns: the internal DNS view.

fn main() {}
