//! The times that administrators set, and what the end of the daemon costs: nobody's stanza.

#[path = "times/clocks.rs"]
mod clocks;
#[path = "times/drain.rs"]
mod drain;
#[path = "times/flood.rs"]
mod flood;
#[path = "times/rig.rs"]
mod rig;
#[path = "times/service.rs"]
mod service;
