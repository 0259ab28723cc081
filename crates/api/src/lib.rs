//! What travels between processes and to the command line.

pub mod control;
pub mod local;
