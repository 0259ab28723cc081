//! Servers without acknowledgements, by script: EXTERNAL, and then nothing but stanzas, and answers to barriers from some.

use std::fmt::Write as _;
use std::time::Instant;

use bytes::BytesMut;
use xmpp::domain::DomainPair;
use xmpp::stanza::Stanza;
use xmpp::xml::{Frame, Limits, Scanner, Verbatim};

use super::{Acted, Kind, Sender, Speaker};

const STREAM: &str = "xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'";
const DIALBACK: &str = "xmlns:db='jabber:server:dialback'";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const FOOTER: &str = "</stream:stream>";

/// What both have.
struct Script {
    scanner: Scanner,
    input: BytesMut,
    ended: bool,
    /// What our header says besides.
    header: String,
    proven: bool,
    closing: bool,
}

impl Script {
    fn new(header: String) -> Script {
        let scanner = Scanner::new(Limits::default());
        Script { scanner, input: BytesMut::new(), ended: false, header, proven: false, closing: false }
    }

    fn begin(&mut self, out: &mut BytesMut) {
        let _ = write!(out, "<?xml version='1.0'?><stream:stream {STREAM} {}>", self.header);
    }

    fn next(&mut self) -> Option<Frame> {
        self.scanner.next(&mut self.input).expect("fedge speaks well")
    }

    fn restart(&mut self) {
        self.scanner = Scanner::new(Limits::default());
        self.proven = true;
    }

    fn end(&mut self, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.closing, true) {
            out.extend_from_slice(FOOTER.as_bytes());
        }
    }
}

/// One that accepts.
pub(super) struct Receiver {
    script: Script,
    kind: Kind,
}

impl Receiver {
    pub(super) fn new(kind: Kind) -> Receiver {
        let declared = if kind == Kind::Silent { "" } else { DIALBACK };
        Receiver { script: Script::new(format!("id='one' {declared}")), kind }
    }

    fn element(&mut self, element: Verbatim, out: &mut BytesMut, acted: &mut Acted) {
        let element = match Stanza::of(element) {
            Ok(stanza) => return acted.stanzas.push(stanza),
            Err(element) => element,
        };
        match element.name() {
            "auth" => {
                let _ = write!(out, "<success xmlns='{SASL}'/>");
                self.script.restart();
            }
            "verify" if self.kind == Kind::Asked => {
                let text = |value: Option<std::borrow::Cow<'_, str>>| value.unwrap_or_default().into_owned();
                let (from, to, id) = (text(element.to()), text(element.from()), text(element.id()));
                let _ = write!(out, "<db:verify from='{from}' to='{to}' id='{id}' type='invalid'/>");
            }
            "error" => acted.over = true,
            _ => {}
        }
    }
}

impl Speaker for Receiver {
    fn input(&mut self) -> &mut BytesMut {
        &mut self.script.input
    }

    fn eof(&mut self) {
        self.script.ended = true;
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn tick(&mut self) {}

    fn act(&mut self, out: &mut BytesMut) -> Acted {
        let mut acted = Acted::default();
        while let Some(frame) = self.script.next() {
            match frame {
                Frame::Header(_) => {
                    self.script.begin(out);
                    let external = format!("<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>");
                    let offered = if self.script.proven { "" } else { &external };
                    let _ = write!(out, "<stream:features>{offered}</stream:features>");
                }
                Frame::Element(element) => self.element(element, out, &mut acted),
                Frame::Footer => acted.over = true,
                Frame::Whitespace => {}
            }
        }
        acted.over |= self.script.ended;
        if acted.over {
            self.script.end(out);
        }
        acted
    }
}

/// One that dials.
pub(super) struct Dialing {
    script: Script,
    begun: bool,
    ready: bool,
    close: bool,
}

impl Dialing {
    pub(super) fn new(pair: &DomainPair) -> Dialing {
        let header = format!("from='{}' to='{}' {DIALBACK}", pair.from, pair.to);
        Dialing { script: Script::new(header), begun: false, ready: false, close: false }
    }

    fn element(&mut self, element: &Verbatim, out: &mut BytesMut, acted: &mut Acted) {
        match element.name() {
            "features" if self.script.proven => self.ready = true,
            "features" => {
                let _ = write!(out, "<auth xmlns='{SASL}' mechanism='EXTERNAL'>=</auth>");
            }
            "success" => {
                self.script.restart();
                self.script.begin(out);
            }
            "error" | "failure" => acted.over = true,
            _ => {}
        }
    }
}

impl Speaker for Dialing {
    fn input(&mut self) -> &mut BytesMut {
        &mut self.script.input
    }

    fn eof(&mut self) {
        self.script.ended = true;
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn tick(&mut self) {}

    fn act(&mut self, out: &mut BytesMut) -> Acted {
        if !std::mem::replace(&mut self.begun, true) {
            self.script.begin(out);
        }
        let mut acted = Acted::default();
        while let Some(frame) = self.script.next() {
            match frame {
                Frame::Element(element) => self.element(&element, out, &mut acted),
                Frame::Footer => acted.over = true,
                Frame::Header(_) | Frame::Whitespace => {}
            }
        }
        acted.over |= self.script.ended;
        if acted.over || self.close {
            self.script.end(out);
        }
        acted
    }
}

impl Sender for Dialing {
    fn is_ready(&self) -> bool {
        self.ready && !self.script.closing && !self.close
    }

    fn wrote(&mut self, _: u64) {}

    fn close(&mut self) {
        self.close = true;
    }
}
