//! The daemon as a whole: the real binary on loopback, clients by UDP and TCP, scripted resolvers.

mod clients;
mod commands;
mod controlled;
mod forwarding;
mod health;
mod limits;
mod metrics;
mod reload;
mod rig;
mod signed;
mod view;
mod zones;
