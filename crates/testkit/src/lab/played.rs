//! Servers that a test plays itself, byte by byte: as the one who connects ([`Caller`]) and as the one
//! who is connected to ([`PlayedServer`], and [`Sink`] for measuring).

mod caller;
mod server;
mod sink;
mod tls;

pub use caller::{Caller, Ending};
pub use server::{Conduct, Heard, PlayedServer, What};
pub use sink::{Arrival, Sink};

/// A stream header between these two, as who opens a stream writes it.
pub fn header(from: &str, to: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
         xmlns:db='jabber:server:dialback' from='{from}' to='{to}' version='1.0'>"
    )
}

/// What asks for TLS.
pub const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
/// What asks to be known by the certificate.
pub const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
/// What ends a stream.
pub const FOOTER: &str = "</stream:stream>";
