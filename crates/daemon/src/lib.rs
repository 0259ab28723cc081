//! What all daemons have: settings, log, faces from files, the desk for local commands, metrics, life from start to drain.

pub mod settings;

pub mod log;

pub mod parts;

pub mod desk;
pub mod life;
pub mod metrics;

pub mod ask;
mod describe;
pub mod exit;

pub mod control;
pub mod enrol;
pub mod health;
pub mod led;
pub mod probe;
pub mod service;
