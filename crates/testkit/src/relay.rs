//! A TCP relay that stands before a server and makes the connections to it as bad as a test needs them.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;

use crate::place::{Background, Place};

mod connection;
mod records;
#[cfg(test)]
mod tests;

/// What is done to connections that the relay accepts while this is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// They are closed at once.
    Close,
    /// They are reset at once, which to who dialed may look as if connecting had failed.
    Reset,
    /// They stay open, and nothing is ever read or written.
    Silence,
    /// So many bytes come back from the target, then nothing passes any more, in neither direction.
    SilenceAfter {
        /// How many bytes.
        bytes: u64,
    },
    /// Who dialed completes its TLS handshake, after STARTTLS or directly, and from then on nothing
    /// passes, in neither direction: with its first record of application data. (In TLS 1.3 its own
    /// Finished is one, and nothing need come back after that.)
    SilenceAfterTls,
}

/// A relay, which ends with all its connections when it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    control: watch::Sender<Control>,
    accepted: watch::Receiver<u64>,
    _server: Background,
}

/// What connections are told.
#[derive(Debug, Clone, Default)]
struct Control {
    fault: Option<Fault>,
    to_target: Duration,
    to_dialer: Duration,
    frozen: bool,
    /// How often all connections that there were have been ended, and how it was done last.
    ended: (u64, End),
}

#[derive(Debug, Clone, Copy, Default)]
enum End {
    #[default]
    Close,
    Reset,
}

impl Relay {
    /// Accepts connections at `at` and passes them on to `target`, both in `place`. With port 0 it
    /// finds itself a free one. A target that can't be reached shows as a reset.
    ///
    /// # Errors
    /// When the address can't be listened on.
    pub fn start(place: &Place, at: SocketAddr, target: SocketAddr) -> anyhow::Result<Relay> {
        let listener = place.enter(move || TcpListener::bind(at)).with_context(|| format!("can't listen on {at}"))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (control, controlled) = watch::channel(Control::default());
        let (count, accepted) = watch::channel(0);
        let server = Background::start(place, move || connection::accept(listener, target, controlled, count));
        Ok(Relay { address, control, accepted, _server: server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has accepted.
    pub fn accepted(&self) -> u64 {
        *self.accepted.borrow()
    }

    /// Does this to the connections that it accepts from now on, or nothing.
    pub fn fault(&self, fault: Option<Fault>) {
        self.control.send_modify(|control| control.fault = fault);
    }

    /// From now on, whatever is read takes so long to the other side, in either direction.
    pub fn delay(&self, to_target: Duration, to_dialer: Duration) {
        self.control.send_modify(|control| (control.to_target, control.to_dialer) = (to_target, to_dialer));
    }

    /// From now on nothing passes, in neither direction, until [`Relay::thaw`].
    pub fn freeze(&self) {
        self.control.send_modify(|control| control.frozen = true);
    }

    /// What was held up passes.
    pub fn thaw(&self) {
        self.control.send_modify(|control| control.frozen = false);
    }

    /// Closes all connections that there are, on both sides; what was on its way is lost.
    pub fn cut(&self) {
        self.end(End::Close);
    }

    /// Resets all connections that there are, on both sides.
    pub fn reset(&self) {
        self.end(End::Reset);
    }

    fn end(&self, how: End) {
        self.control.send_modify(|control| control.ended = (control.ended.0 + 1, how));
    }
}
