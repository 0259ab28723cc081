//! The session of a logged-in client: writes what it sends, hands on what arrives.

use std::convert::Infallible;
use std::sync::{Arc, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender};
use xmpp::xml::write::escape_attribute;
use xmpp::xml::{Frame, Scanner};

use super::login::Wire;
use super::{Stanza, State};

/// What is sent piecemeal at once goes out in batches of so many pieces.
const BATCH: usize = 1024;

/// Runs until the stream ends.
pub(super) async fn run(
    wire: Wire,
    from_client: UnboundedReceiver<Bytes>,
    to_server: WeakUnboundedSender<Bytes>,
    to_client: UnboundedSender<Stanza>,
    state: Arc<State>,
) {
    let (read_half, write_half) = wire.stream.into_split();
    let reader = Reader { read_half, scanner: wire.scanner, buffer: wire.buffer, to_server, to_client };
    let end = tokio::select! {
        end = reader.run(&state) => end,
        never = write(write_half, from_client) => match never {},
    };
    *state.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    // Dropping the senders tells those who wait for answers.
    state.waiting().take();
}

/// Writes for ever. When that fails, reading will soon say why.
async fn write(mut stream: OwnedWriteHalf, mut from_client: UnboundedReceiver<Bytes>) -> Infallible {
    let mut pieces = Vec::with_capacity(BATCH);
    let mut buffer = BytesMut::new();
    while from_client.recv_many(&mut pieces, BATCH).await > 0 {
        pieces.drain(..).for_each(|piece| buffer.extend_from_slice(&piece));
        if stream.write_all(&buffer).await.is_err() {
            break;
        }
        buffer.clear();
    }
    std::future::pending().await
}

struct Reader {
    read_half: OwnedReadHalf,
    scanner: Scanner,
    buffer: BytesMut,
    to_server: WeakUnboundedSender<Bytes>,
    to_client: UnboundedSender<Stanza>,
}

impl Reader {
    /// Reads until the stream ends; says how it did.
    async fn run(mut self, state: &State) -> String {
        let mut stream_error = None;
        loop {
            match self.scanner.next(&mut self.buffer) {
                Ok(Some(Frame::Element(element))) if element.name() == "error" => {
                    stream_error = Some(Stanza(element).to_string());
                }
                Ok(Some(Frame::Element(element))) => self.arrived(Stanza(element), state),
                Ok(Some(Frame::Whitespace | Frame::Header(_))) => {}
                Ok(Some(Frame::Footer)) => {
                    return stream_error.unwrap_or_else(|| "the server ended it without an error".to_owned());
                }
                Err(error) => return format!("what the server sent can't be read: {error}"),
                Ok(None) => {
                    self.buffer.reserve(65_536);
                    match self.read_half.read_buf(&mut self.buffer).await {
                        Ok(0) => return stream_error.unwrap_or_else(|| "the server closed the connection".to_owned()),
                        Ok(_) => {}
                        Err(error) => return format!("the connection broke: {error}"),
                    }
                }
            }
        }
    }

    fn arrived(&self, stanza: Stanza, state: &State) {
        if stanza.name() == "iq" {
            match stanza.type_().as_deref() {
                Some("result" | "error") => {
                    let waiting = stanza.id().and_then(|id| state.waiting().as_mut()?.remove(&*id));
                    if let Some(waiting) = waiting {
                        // Whoever waited may have given up.
                        let _ = waiting.send(stanza);
                        return;
                    }
                }
                _ if self.answered(&stanza) => return,
                _ => {}
            }
        }
        // When the client is gone, so will be this task.
        let _ = self.to_client.send(stanza);
    }

    /// Answers pings (XEP-0199) and roster pushes (RFC 6121 §2.1.6).
    fn answered(&self, request: &Stanza) -> bool {
        let tree = request.tree();
        let ping = tree.child("urn:xmpp:ping", "ping").or_else(|| tree.child("jabber:iq:roster", "query"));
        let (Some(_), Some(id), Some(to_server)) = (ping, request.id(), self.to_server.upgrade()) else { return false };
        let to = request.from().map(|from| format!(" to='{}'", escape_attribute(&from))).unwrap_or_default();
        let answer = format!("<iq{to} id='{}' type='result'/>", escape_attribute(&id));
        to_server.send(answer.into()).is_ok()
    }
}
