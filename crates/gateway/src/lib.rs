//! The internal face: speaks as partners towards our own servers, alone or within an edge of one machine.

pub mod ca;
pub mod trunk_ca;

pub mod course;

pub mod config;
pub mod inside;

pub mod trunks;

pub mod steering;

mod gatekeeper;
pub mod run;
