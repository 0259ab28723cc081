//! The XMPP server-to-server protocol, sans-I/O: bytes, answers and `now` in; steps out.
//!
//! A stream's life: bytes arrive in a machine's buffer ([`stream`]), the strict scanner ([`xml`])
//! cuts them into frames, a frame is the stream's header, a negotiation element or a
//! [`stanza`]; the machine answers, asks the world a question, or hands the stanza on.
//! Nothing here opens a socket, reads a clock or draws a random number.

pub mod domain;
pub mod identity;

pub mod jid;
pub mod xml;

pub mod stanza;

pub mod dialback;
pub mod stream;
