//! A played server that takes as much as comes, acknowledges it, and only counts: for measuring.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
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
    messages: Arc<watch::Sender<u64>>,
    _serving: JoinSet<()>,
}

impl Sink {
    /// Listens at `at` as the server of `domain`, for streams from `peer`.
    ///
    /// # Errors
    /// As listening in general.
    pub async fn start(at: SocketAddr, domain: &str, peer: &str, identity: Issued) -> io::Result<Sink> {
        let listener = TcpListener::bind(at).await?;
        let messages = Arc::new(watch::Sender::new(0));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, [domain.to_owned(), peer.to_owned()], identity, messages.clone()));
        Ok(Sink { messages, _serving: serving })
    }

    /// How many messages have come in all.
    pub fn messages(&self) -> u64 {
        *self.messages.borrow()
    }

    /// Waits until so many messages have come in all.
    pub async fn has(&self, messages: u64) {
        // The sender is in our own hands.
        let _ = self.messages.subscribe().wait_for(|counted| *counted >= messages).await;
    }
}

async fn serve(listener: TcpListener, ends: [String; 2], identity: Issued, messages: Arc<watch::Sender<u64>>) {
    let mut streams = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (ends, identity, messages) = (ends.clone(), identity.clone(), messages.clone());
        // Whoever measures waits for messages in vain if this goes wrong, and says so.
        streams.spawn(async move { drop(take(socket, &ends, &identity, &messages).await) });
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

async fn take(
    mut socket: TcpStream,
    ends: &[String; 2],
    identity: &Issued,
    messages: &watch::Sender<u64>,
) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let [clear, secure] = scripts(ends);
    play(&mut Player::new(clear), &mut socket).await?;
    let mut stream = tls::accept(socket, identity).await.context("TLS")?;
    let mut player = Player::new(secure);
    play(&mut player, &mut stream).await?;
    let mut input = BytesMut::from(player.unasked());
    let mut taken = 0_u64;
    loop {
        let heard = look(&mut input);
        taken += heard.messages;
        messages.send_modify(|all| *all += heard.messages);
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
