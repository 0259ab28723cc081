//! What the daemon fedge-edge is made of: the external face, and beside it the gateway's or trunks from gateways.

pub mod course;

pub mod config;
pub mod outside;

mod entrance;

pub mod gateways;

mod memory;

mod service;

mod files;

mod steering;

mod borderer;
pub mod run;

mod witness;
