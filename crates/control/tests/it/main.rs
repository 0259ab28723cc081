//! Controllers with a store, their API, and members whose daemons are scripted: what is commanded, asked and recovered.

mod explained;
mod health;
mod metrics;
mod names;
mod names_updated;
mod probe;
mod recover;
mod rig;
mod secrets;
mod service;
mod shell;
mod stolen;
mod tlsa;
