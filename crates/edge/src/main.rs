//! The daemon fedge-edge: the external face, with the gateway in the same process if configured.

fn main() {}
