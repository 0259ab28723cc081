//! What the daemon fedge-edge is made of: configuration, two faces, life from start to drain, local commands.

pub mod args;
pub mod config;
pub mod faces;
pub mod log;

pub mod local;
pub mod reload;
pub mod run;

pub mod ask;
