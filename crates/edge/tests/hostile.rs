//! A hostile peer against the daemon: whatever it does ends its own stream, and no other notices.

#[path = "hostile/beside.rs"]
mod beside;
#[path = "hostile/crowd.rs"]
mod crowd;
#[path = "hostile/dialback.rs"]
mod dialback;
#[path = "hostile/identity.rs"]
mod identity;
#[path = "hostile/returns.rs"]
mod returns;
#[path = "hostile/tls.rs"]
mod tls;
#[path = "hostile/xml.rs"]
mod xml;
