//! What both machines stand on: the buffer, the scanner, the steps to take, the clocks.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::error::{Condition, End, StreamError};
use super::{Settings, Step, words};
use crate::xml::{Frame, Limits, Scanner, Verbatim, redacted};

/// The largest element, in bytes, of a peer that proved nothing: thousands of those may be connected.
const UNPROVEN: usize = 10_000;
/// What is kept for somebody who follows the stream, in frames.
const SEEN: usize = 1000;

pub(super) struct Wire {
    pub(super) input: BytesMut,
    scanner: Scanner,
    steps: VecDeque<Step>,
    pub(super) settings: Settings,
    opened: Instant,
    last_stanza: Instant,
    last_sent: Instant,
    /// Somebody proved himself: from here on the idle and keep-alive clocks run.
    pub(super) established: bool,
    /// The peer proved itself: it may send elements of full size.
    trusted: bool,
    /// We ended our side; when.
    closing: Option<Instant>,
    /// When the peer's end isn't waited for any longer, where that isn't as set.
    over_by: Option<Instant>,
    heard: bool,
    /// What our side of the stream begins with, until it was sent.
    opening: Option<Bytes>,
    /// The next byte that we send belongs to the TLS handshake.
    handshake: bool,
    eof: bool,
    over: bool,
    /// What was received, without text, while somebody follows the stream.
    seen: Option<Vec<String>>,
}

impl Wire {
    /// A connection on which nothing was said yet; our side begins with `opening`.
    pub(super) fn new(now: Instant, settings: Settings, opening: Bytes) -> Wire {
        Wire {
            input: BytesMut::new(),
            scanner: scanner(&settings, false),
            steps: VecDeque::new(),
            settings,
            opened: now,
            last_stanza: now,
            last_sent: now,
            established: false,
            trusted: false,
            closing: None,
            over_by: None,
            heard: false,
            opening: Some(opening),
            handshake: false,
            eof: false,
            over: false,
            seen: None,
        }
    }

    /// The next frame, if the machine may look at it now.
    pub(super) fn frame(&mut self) -> Option<Frame> {
        if self.over {
            return None;
        }
        self.heard |= !self.input.is_empty();
        match self.scanner.next(&mut self.input) {
            Ok(Some(frame)) => {
                if let Some(seen) = self.seen.as_mut().filter(|seen| seen.len() < SEEN) {
                    seen.extend(shown(&frame));
                }
                Some(frame)
            }
            Ok(None) => {
                if self.eof {
                    let end = match (self.heard, self.closing) {
                        // COMPAT(Openfire 4.8 and later): it opens a connection, closes it, and opens the real one.
                        (false, _) => End::Probe,
                        (true, Some(_)) => End::Closed,
                        (true, None) => End::Vanished,
                    };
                    self.end(end);
                }
                None
            }
            Err(error) => {
                let condition = Condition::from_name(error.condition()).unwrap_or(Condition::NotWellFormed);
                self.fail(StreamError::new(condition, error.to_string()));
                None
            }
        }
    }

    /// Follows what is received, or stops following; returns what was seen since the last call.
    pub(super) fn follow(&mut self, on: bool) -> Vec<String> {
        let seen = self.seen.take().unwrap_or_default();
        self.seen = on.then(Vec::new);
        seen
    }

    /// A new stream begins on the same connection: after TLS and after SASL. Ours begins with `opening`.
    pub(super) fn restart(&mut self, opening: Bytes) {
        self.scanner = scanner(&self.settings, self.trusted);
        self.opening = Some(opening);
        self.handshake = false;
    }

    /// The peer proved itself: it may send elements of full size, and the idle and keep-alive clocks run.
    pub(super) fn trust(&mut self) {
        self.established = true;
        self.trusted = true;
        self.scanner.allow(self.settings.limits.stanza_bytes);
    }

    /// Our side begins with this, and not with what was meant before.
    pub(super) fn opens_with(&mut self, opening: Bytes) {
        self.opening = Some(opening);
    }

    /// Sends what our side begins with.
    pub(super) fn open(&mut self) {
        if let Some(opening) = self.opening.take() {
            self.send(opening);
        }
    }

    /// Hands the connection over to the TLS handshake.
    pub(super) fn start_tls(&mut self) {
        self.step(Step::StartTls);
        self.handshake = true;
    }

    pub(super) fn step(&mut self, step: Step) {
        if !self.over {
            self.steps.push_back(step);
        }
    }

    /// Sends, unless our side has ended (RFC 6120 §4.4) or the peer would take it for TLS.
    pub(super) fn send(&mut self, bytes: Bytes) {
        if self.closing.is_none() && !self.handshake {
            self.step(Step::Send(bytes));
        }
    }

    pub(super) fn next_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    pub(super) fn eof(&mut self) {
        self.eof = true;
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Our side has ended: nothing is negotiated any more.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    pub(super) fn stanza_passed(&mut self, now: Instant) {
        self.last_stanza = now;
    }

    pub(super) fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// Ends the stream with an error. A header that wasn't sent yet goes first (RFC 6120 §4.9.1.2).
    pub(super) fn fail(&mut self, error: StreamError) {
        if self.over {
            return;
        }
        self.open();
        self.send(words::stream_error(&error));
        self.send(Bytes::from_static(words::FOOTER));
        self.end(End::OurError(error));
    }

    pub(super) fn end(&mut self, end: End) {
        self.step(Step::End(end));
        self.over = true;
    }

    /// Our side ends; what the peer still sends is read until its end.
    pub(super) fn close(&mut self, now: Instant, error: Option<&StreamError>) {
        if self.over || self.closing.is_some() {
            return;
        }
        if self.opening.is_some() || self.handshake {
            return self.end(End::Closed);
        }
        if let Some(error) = error {
            self.send(words::stream_error(error));
        }
        self.send(Bytes::from_static(words::FOOTER));
        self.closing = Some(now);
    }

    /// Our side has ended; from then on the peer's end is not waited for, if that is given.
    pub(super) fn is_over_by(&mut self, over: Option<Instant>) {
        self.over_by = over;
    }

    /// The peer ended its side.
    pub(super) fn peer_closed(&mut self) {
        let end = if self.closing.is_some() { End::Closed } else { End::PeerClosed };
        self.send(Bytes::from_static(words::FOOTER));
        self.end(end);
    }

    pub(super) fn peer_error(&mut self, element: &Verbatim) {
        let error = words_of_error(element);
        self.send(Bytes::from_static(words::FOOTER));
        self.end(End::PeerError(error));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        if let Some(since) = self.closing {
            return Some(self.over_by.unwrap_or(since + self.settings.drain));
        }
        if !self.established {
            return Some(self.opened + self.settings.establish);
        }
        Some((self.last_stanza + self.settings.idle).min(self.last_sent + self.settings.keep_alive))
    }

    pub(super) fn tick(&mut self, now: Instant) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        if self.closing.is_some() {
            self.end(End::Closed);
        } else if !self.established {
            let text = format!("not established within {} s", self.settings.establish.as_secs());
            self.fail(StreamError::new(Condition::ConnectionTimeout, text));
        } else if now >= self.last_stanza + self.settings.idle {
            self.close(now, None);
        } else {
            self.last_sent = now;
            self.send(Bytes::from_static(b" "));
        }
    }
}

fn scanner(settings: &Settings, trusted: bool) -> Scanner {
    let most = if trusted { usize::MAX } else { UNPROVEN };
    Scanner::new(Limits { stanza_bytes: settings.limits.stanza_bytes.min(most), ..settings.limits })
}

/// A frame as the administrator may see it.
fn shown(frame: &Frame) -> Option<String> {
    match frame {
        Frame::Header(header) => {
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            Some(format!(
                "<{} from='{}' to='{}' id='{}' version='{}'>",
                header.local_name,
                text(&header.from),
                text(&header.to),
                text(&header.id),
                text(&header.version)
            ))
        }
        Frame::Element(element) => Some(redacted(element.bytes())),
        Frame::Footer => Some("</stream>".to_owned()),
        Frame::Whitespace => None,
    }
}

fn words_of_error(element: &Verbatim) -> StreamError {
    use crate::xml::tree::Element;
    let Ok(tree) = Element::of(element) else {
        return StreamError::new(Condition::UndefinedCondition, "");
    };
    let condition = tree
        .children()
        .filter(|child| child.namespace == words::STREAM_ERRORS)
        .find_map(|child| Condition::from_name(&child.name))
        .unwrap_or(Condition::UndefinedCondition);
    let text = tree.child(words::STREAM_ERRORS, "text").map(Element::text).unwrap_or_default();
    StreamError::new(condition, text)
}
