//! What an administrator asks the daemon, and what it must never tell: `check`, the local commands, the log.

#[path = "desk/commands.rs"]
mod commands;
#[path = "desk/log.rs"]
mod log;
#[path = "desk/rig.rs"]
mod rig;
#[path = "desk/trace.rs"]
mod trace;
