//! A played server that is connected to: a well-behaved one, unless told otherwise.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use xmpp::xml::tree::Element;
use xmpp::xml::{Frame, Header, Limits, Scanner, Verbatim};

use super::tls;
use crate::pki::Issued;

/// Longer than anything takes here that is to come at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a played server does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conduct {
    /// Offers EXTERNAL; else only dialback.
    pub external: bool,
    /// Stops reading as soon as the first stanza has come, and never begins again.
    pub deaf: bool,
    /// Doesn't answer the stream's end.
    pub lingers: bool,
    /// Says nothing at all from the beginning.
    pub silent: bool,
}

impl Conduct {
    /// As it should be, with EXTERNAL.
    pub const GOOD: Conduct = Conduct { external: true, deaf: false, lingers: false, silent: false };
}

/// What a server heard, on which of its streams.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The how many-th connection it was, from 1.
    pub stream: u32,
    /// What was heard.
    pub what: What,
}

/// See [`Heard`].
#[derive(Debug, Clone)]
pub enum What {
    /// A stanza.
    Stanza(Verbatim),
    /// A dialback key, on the stream with that id; it was told that it is valid.
    Key {
        /// The stream's id.
        id: String,
        /// The key.
        key: String,
    },
    /// A stream error.
    Error(String),
    /// White space.
    KeepAlive,
    /// The stream's end, if anybody had proved himself on it.
    Closed,
    /// The connection's end without the stream's, if anybody had proved himself on it.
    Vanished,
}

/// A server at work, for as long as this exists.
#[derive(Debug)]
pub struct PlayedServer {
    shared: Arc<Shared>,
    heard: mpsc::UnboundedReceiver<Heard>,
    serving: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    identity: Issued,
    conduct: Mutex<Conduct>,
    /// Keys that it answers for: of which stream, and the key.
    keys: Mutex<Vec<(String, String)>>,
    streams: AtomicU32,
    heard: mpsc::UnboundedSender<Heard>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PlayedServer {
    /// Listens at `at`, for the runtime in whose network that is.
    ///
    /// # Errors
    /// As listening in general.
    pub fn start(at: SocketAddr, identity: Issued, conduct: Conduct) -> io::Result<PlayedServer> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        // Small, so that one who doesn't read is noticed soon.
        socket.set_recv_buffer_size(64 * 1024)?;
        socket.bind(at)?;
        let listener = socket.listen(1024)?;
        let (sender, heard) = mpsc::unbounded_channel();
        let (conduct, keys) = (Mutex::new(conduct), Mutex::default());
        let shared = Arc::new(Shared { identity, conduct, keys, streams: AtomicU32::new(0), heard: sender });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, shared.clone()));
        Ok(PlayedServer { shared, heard, serving })
    }

    /// Ends at once, without a farewell; its address is free then.
    pub async fn stop(&mut self) {
        self.serving.shutdown().await;
    }

    /// Does something else with streams that come from now on.
    pub fn behave(&self, conduct: Conduct) {
        *locked(&self.shared.conduct) = conduct;
    }

    /// From now on it says that it made this key for the stream of that id.
    pub fn answers_for(&self, id: &str, key: &str) {
        locked(&self.shared.keys).push((id.to_owned(), key.to_owned()));
    }

    /// How many connections there were.
    pub fn streams(&self) -> u32 {
        self.shared.streams.load(Ordering::Relaxed)
    }

    /// The next thing that is heard.
    ///
    /// # Errors
    /// When there is nothing in time.
    pub async fn next(&mut self) -> anyhow::Result<Heard> {
        let heard = timeout(PATIENCE, self.heard.recv()).await.context("nothing was heard in time")?;
        heard.context("the server is gone")
    }

    /// What was heard and hasn't been looked at.
    pub fn heard(&mut self) -> Vec<Heard> {
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }

    /// The next stanza, and on which stream it came; anything else that is heard before is an error.
    ///
    /// # Errors
    /// When it doesn't come in time.
    pub async fn stanza(&mut self) -> anyhow::Result<(u32, Verbatim)> {
        loop {
            match self.next().await? {
                Heard { stream, what: What::Stanza(stanza) } => return Ok((stream, stanza)),
                Heard { what: What::KeepAlive | What::Key { .. }, .. } => {}
                other => bail!("a stanza was expected, not {other:?}"),
            }
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut streams = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (shared, stream) = (shared.clone(), shared.streams.fetch_add(1, Ordering::Relaxed) + 1);
        streams.spawn(async move {
            let conduct = *locked(&shared.conduct);
            let mut played =
                Stream { stream, conduct, shared: shared.clone(), secure: false, proven: false, id: String::new() };
            let end = match played.run(socket).await {
                Ok(true) => What::Closed,
                Ok(false) | Err(_) => What::Vanished,
            };
            // Those that only ask about keys come and go.
            if played.proven {
                played.hear(end);
            }
        });
    }
}

/// One stream.
struct Stream {
    stream: u32,
    conduct: Conduct,
    shared: Arc<Shared>,
    secure: bool,
    proven: bool,
    id: String,
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// What comes after a frame.
enum Then {
    Say(String),
    Restart(String),
    StartTls,
    End(String),
}

impl Stream {
    /// Whether the stream ended properly.
    async fn run(&mut self, socket: TcpStream) -> anyhow::Result<bool> {
        if self.conduct.silent {
            return std::future::pending().await;
        }
        let mut socket = socket;
        let (mut buffer, mut scanner) = (BytesMut::new(), scanner());
        loop {
            match self.frame(&mut socket, &mut buffer, &mut scanner).await? {
                Some(Then::StartTls) => break,
                Some(Then::End(word)) => {
                    socket.write_all(word.as_bytes()).await?;
                    return Ok(true);
                }
                Some(Then::Say(word) | Then::Restart(word)) => socket.write_all(word.as_bytes()).await?,
                None => return Ok(false),
            }
        }
        socket.write_all(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await?;
        let mut socket = tls::accept(socket, &self.shared.identity).await?;
        self.secure = true;
        scanner = self::scanner();
        loop {
            match self.frame(&mut socket, &mut buffer, &mut scanner).await? {
                Some(Then::Say(word)) => socket.write_all(word.as_bytes()).await?,
                Some(Then::Restart(word)) => {
                    scanner = self::scanner();
                    socket.write_all(word.as_bytes()).await?;
                }
                Some(Then::End(word)) => {
                    socket.write_all(word.as_bytes()).await?;
                    socket.flush().await?;
                    return Ok(true);
                }
                Some(Then::StartTls) => bail!("TLS is up already"),
                None => return Ok(false),
            }
            socket.flush().await?;
        }
    }

    /// Reads a frame and says what to do about it; nothing at the connection's end.
    async fn frame(
        &mut self,
        socket: &mut impl Wire,
        buffer: &mut BytesMut,
        scanner: &mut Scanner,
    ) -> anyhow::Result<Option<Then>> {
        loop {
            if let Some(frame) = scanner.next(buffer)? {
                return self.answer(frame).await.map(Some);
            }
            if socket.read_buf(buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn hear(&self, what: What) {
        // The test may have looked enough.
        let _ = self.shared.heard.send(Heard { stream: self.stream, what });
    }

    async fn answer(&mut self, frame: Frame) -> anyhow::Result<Then> {
        let element = match frame {
            Frame::Header(header) => return Ok(Then::Say(self.greeting(&header))),
            Frame::Footer if self.conduct.lingers => {
                self.hear(What::Closed);
                return std::future::pending().await;
            }
            Frame::Footer => return Ok(Then::End(super::FOOTER.to_owned())),
            Frame::Whitespace => {
                self.hear(What::KeepAlive);
                return Ok(Then::Say(String::new()));
            }
            Frame::Element(element) => element,
        };
        let tree = Element::of(&element)?;
        let attribute = |name| tree.attr(name).unwrap_or_default().to_owned();
        let (from, to) = (attribute("from"), attribute("to"));
        Ok(match element.name() {
            "starttls" => Then::StartTls,
            "auth" => {
                self.proven = true;
                Then::Restart("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".to_owned())
            }
            "verify" => {
                let key = (attribute("id"), tree.text());
                let verdict = if locked(&self.shared.keys).contains(&key) { "valid" } else { "invalid" };
                Then::Say(format!("<db:verify from='{to}' to='{from}' id='{}' type='{verdict}'/>", key.0))
            }
            "result" => {
                self.proven = true;
                self.hear(What::Key { id: self.id.clone(), key: tree.text() });
                Then::Say(format!("<db:result from='{to}' to='{from}' type='valid'/>"))
            }
            "error" => {
                self.hear(What::Error(String::from_utf8_lossy(element.bytes()).into_owned()));
                Then::Say(String::new())
            }
            _ => {
                self.hear(What::Stanza(element));
                if self.conduct.deaf {
                    return std::future::pending().await;
                }
                Then::Say(String::new())
            }
        })
    }

    fn greeting(&mut self, header: &Header) -> String {
        let address = |address: &Option<String>| address.clone().unwrap_or_default();
        self.id = format!("played-{}", self.stream);
        let features = match (self.secure, self.proven, self.conduct.external) {
            (false, ..) => "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>",
            (true, false, true) => {
                "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>"
            }
            (true, false, false) => "<dialback xmlns='urn:xmpp:features:dialback'/>",
            (true, true, _) => "",
        };
        format!(
            "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
             xmlns:db='jabber:server:dialback' from='{}' to='{}' id='{}' version='1.0'>\
             <stream:features>{features}</stream:features>",
            address(&header.to),
            address(&header.from),
            self.id
        )
    }
}

fn scanner() -> Scanner {
    Scanner::new(Limits::default())
}
