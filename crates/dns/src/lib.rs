//! The internal DNS view leads internal servers that look for partners to the gateways, and forwards everything else;
//! beside it stand the zones by which partners find us (`zone`).

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
pub mod zone;

mod limit;

#[cfg(test)]
mod testing;
