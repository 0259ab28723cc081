//! One connection of the trunk: both ends say who they are, then frames go both ways, and silence means death.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::time::Instant;
use xmpp::domain::{Domain, DomainPair};
use xmpp::jid;
use xmpp::stanza::Stanza;

use super::wire::{Decoder, Encoder, Frame, Hello, VERSION, WireError};
use super::{Crossing, FrameReceiver, FrameSender, PeerState};

/// Whoever has nothing to say says so this often.
const BEAT: Duration = Duration::from_millis(250);
/// An end that misses a beat is given nothing more until it is heard: what it has when it dies goes back.
const HUSH: Duration = Duration::from_millis(600);
/// An end that is silent for so long is dead.
const SILENCE: Duration = Duration::from_secs(1);
/// Whoever didn't run for so long is dead to the other end.
const STILL: Duration = Duration::from_secs(2);
/// For the other end to say who it is.
const GREETING: Duration = Duration::from_secs(5);
/// What is written at once.
const BATCH: usize = 128 * 1024;
const READ: usize = 64 * 1024;

/// Why a connection ended, or never came to be.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The connection under it.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The other end closed it.
    #[error("the other end closed the connection")]
    Closed,
    /// It was given up after we had said who we are, so that this isn't true any more.
    #[error("the member was given up while it came back; its next connection begins anew")]
    GivenUp,
    /// Nothing came, not even a sign of life.
    #[error("the other end has been silent for {} ms", .0.as_millis())]
    Silent(Duration),
    /// We didn't run for so long: frozen, or on a machine that was.
    #[error("this end stood still for {} ms, so that the other has taken it for dead", .0.as_millis())]
    StoodStill(Duration),
    /// What came can't be understood.
    #[error("{0}")]
    Wire(#[from] WireError),
    /// The other end speaks another version.
    #[error("the other end speaks version {0} of the trunk's words, this one {VERSION}; run the same fedge on both")]
    Version(u16),
    /// It isn't who it should be.
    #[error("{seen} is at the other end, and {expected} was expected")]
    Identity {
        /// Who is there.
        seen: String,
        /// Who should be.
        expected: String,
    },
    /// A stanza whose addresses belong to another pair than it is said to be of.
    #[error("the other end sent a stanza as {0} whose addresses are of other domains")]
    Pair(DomainPair),
}

/// A connection on which both ends have said who they are.
pub struct Connection<S> {
    reader: Reader<S>,
    writer: Writer<S>,
}

struct Reader<S> {
    stream: ReadHalf<S>,
    input: BytesMut,
    decoder: Decoder,
}

struct Writer<S> {
    stream: WriteHalf<S>,
    output: BytesMut,
    encoder: Encoder,
}

/// Says who we are and hears who is there.
///
/// # Errors
/// When the other end doesn't say so in time, or in another version.
pub async fn greet<S: AsyncRead + AsyncWrite>(
    stream: S,
    own: &Hello,
) -> Result<(Connection<S>, Hello), ConnectionError> {
    let (read, write) = tokio::io::split(stream);
    let mut reader = Reader { stream: read, input: BytesMut::new(), decoder: Decoder::default() };
    let mut writer = Writer { stream: write, output: BytesMut::new(), encoder: Encoder::default() };
    let greeting = async {
        writer.write(Frame::Hello(own.clone())).await?;
        match reader.next().await? {
            Frame::Hello(hello) if hello.version == VERSION => Ok(hello),
            Frame::Hello(hello) => Err(ConnectionError::Version(hello.version)),
            _ => Err(ConnectionError::Wire(WireError::new("it doesn't say who it is"))),
        }
    };
    let hello = tokio::time::timeout(GREETING, greeting).await.map_err(|_| ConnectionError::Silent(GREETING))??;
    Ok((Connection { reader, writer }, hello))
}

impl<S: AsyncRead + AsyncWrite> Connection<S> {
    /// Carries frames both ways until the connection ends, and says why it did.
    pub async fn carry(self, mut outgoing: FrameReceiver, incoming: FrameSender) -> ConnectionError {
        let Connection { mut reader, mut writer } = self;
        let ended = tokio::select! {
            biased;
            ended = reader.run(&incoming) => ended,
            ended = writer.run(&mut outgoing) => ended,
        };
        let Err(error) = ended;
        error
    }
}

/// What never is.
enum Never {}

impl<S: AsyncRead> Reader<S> {
    async fn run(&mut self, incoming: &FrameSender) -> Result<Never, ConnectionError> {
        let (mut state, mut heard) = (PeerState::Silent, Instant::now());
        loop {
            let waiting = self.decoder.decode(&mut self.input)?;
            let (frame, hushed) = match waiting {
                Some(frame) => (frame, false),
                None => match tokio::time::timeout(HUSH, self.next()).await {
                    Ok(frame) => (frame?, false),
                    Err(_) => {
                        incoming.frame(Frame::State(PeerState::Silent));
                        let next = tokio::time::timeout(SILENCE - HUSH, self.next()).await;
                        (next.map_err(|_| ConnectionError::Silent(SILENCE))??, true)
                    }
                },
            };
            // What came meanwhile has gone back, or is sent again on the next connection. To bring it out now would
            // be to bring what is old after what is new.
            let now = Instant::now();
            let stood = now.duration_since(std::mem::replace(&mut heard, now));
            if stood > STILL {
                return Err(ConnectionError::StoodStill(stood));
            }
            if let Frame::Crossing(Crossing::Stanza { pair, stanza, .. }) = &frame
                && !belongs(stanza, pair)
            {
                return Err(ConnectionError::Pair(pair.clone()));
            }
            if let Frame::State(said) = &frame {
                state = *said;
            }
            if hushed {
                incoming.frame(Frame::State(state));
            }
            incoming.frame(frame);
        }
    }

    async fn next(&mut self) -> Result<Frame, ConnectionError> {
        loop {
            self.input.reserve(READ);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(ConnectionError::Closed);
            }
            if let Some(frame) = self.decoder.decode(&mut self.input)? {
                return Ok(frame);
            }
        }
    }
}

impl<S: AsyncWrite> Writer<S> {
    /// Writes what there is in one piece; a sign of life when there is nothing.
    async fn run(&mut self, outgoing: &mut FrameReceiver) -> Result<Never, ConnectionError> {
        let mut beat = tokio::time::interval_at(Instant::now() + BEAT, BEAT);
        loop {
            tokio::select! {
                biased;
                frame = outgoing.recv() => {
                    let Some(frame) = frame else { return Err(ConnectionError::Closed) };
                    self.encoder.encode(&frame, &mut self.output);
                    while self.output.len() < BATCH
                        && let Ok(frame) = outgoing.try_recv()
                    {
                        self.encoder.encode(&frame, &mut self.output);
                    }
                    self.flush().await?;
                    beat.reset();
                }
                _ = beat.tick() => self.write(Frame::Beat).await?,
            }
        }
    }

    async fn write(&mut self, frame: Frame) -> io::Result<()> {
        self.encoder.encode(&frame, &mut self.output);
        self.flush().await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output).await?;
        self.output.clear();
        self.stream.flush().await
    }
}

/// Whether the addresses are of the pair's domains: the other end is believed nothing that can be seen.
fn belongs(stanza: &Stanza, pair: &DomainPair) -> bool {
    let is = |jid: Option<std::borrow::Cow<'_, str>>, domain: &Domain| {
        jid.is_some_and(|jid| {
            let text = jid::domain_of(&jid);
            text == domain.as_str() || Domain::parse(text).as_ref() == Ok(domain)
        })
    };
    is(stanza.from(), &pair.from) && is(stanza.to(), &pair.to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trunk::channel;

    fn hello(name: &str) -> Hello {
        Hello { version: VERSION, instance: 1, name: name.into(), serves: vec![] }
    }

    fn crossing(from: &str) -> Crossing {
        let domain = |text| Domain::parse(text).expect("a domain");
        let pair = DomainPair::new(domain("contoso.test"), domain("fabrikam.test"));
        let text = format!("<message from='a@{from}' to='b@fabrikam.test'/>");
        let stanza = Stanza::parse(text.as_bytes()).expect("a stanza");
        Crossing::Stanza { pair, number: 1, settled: 0, stanza }
    }

    async fn greeted() -> [Connection<tokio::io::DuplexStream>; 2] {
        let (one, other) = tokio::io::duplex(64 * 1024);
        let (own, others) = (hello("gateway"), hello("edge"));
        let (one, other) = tokio::join!(greet(one, &own), greet(other, &others));
        let ((one, at_one), (other, at_other)) = (one.expect("greeted"), other.expect("greeted"));
        assert_eq!((at_one.name.as_str(), at_other.name.as_str()), ("edge", "gateway"));
        [one, other]
    }

    #[tokio::test]
    async fn frames_go_both_ways() {
        let [one, other] = greeted().await;
        let ((to_one, from_one), (to_other, from_other)) = (channel(), channel());
        let ((in_one, _keep), (in_other, mut at_other)) = (channel(), channel());
        tokio::spawn(async move { one.carry(from_one, in_one).await });
        tokio::spawn(async move { other.carry(from_other, in_other).await });
        for _ in 0..1000 {
            to_one.send(crossing("contoso.test"));
        }
        for _ in 0..1000 {
            assert!(matches!(at_other.recv().await, Some(Frame::Crossing(Crossing::Stanza { .. }))));
        }
        assert!(matches!(at_other.recv().await, Some(Frame::Beat)), "and then signs of life");
        drop(to_other);
    }

    #[tokio::test]
    async fn a_stanza_of_another_pair_ends_the_connection() {
        let [one, other] = greeted().await;
        let ((to_one, from_one), (_keep, from_other)) = (channel(), channel());
        let ((in_one, _at_one), (in_other, _at_other)) = (channel(), channel());
        tokio::spawn(async move { one.carry(from_one, in_one).await });
        to_one.send(crossing("evil.test"));
        let ended = other.carry(from_other, in_other).await;
        assert!(matches!(ended, ConnectionError::Pair(_)), "{ended}");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_misses_a_beat_is_silent_until_he_is_heard() {
        let [one, mut other] = greeted().await;
        let ((_keep, from_one), (in_one, mut at_one)) = (channel(), channel());
        let carried = tokio::spawn(async move { one.carry(from_one, in_one).await });
        for state in [PeerState::Up, PeerState::Draining] {
            other.writer.write(Frame::State(state)).await.expect("written");
            assert!(matches!(at_one.recv().await, Some(Frame::State(said)) if said == state));
            let began = Instant::now();
            assert!(matches!(at_one.recv().await, Some(Frame::State(PeerState::Silent))));
            assert_eq!(began.elapsed(), HUSH);
            other.writer.write(Frame::Beat).await.expect("written");
            assert!(matches!(at_one.recv().await, Some(Frame::State(said)) if said == state), "what it was before");
            assert!(matches!(at_one.recv().await, Some(Frame::Beat)));
        }
        carried.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn silence_means_death() {
        let [one, other] = greeted().await;
        let ((_keep, from_other), (in_other, _at_other)) = (channel(), channel());
        let began = Instant::now();
        let ended = other.carry(from_other, in_other).await;
        assert!(matches!(ended, ConnectionError::Silent(_)), "{ended}");
        assert_eq!(began.elapsed(), SILENCE);
        drop(one);
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_while_we_stood_still_is_not_taken() {
        let [mut one, other] = greeted().await;
        let ((_keep, from_other), (in_other, mut at_other)) = (channel(), channel());
        let mut carried = Box::pin(other.carry(from_other, in_other));
        tokio::select! {
            biased;
            ended = &mut carried => panic!("{ended}"),
            () = std::future::ready(()) => {}
        }
        tokio::time::advance(2 * STILL).await;
        one.writer.write(Frame::Crossing(crossing("contoso.test"))).await.expect("there is room");
        let ended = carried.await;
        assert!(matches!(ended, ConnectionError::StoodStill(_)), "{ended}");
        assert!(at_other.try_recv().is_err());
    }
}
