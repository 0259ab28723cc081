//! The control plane: what should be and what is, kept in the store and brought to every member.

pub mod access;
pub mod ahead;
pub mod audit;
pub mod config;
pub mod health;
pub mod http;
mod identity;
pub mod ledger;
pub mod members;
pub mod page;
pub mod probe;
pub mod publish;
pub mod records;
pub mod recover;
pub mod route;
pub mod run;
pub mod secrets;
pub mod service;
#[cfg(test)]
mod simulation;
pub mod status;
pub mod web;
pub mod zones;
