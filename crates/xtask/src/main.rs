//! cargo xtask: test, demo, and what the project checks about itself.

fn main() {}
