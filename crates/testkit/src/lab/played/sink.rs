//! A played server that takes as much as comes, acknowledges it, and only counts: for measuring.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{FOOTER, tls};
use crate::pki::Issued;
use crate::scripted::{Player, Script, hear, play};

/// What is read at once.
const READ: usize = 64 * 1024;
/// As many bytes behind a `<` tell apart what matters here.
const TELLING: usize = 3;

/// The server at work; dropping it ends it. It has stream management (XEP-0198), and gives one answer to all questions
/// that it reads at once.
#[derive(Debug)]
pub struct Sink {
    account: Arc<Account>,
    serving: JoinSet<()>,
}

/// So many messages had come in all by then.
pub type Arrival = (u64, Instant);

#[derive(Debug, Default)]
struct Account {
    messages: watch::Sender<u64>,
    /// While arrivals are noted.
    noted: Mutex<Option<Vec<Arrival>>>,
}

impl Account {
    fn count(&self, messages: u64) {
        if messages == 0 {
            return;
        }
        let mut all = 0;
        // Noted before anybody is told that they are there.
        self.messages.send_if_modified(|counted| {
            *counted += messages;
            all = *counted;
            if let Some(noted) = self.noted.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                noted.push((all, Instant::now()));
            }
            true
        });
    }
}

impl Sink {
    /// Listens at `at` as the server of `domain`, for streams from `peer`.
    ///
    /// # Errors
    /// As listening in general.
    pub async fn start(at: SocketAddr, domain: &str, peer: &str, identity: Issued) -> io::Result<Sink> {
        Sink::listen(at, domain, peer, Some(identity)).await
    }

    /// The same behind somebody who has ended TLS already.
    ///
    /// # Errors
    /// As listening in general.
    pub async fn start_plain(at: SocketAddr, domain: &str, peer: &str) -> io::Result<Sink> {
        Sink::listen(at, domain, peer, None).await
    }

    async fn listen(at: SocketAddr, domain: &str, peer: &str, identity: Option<Issued>) -> io::Result<Sink> {
        let listener = TcpListener::bind(at).await?;
        let account = Arc::new(Account::default());
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, [domain.to_owned(), peer.to_owned()], identity, account.clone()));
        Ok(Sink { account, serving })
    }

    /// Ends it; from then on another may listen there, which takes a moment where it is dropped.
    pub async fn stop(mut self) {
        self.serving.shutdown().await;
    }

    /// How many messages have come in all.
    pub fn messages(&self) -> u64 {
        *self.account.messages.borrow()
    }

    /// Notes from now on when messages come.
    pub fn note(&self) {
        *self.account.noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }

    /// What was noted, in its order; from now on nothing is.
    pub fn noted(&self) -> Vec<Arrival> {
        self.account.noted.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    /// Waits until so many messages have come in all.
    pub async fn has(&self, messages: u64) {
        // The sender is in our own hands.
        let _ = self.account.messages.subscribe().wait_for(|counted| *counted >= messages).await;
    }
}

async fn serve(listener: TcpListener, ends: [String; 2], identity: Option<Issued>, account: Arc<Account>) {
    let mut streams = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (ends, identity, account) = (ends.clone(), identity.clone(), account.clone());
        // Whoever measures waits for messages in vain if this goes wrong, and says so.
        streams.spawn(async move { drop(begin(socket, &ends, identity.as_ref(), &account).await) });
    }
}

/// What is said until stanzas come: before TLS, and in it.
fn scripts([domain, peer]: &[String; 2]) -> [Script; 2] {
    let opened = |script: Script, features: &str| {
        script.hear(hear("<stream:stream ")).say(format!(
            "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='{domain}' \
             to='{peer}' id='1' version='1.0'><stream:features>{features}</stream:features>"
        ))
    };
    let clear = opened(Script::new(), "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        .hear(hear("<starttls "))
        .say("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    let external = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>";
    let secure =
        opened(Script::new(), external).hear(hear("<auth ")).say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    let secure =
        opened(secure, "<sm xmlns='urn:xmpp:sm:3'/>").hear(hear("<enable ")).say("<enabled xmlns='urn:xmpp:sm:3'/>");
    [clear, secure]
}

async fn begin(
    mut socket: TcpStream,
    ends: &[String; 2],
    identity: Option<&Issued>,
    account: &Account,
) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let [clear, secure] = scripts(ends);
    let Some(identity) = identity else { return take(socket, secure, account).await };
    play(&mut Player::new(clear), &mut socket).await?;
    take(tls::accept(socket, identity).await.context("TLS")?, secure, account).await
}

/// Has the stream begin by its script, and takes what comes then.
async fn take(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    script: Script,
    account: &Account,
) -> anyhow::Result<()> {
    let mut player = Player::new(script);
    play(&mut player, &mut stream).await?;
    let mut input = BytesMut::from(player.unasked());
    let mut taken = 0_u64;
    loop {
        let heard = look(&mut input);
        taken += heard.messages;
        account.count(heard.messages);
        if heard.asked {
            stream.write_all(format!("<a xmlns='urn:xmpp:sm:3' h='{taken}'/>").as_bytes()).await?;
        }
        if heard.ended {
            stream.write_all(FOOTER.as_bytes()).await?;
            return Ok(stream.shutdown().await?);
        }
        stream.flush().await?;
        input.reserve(READ);
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    messages: u64,
    /// A question for acknowledgement; all that was counted until the end of `input` may be said in answer.
    asked: bool,
    ended: bool,
}

/// Looks at what came and takes it away, but for the beginning of a tag that isn't there as a whole.
/// Who asks stands behind what he asks about, and whatever else came was taken, too.
fn look(input: &mut BytesMut) -> Heard {
    let mut heard = Heard::default();
    let mut end = input.len();
    for at in memchr::memchr_iter(b'<', input) {
        match input.get(at..at + TELLING) {
            Some(b"</m") => heard.messages += 1,
            Some(b"<r ") => heard.asked = true,
            Some(b"</s") => heard.ended = true,
            Some(_) => {}
            None => end = at,
        }
    }
    input.advance(end);
    heard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let text = "<message><body>x</body></message><message><body/></message><r xmlns='urn:xmpp:sm:3'/>";
        for piece in 1..text.len() {
            let mut input = BytesMut::new();
            let mut all = Heard::default();
            for bytes in text.as_bytes().chunks(piece) {
                input.extend_from_slice(bytes);
                let heard = look(&mut input);
                all.messages += heard.messages;
                all.asked |= heard.asked;
            }
            assert_eq!(all, Heard { messages: 2, asked: true, ended: false }, "in pieces of {piece}");
        }
    }
}
