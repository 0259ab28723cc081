//! Two servers that say what is written for them, and a wire on which they answer at once: one floods and counts
//! acknowledgements, the other takes everything and acknowledges it (XEP-0198).

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anyhow::Context as _;
use bytes::{Buf as _, BytesMut};
use memchr::memmem;
use net::transport::Carrier;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::parts::header;
use crate::stanzas::{END, FROM, Stanzas, TO};

const FEATURES_EXTERNAL: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
                                 <mechanism>EXTERNAL</mechanism></mechanisms></stream:features>";
const FEATURES_COUNTING: &str = "<stream:features><sm xmlns='urn:xmpp:sm:3'/></stream:features>";
const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3'/>";
const ENABLED: &str = "<enabled xmlns='urn:xmpp:sm:3'/>";
const ASKED: &str = "<r xmlns='urn:xmpp:sm:3'/>";

/// For everything to be acknowledged, also under callgrind: it takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server at the other end of a wire.
pub(super) trait Server: Unpin + Send + std::fmt::Debug {
    /// Says this before it hears anything.
    fn begins(&mut self, says: &mut BytesMut);

    /// Hears something, and puts what it says to the end of `says`.
    fn hears(&mut self, bytes: &[u8], says: &mut BytesMut);

    /// Has something to say of its own, up to so many bytes.
    fn goes_on(&mut self, most: usize, says: &mut BytesMut, waker: &Waker);
}

/// A connection to a server, which takes whatever is written and never breaks.
#[derive(Debug)]
pub(super) struct Wire<S> {
    server: S,
    says: BytesMut,
    written: u64,
    reader: Option<Waker>,
}

impl<S: Server> Wire<S> {
    pub(super) fn new(mut server: S) -> Wire<S> {
        let mut says = BytesMut::new();
        server.begins(&mut says);
        Wire { server, says, written: 0, reader: None }
    }
}

impl<S: Server> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.says.is_empty() {
            this.server.goes_on(buffer.remaining(), &mut this.says, cx.waker());
        }
        if this.says.is_empty() {
            this.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let length = this.says.len().min(buffer.remaining());
        buffer.put_slice(&this.says[..length]);
        this.says.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: Server> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.written += bytes.len() as u64;
        this.server.hears(bytes, &mut this.says);
        if !this.says.is_empty()
            && let Some(reader) = this.reader.take()
        {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl<S: Server> Carrier for Wire<S> {
    fn written(&self) -> u64 {
        self.written
    }

    fn standing(&self) -> Option<tcp::Standing> {
        Some(tcp::Standing {
            unsent: 0,
            acknowledged: self.written,
            in_flight: 0,
            has_room: true,
            probes: 0,
            silent: Duration::ZERO,
            round_trip: Duration::ZERO,
        })
    }

    fn take_back(&mut self) {}
}

/// What is said when a stream is set up: after hearing something that contains the one, the other.
type Script = VecDeque<(&'static str, String)>;

/// Plays a script; whether there is any of it left.
fn play(script: &mut Script, heard: &mut BytesMut, bytes: &[u8], says: &mut BytesMut) -> bool {
    if script.is_empty() {
        return false;
    }
    heard.extend_from_slice(bytes);
    while let Some((awaited, said)) = script.front()
        && let Some(at) = memmem::find(heard, awaited.as_bytes())
    {
        says.extend_from_slice(said.as_bytes());
        heard.advance(at + awaited.len());
        script.pop_front();
    }
    true
}

/// The server of the partner.
#[derive(Debug)]
pub(super) struct Receiver {
    script: Script,
    heard: BytesMut,
    came: Arc<AtomicU64>,
}

/// How much has arrived.
#[derive(Debug, Clone)]
pub(super) struct Received(Arc<AtomicU64>);

impl Received {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Receiver {
    pub(super) fn new() -> (Receiver, Received) {
        let header = header(TO, FROM).replace(" xml:lang=", " id='micro' xml:lang=");
        let script = Script::from([
            ("version='1.0'>", format!("{header}{FEATURES_EXTERNAL}")),
            ("</auth>", SUCCESS.to_owned()),
            ("version='1.0'>", format!("{header}{FEATURES_COUNTING}")),
            ("<enable", ENABLED.to_owned()),
        ]);
        let came = Arc::<AtomicU64>::default();
        (Receiver { script, heard: BytesMut::new(), came: came.clone() }, Received(came))
    }
}

impl Server for Receiver {
    fn begins(&mut self, _: &mut BytesMut) {}

    fn hears(&mut self, bytes: &[u8], says: &mut BytesMut) {
        if play(&mut self.script, &mut self.heard, bytes, says) {
            return;
        }
        let stanzas = memmem::find_iter(bytes, END).count() as u64;
        let came = self.came.fetch_add(stanzas, Ordering::Relaxed) + stanzas;
        // A question is said by itself, after a batch.
        if bytes.ends_with(ASKED.as_bytes()) {
            says.extend_from_slice(format!("<a xmlns='urn:xmpp:sm:3' h='{came}'/>").as_bytes());
        }
    }

    fn goes_on(&mut self, _: usize, _: &mut BytesMut, _: &Waker) {}
}

/// The server of our users.
#[derive(Debug)]
pub(super) struct Sender {
    script: Script,
    heard: BytesMut,
    stanzas: Stanzas,
    /// Stanzas that were said.
    said: usize,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Stanzas that may be said.
    allowed: AtomicUsize,
    waiting: Mutex<Option<Waker>>,
    acknowledged: AtomicU64,
    news: Notify,
}

/// What the sender says, and hears of it.
#[derive(Debug, Clone)]
pub(super) struct Sent(Arc<Shared>);

impl Sent {
    /// From now on, it says all it has.
    pub(super) fn all(&self) {
        self.0.allowed.store(usize::MAX, Ordering::Relaxed);
        if let Some(waiting) = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waiting.wake();
        }
    }

    /// Waits until so many are acknowledged.
    pub(super) async fn until(&self, many: u64) -> anyhow::Result<()> {
        let all = async {
            loop {
                let news = self.0.news.notified();
                if self.0.acknowledged.load(Ordering::Relaxed) >= many {
                    return;
                }
                news.await;
            }
        };
        let failed = || {
            let acknowledged = self.0.acknowledged.load(Ordering::Relaxed);
            format!("{acknowledged} stanzas were acknowledged within {} s, and not {many}", PATIENCE.as_secs())
        };
        tokio::time::timeout(PATIENCE, all).await.with_context(failed)
    }
}

impl Sender {
    pub(super) fn new(stanzas: Stanzas) -> (Sender, Sent) {
        let header = header(FROM, TO);
        let script = Script::from([
            ("</stream:features>", AUTH.to_owned()),
            ("<success", header),
            ("</stream:features>", ENABLE.to_owned()),
            ("<enabled", String::new()),
        ]);
        let shared = Arc::new(Shared { allowed: AtomicUsize::new(1), ..Shared::default() });
        (Sender { script, heard: BytesMut::new(), stanzas, said: 0, shared: shared.clone() }, Sent(shared))
    }
}

impl Server for Sender {
    fn begins(&mut self, says: &mut BytesMut) {
        says.extend_from_slice(header(FROM, TO).as_bytes());
    }

    fn hears(&mut self, bytes: &[u8], says: &mut BytesMut) {
        if play(&mut self.script, &mut self.heard, bytes, says) {
            return;
        }
        const COUNT: &[u8] = b" h='";
        let Some(at) = memmem::rfind(bytes, COUNT) else { return };
        let digits = bytes[at + COUNT.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        let count = digits.fold(0, |count, digit| count * 10 + u64::from(digit - b'0'));
        self.shared.acknowledged.fetch_max(count, Ordering::Relaxed);
        self.shared.news.notify_waiters();
    }

    fn goes_on(&mut self, most: usize, says: &mut BytesMut, waker: &Waker) {
        if !self.script.is_empty() {
            return;
        }
        let allowed = self.shared.allowed.load(Ordering::Relaxed);
        if self.said < allowed.min(self.stanzas.len()) {
            self.said = self.stanzas.take(self.said, allowed, most, says);
            return;
        }
        *self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }
}
