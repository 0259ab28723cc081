//! The sending end: prepared stanzas, written as many at once as go into one write.

use std::io;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use testkit::lab::CONTOSO;
use testkit::lab::played::Caller;
use testkit::pki::Issued;

use super::field::Way;

/// What is written at once.
const WRITE: usize = 64 * 1024;
/// Digits of an id: so many stanzas differ by it.
const DIGITS: usize = 8;
const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3'/>";
const ENABLED: &str = "<enabled xmlns='urn:xmpp:sm:3'/>";

/// How long a message is that goes by itself, where its size doesn't matter.
pub(super) const USUAL: usize = 300;

/// A stream from contoso's server, and what is sent on it.
pub(super) struct Link {
    caller: Caller,
    batch: Batch,
}

impl Link {
    /// Opens a stream to a domain this way; each stanza will have so many bytes.
    pub(super) async fn open(way: Way, domain: &str, identity: &Issued, bytes: usize) -> anyhow::Result<Link> {
        let at = way.entrance();
        let caller = match way {
            // It says "proceed" with other quotes than everybody.
            Way::XmppProxy => Caller::by_direct_tls(at, CONTOSO, domain, identity).await,
            _ => Caller::by_certificate(at, CONTOSO, domain, identity).await,
        };
        let mut caller = caller.with_context(|| format!("{way}: no stream to {domain}"))?;
        // fedge has the far end count what it gets. Who has nobody between does so himself.
        if matches!(way, Way::Direct | Way::Haproxy | Way::XmppProxy) {
            caller.write(ENABLE).await?;
            caller.until(ENABLED).await?;
        }
        Ok(Link { caller, batch: Batch::new(domain, bytes)? })
    }

    /// Sends one stanza, at once.
    pub(super) async fn send(&mut self) -> io::Result<()> {
        self.caller.write(self.batch.one()).await
    }

    /// Sends as fast as it is read, until then; gives how many it sent.
    pub(super) async fn flood(&mut self, until: Instant) -> io::Result<u64> {
        let mut sent = 0;
        while Instant::now() < until {
            self.caller.write(self.batch.next()).await?;
            sent += self.batch.stanzas as u64;
        }
        Ok(sent)
    }

    /// Gives back the memory of prepared stanzas but the first, for streams that are to be many and idle.
    pub(super) fn forget(&mut self) {
        self.batch.shorten();
    }

    /// Ends the stream.
    pub(super) async fn close(mut self) -> anyhow::Result<()> {
        self.caller.close().await.map(drop)
    }
}

/// Stanzas of one size that go into one write, each time with other ids.
struct Batch {
    text: Vec<u8>,
    stanzas: usize,
    /// Where in a stanza its id stands.
    id_at: usize,
    next_id: u64,
}

impl Batch {
    fn new(domain: &str, bytes: usize) -> anyhow::Result<Batch> {
        let head = format!("<message from='alice@{CONTOSO}/phone' to='bob@{domain}/desk' type='chat' id='");
        let middle = "'><body>";
        let tail = "</body></message>";
        let least = head.len() + DIGITS + middle.len() + tail.len();
        ensure!(bytes > least, "a message to {domain} has more than {least} bytes");
        let body = "x".repeat(bytes - least);
        let stanza = [head.as_str(), &"0".repeat(DIGITS), middle, &body, tail].concat();
        let stanzas = (WRITE / bytes).max(1);
        Ok(Batch { text: stanza.repeat(stanzas).into_bytes(), stanzas, id_at: head.len(), next_id: 0 })
    }

    /// The stanzas with the ids that are next.
    fn next(&mut self) -> &[u8] {
        self.number(self.stanzas)
    }

    /// One stanza with the id that is next.
    fn one(&mut self) -> &[u8] {
        self.number(1)
    }

    /// Leaves one stanza.
    fn shorten(&mut self) {
        self.text.truncate(self.text.len() / self.stanzas);
        self.text.shrink_to_fit();
        self.stanzas = 1;
    }

    /// Gives ids to so many stanzas.
    fn number(&mut self, stanzas: usize) -> &[u8] {
        let bytes = self.text.len() / self.stanzas;
        let some = &mut self.text[..bytes * stanzas];
        for stanza in some.chunks_exact_mut(bytes) {
            let mut id = self.next_id;
            for digit in stanza[self.id_at..self.id_at + DIGITS].iter_mut().rev() {
                *digit = b'0' + u8::try_from(id % 10).unwrap_or_default();
                id /= 10;
            }
            self.next_id += 1;
        }
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_fills_a_write_with_stanzas_that_differ() {
        for bytes in [150, 575, 4096, 65_536] {
            let mut batch = Batch::new("partner100.test", bytes).expect("it fits");
            let mut ids = Vec::new();
            for _ in 0..2 {
                let text = String::from_utf8(batch.next().to_vec()).expect("it is ASCII");
                assert!(text.len() <= WRITE && text.len().is_multiple_of(bytes), "{bytes} bytes: {}", text.len());
                ids.extend(text.split(" id='").skip(1).map(|rest| rest[..DIGITS].to_owned()));
            }
            assert!(batch.stanzas > 0);
            assert_eq!(ids, (0..2 * batch.stanzas).map(|id| format!("{id:08}")).collect::<Vec<_>>());
        }
        assert!(Batch::new("partner100.test", 100).is_err());
    }
}
