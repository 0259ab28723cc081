//! What travels between processes and to the command line.

pub mod client;
pub mod control;
pub mod dns;
pub mod local;
pub mod probe;
pub mod route;

pub mod agent;
