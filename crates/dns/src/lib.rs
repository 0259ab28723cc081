//! The internal DNS view: leads internal servers that look for partners to the gateways, and
//! forwards everything else. Modules stand in the order in which a query flows through them.

pub mod answer;
pub mod cache;
pub mod config;
pub mod control;
pub mod counts;
pub mod forward;
pub mod listen;
pub mod message;
pub mod run;
pub mod service;
pub mod view;

mod limit;

#[cfg(test)]
mod testing;
