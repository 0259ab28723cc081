//! What travels on a trunk's connection, as bytes: frames with a length before them, domain pairs
//! named once and then by number.

use std::collections::HashMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use topology::partner::Pattern;
use xmpp::domain::{Domain, DomainPair};
use xmpp::stanza::{Reader, StanzaCondition};

use super::{Crossing, PeerState, Undeliverable};

/// The version of these words; both ends must speak the same.
pub const VERSION: u16 = 4;
/// No frame is longer: a stanza at its largest, and its head.
const FRAME: usize = 16 << 20;
/// So many pairs are remembered on a connection, which may last for months.
const PAIRS: usize = 1 << 16;

/// Who is at an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Of [`VERSION`].
    pub version: u16,
    /// Drawn at start: another one means that everything from before is gone.
    pub instance: u64,
    /// The member's name.
    pub name: String,
    /// A gateway: the local domains that it takes stanzas for, as configured.
    pub serves: Vec<String>,
}

impl Hello {
    /// The local domains that it takes stanzas for.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn patterns(&self) -> Result<Vec<Pattern>, WireError> {
        let patterns = self.serves.iter().map(|domain| domain.parse()).collect::<Result<_, _>>();
        patterns.map_err(|_| WireError::new("it serves what is no domain"))
    }
}

/// A frame.
#[derive(Debug)]
pub enum Frame {
    /// The first in each direction.
    Hello(Hello),
    /// I'm here.
    Beat,
    /// What the sender can be given from now on.
    State(PeerState),
    /// Say so when you have heard this, and with it all that was said before.
    Ask(u64),
    /// The other end's [`Frame::Ask`] with this number was heard.
    Heard(u64),
    /// Something crosses.
    Crossing(Crossing),
}

/// Why a connection can't be read any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the other end of the trunk speaks in a way that can't be understood: {0}")]
pub struct WireError(&'static str);

impl WireError {
    pub(super) fn new(what: &'static str) -> WireError {
        WireError(what)
    }
}

const HELLO: u8 = 1;
const BEAT: u8 = 2;
const STATE: u8 = 3;
const PAIR: u8 = 4;
const STANZA: u8 = 5;
const TAKEN: u8 = 6;
const REFUSED: u8 = 7;
const RECALL: u8 = 8;
const UNSENT: u8 = 9;
const STUCK: u8 = 10;
const OPEN: u8 = 11;
const TRY: u8 = 12;
const ASK: u8 = 13;
const HEARD: u8 = 14;

const CONDITIONS: [StanzaCondition; 6] = [
    StanzaCondition::JidMalformed,
    StanzaCondition::NotAllowed,
    StanzaCondition::ResourceConstraint,
    StanzaCondition::RemoteServerNotFound,
    StanzaCondition::RemoteServerTimeout,
    StanzaCondition::PolicyViolation,
];
const STATES: [PeerState; 4] = [PeerState::Up, PeerState::Away, PeerState::Silent, PeerState::Draining];

/// Writes frames; remembers which pairs have been named on this connection.
#[derive(Debug, Default)]
pub struct Encoder {
    pairs: HashMap<DomainPair, u32>,
}

impl Encoder {
    /// Appends a frame to `out`.
    pub fn encode(&mut self, frame: &Frame, out: &mut BytesMut) {
        match frame {
            Frame::Hello(hello) => framed(out, HELLO, |out| {
                out.put_u16(hello.version);
                out.put_u64(hello.instance);
                put_text(out, &hello.name);
                out.put_u32(count(hello.serves.len()));
                hello.serves.iter().for_each(|domain| put_text(out, domain));
            }),
            Frame::Beat => framed(out, BEAT, |_| {}),
            Frame::State(state) => framed(out, STATE, |out| out.put_u8(place(&STATES, state))),
            Frame::Ask(number) => framed(out, ASK, |out| out.put_u64(*number)),
            Frame::Heard(number) => framed(out, HEARD, |out| out.put_u64(*number)),
            Frame::Crossing(crossing) => self.crossing(crossing, out),
        }
    }

    fn crossing(&mut self, crossing: &Crossing, out: &mut BytesMut) {
        match crossing {
            Crossing::Stanza { pair, number, settled, stanza } => {
                let pair = self.pair(pair, out);
                framed(out, STANZA, |out| {
                    out.put_u32(pair);
                    out.put_u64(*number);
                    out.put_u64(*settled);
                    out.put_slice(stanza.bytes());
                });
            }
            Crossing::Taken { pair, up_to } => self.numbered(TAKEN, pair, *up_to, out),
            Crossing::Unsent { pair, from } => self.numbered(UNSENT, pair, *from, out),
            Crossing::Recall { pair, give_up } => {
                let pair = self.pair(pair, out);
                framed(out, RECALL, |out| {
                    out.put_u32(pair);
                    out.put_u8((*give_up).into());
                });
            }
            Crossing::Stuck { pair } => self.named(STUCK, pair, out),
            Crossing::Open { pair } => self.named(OPEN, pair, out),
            Crossing::Try { pair } => self.named(TRY, pair, out),
            Crossing::Refused { pair, number, why } => {
                let pair = self.pair(pair, out);
                framed(out, REFUSED, |out| {
                    out.put_u32(pair);
                    out.put_u64(*number);
                    out.put_u8(place(&CONDITIONS, &why.condition));
                    put_text(out, &why.text);
                });
            }
        }
    }

    fn named(&mut self, kind: u8, pair: &DomainPair, out: &mut BytesMut) {
        let pair = self.pair(pair, out);
        framed(out, kind, |out| out.put_u32(pair));
    }

    fn numbered(&mut self, kind: u8, pair: &DomainPair, number: u64, out: &mut BytesMut) {
        let pair = self.pair(pair, out);
        framed(out, kind, |out| {
            out.put_u32(pair);
            out.put_u64(number);
        });
    }

    /// The pair's number on this connection; names it first if it has none.
    fn pair(&mut self, pair: &DomainPair, out: &mut BytesMut) -> u32 {
        if let Some(number) = self.pairs.get(pair) {
            return *number;
        }
        if self.pairs.len() == PAIRS {
            self.pairs = HashMap::new();
        }
        let number = count(self.pairs.len());
        framed(out, PAIR, |out| {
            out.put_u32(number);
            put_text(out, pair.from.as_str());
            put_text(out, pair.to.as_str());
        });
        self.pairs.insert(pair.clone(), number);
        number
    }
}

fn framed(out: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    out.put_u8(kind);
    body(out);
    let length = count(out.len() - start - 4);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn put_text(out: &mut BytesMut, text: &str) {
    out.put_u32(count(text.len()));
    out.put_slice(text.as_bytes());
}

/// Everything that is counted here is bounded far below this type's end.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn place<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|other| other == one).and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
}

/// Reads frames; knows the pairs that were named on this connection.
#[derive(Debug, Default)]
pub struct Decoder {
    pairs: Vec<DomainPair>,
    stanzas: Reader,
}

impl Decoder {
    /// Takes the next complete frame off the front of `input`.
    ///
    /// # Errors
    /// When what comes is no frame, or names what was never named; the connection is useless then.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, WireError> {
        loop {
            let Some((length, _)) = input.split_first_chunk::<4>() else { return Ok(None) };
            let length = u32::from_be_bytes(*length) as usize;
            if length == 0 || length > FRAME {
                return Err(WireError("a frame has an impossible length"));
            }
            if input.len() < 4 + length {
                return Ok(None);
            }
            input.advance(4);
            let mut body = input.split_to(length).freeze();
            let kind = body.get_u8();
            if let Some(frame) = self.frame(kind, &mut body)? {
                return Ok(Some(frame));
            }
        }
    }

    fn frame(&mut self, kind: u8, body: &mut Bytes) -> Result<Option<Frame>, WireError> {
        let crossing = match kind {
            PAIR => {
                self.name_pair(body)?;
                return Ok(None);
            }
            HELLO => return hello(body).map(|hello| Some(Frame::Hello(hello))),
            BEAT => return Ok(Some(Frame::Beat)),
            ASK => return Ok(Some(Frame::Ask(u64_of(body)?))),
            HEARD => return Ok(Some(Frame::Heard(u64_of(body)?))),
            STATE => {
                let state = STATES.get(usize::from(u8_of(body)?)).ok_or(WireError("there is no such state"))?;
                return Ok(Some(Frame::State(*state)));
            }
            STANZA => {
                let (pair, number, settled) = (self.pair(body)?, u64_of(body)?, u64_of(body)?);
                let stanza = self.stanzas.read(body).map_err(|_| WireError("a stanza is none"))?;
                Crossing::Stanza { pair, number, settled, stanza }
            }
            TAKEN => Crossing::Taken { pair: self.pair(body)?, up_to: u64_of(body)? },
            UNSENT => Crossing::Unsent { pair: self.pair(body)?, from: u64_of(body)? },
            RECALL => Crossing::Recall { pair: self.pair(body)?, give_up: u8_of(body)? != 0 },
            STUCK => Crossing::Stuck { pair: self.pair(body)? },
            OPEN => Crossing::Open { pair: self.pair(body)? },
            TRY => Crossing::Try { pair: self.pair(body)? },
            REFUSED => {
                let (pair, number) = (self.pair(body)?, u64_of(body)?);
                let condition = CONDITIONS.get(usize::from(u8_of(body)?));
                let condition = *condition.ok_or(WireError("there is no such condition"))?;
                Crossing::Refused { pair, number, why: Undeliverable { condition, text: text_of(body)? } }
            }
            _ => return Err(WireError("there is no such frame")),
        };
        Ok(Some(Frame::Crossing(crossing)))
    }

    fn name_pair(&mut self, body: &mut Bytes) -> Result<(), WireError> {
        let number = u32_of(body)?;
        let mut domain = || Domain::parse(&text_of(body)?).map_err(|_| WireError("a domain is none"));
        let pair = DomainPair::new(domain()?, domain()?);
        if number == 0 {
            // They begin anew.
            self.pairs = Vec::new();
        }
        if number as usize != self.pairs.len() {
            return Err(WireError("a pair has a number out of turn"));
        }
        self.pairs.push(pair);
        Ok(())
    }

    fn pair(&self, body: &mut Bytes) -> Result<DomainPair, WireError> {
        self.pairs.get(u32_of(body)? as usize).cloned().ok_or(WireError("a pair was never named"))
    }
}

fn hello(body: &mut Bytes) -> Result<Hello, WireError> {
    let version = body.try_get_u16().map_err(|_| SHORT)?;
    let (instance, name) = (u64_of(body)?, text_of(body)?);
    let serves = (0..u32_of(body)?).map(|_| text_of(body)).collect::<Result<_, _>>()?;
    Ok(Hello { version, instance, name, serves })
}

const SHORT: WireError = WireError("a frame is too short");

fn u8_of(body: &mut Bytes) -> Result<u8, WireError> {
    body.try_get_u8().map_err(|_| SHORT)
}

fn u32_of(body: &mut Bytes) -> Result<u32, WireError> {
    body.try_get_u32().map_err(|_| SHORT)
}

fn u64_of(body: &mut Bytes) -> Result<u64, WireError> {
    body.try_get_u64().map_err(|_| SHORT)
}

fn text_of(body: &mut Bytes) -> Result<String, WireError> {
    let length = u32_of(body)? as usize;
    if body.len() < length {
        return Err(SHORT);
    }
    String::from_utf8(body.split_to(length).to_vec()).map_err(|_| WireError("a text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmpp::stanza::Stanza;

    fn pair(from: &str, to: &str) -> DomainPair {
        let domain = |text| Domain::parse(text).expect("a domain");
        DomainPair::new(domain(from), domain(to))
    }

    fn frames() -> Vec<Frame> {
        let stanza = Stanza::parse(b"<message from='a@contoso.test' to='b@fabrikam.test'/>").expect("a stanza");
        let (out, back) = (pair("contoso.test", "fabrikam.test"), pair("fabrikam.test", "contoso.test"));
        let why = Undeliverable { condition: StanzaCondition::NotAllowed, text: "no ü".into() };
        let hello = Hello { version: VERSION, instance: 7, name: "edge1".into(), serves: vec!["contoso.test".into()] };
        let mut frames = vec![Frame::Hello(hello), Frame::Beat, Frame::State(PeerState::Draining)];
        frames.extend([Frame::Ask(1), Frame::Heard(u64::MAX)]);
        frames.extend(
            [
                Crossing::Stanza { pair: out.clone(), number: 1, settled: 0, stanza },
                Crossing::Taken { pair: back.clone(), up_to: 9 },
                Crossing::Refused { pair: out.clone(), number: 2, why },
                Crossing::Recall { pair: out.clone(), give_up: true },
                Crossing::Unsent { pair: back.clone(), from: 3 },
                Crossing::Stuck { pair: out.clone() },
                Crossing::Open { pair: out },
                Crossing::Try { pair: back },
            ]
            .map(Frame::Crossing),
        );
        frames
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let mut bytes = BytesMut::new();
        let mut encoder = Encoder::default();
        frames().iter().for_each(|frame| encoder.encode(frame, &mut bytes));
        for piece in [1, 3, bytes.len()] {
            let mut decoder = Decoder::default();
            let (mut input, mut out) = (BytesMut::new(), Vec::new());
            for piece in bytes.chunks(piece) {
                input.extend_from_slice(piece);
                while let Some(frame) = decoder.decode(&mut input).expect("good frames") {
                    out.push(frame);
                }
            }
            assert_eq!(format!("{out:?}"), format!("{:?}", frames()));
        }
    }

    #[test]
    fn the_numbers_of_pairs_begin_anew_when_there_are_many() {
        let (mut encoder, mut decoder, mut bytes) = (Encoder::default(), Decoder::default(), BytesMut::new());
        let pairs = (0..PAIRS + 2).map(|number| pair("contoso.test", &format!("{number}.test")));
        let first = pair("contoso.test", "0.test");
        for pair in pairs.chain([first]) {
            encoder.encode(&Frame::Crossing(Crossing::Stuck { pair: pair.clone() }), &mut bytes);
            let frame = decoder.decode(&mut bytes).expect("good frames").expect("a whole one");
            assert!(matches!(frame, Frame::Crossing(Crossing::Stuck { pair: named }) if named == pair));
        }
        assert_eq!((encoder.pairs.len(), decoder.pairs.len()), (3, 3));
    }

    #[test]
    fn nonsense_is_refused_and_never_panics() {
        let mut good = BytesMut::new();
        let mut encoder = Encoder::default();
        frames().iter().for_each(|frame| encoder.encode(frame, &mut good));
        let mut state = 1_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % below
        };
        let mut refused = 0;
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..=random(3) {
                let place = random(bytes.len());
                bytes[place] = u8::try_from(random(256)).expect("a byte");
            }
            let mut decoder = Decoder::default();
            loop {
                match decoder.decode(&mut bytes) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => {
                        refused += 1;
                        break;
                    }
                }
            }
        }
        assert!(refused > 5000, "{refused}");
    }
}
