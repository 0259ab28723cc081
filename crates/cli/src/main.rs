//! The command line: fedge.

fn main() {}
