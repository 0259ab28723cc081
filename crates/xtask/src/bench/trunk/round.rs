//! One round: every pair sends as fast as fedge reads, until everything has arrived.

use std::time::{Duration, Instant};

use testkit::lab::CONTOSO;
use testkit::lab::played::Caller;
use tokio::task::JoinSet;

use crate::bench::site::{Shape, Site, processor_time};

/// Messages of a pair that differ by their id. All pairs together have more than fedge remembers the fates of.
const DIFFERENT: u64 = 6000;
/// What is written at once.
const WRITE: usize = 64 * 1024;

/// What one round took.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) messages: u64,
    pub(super) time: Duration,
    /// Processor time of each process of fedge.
    pub(super) fedge: Vec<Duration>,
    /// Processor time of this process: of the one who sends and those who take.
    pub(super) ends: Duration,
}

/// Contoso's server, with a stream for each partner.
pub(super) struct Senders {
    shape: Shape,
    bytes: usize,
    /// The stream, and what is sent on it again and again.
    streams: Vec<(Caller, Vec<u8>)>,
}

impl Senders {
    /// Opens the streams to fedge in this shape; each stanza will have so many bytes.
    pub(super) async fn open(site: &Site, shape: Shape, bytes: usize) -> anyhow::Result<Senders> {
        let mut streams = Vec::new();
        for (domain, _) in &site.partners {
            let caller = Caller::by_certificate(shape.internal_face(), CONTOSO, domain, &site.contosos).await?;
            streams.push((caller, (0..DIFFERENT).flat_map(|id| message(domain, id, bytes)).collect()));
        }
        Ok(Senders { shape, bytes, streams })
    }

    /// Sends so many messages, spread evenly, and waits until they have arrived.
    pub(super) async fn flood(&mut self, site: &Site, messages: u64) -> anyhow::Result<Measured> {
        let each = messages / self.streams.len() as u64;
        let before = (Instant::now(), site.processor_times(self.shape)?, processor_time("self")?, site.arrived());
        let aims: Vec<u64> = site.partners.iter().map(|(_, sink)| sink.messages() + each).collect();
        let (bytes, mut sending) = (self.bytes, JoinSet::new());
        for (mut caller, text) in self.streams.drain(..) {
            sending.spawn(async move {
                send(&mut caller, &text, bytes as u64 * each).await?;
                anyhow::Ok((caller, text))
            });
        }
        while let Some(sent) = sending.join_next().await {
            self.streams.push(sent??);
        }
        for ((_, sink), aim) in site.partners.iter().zip(aims) {
            sink.has(aim).await;
        }
        let (began, fedge, ends, arrived) = before;
        Ok(Measured {
            messages: site.arrived() - arrived,
            time: began.elapsed(),
            fedge: site.processor_times(self.shape)?.iter().zip(fedge).map(|(now, then)| *now - then).collect(),
            ends: processor_time("self")? - ends,
        })
    }

    /// Ends the streams.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        for (mut caller, _) in self.streams {
            caller.close().await?;
        }
        Ok(())
    }
}

/// Sends `text` again and again, so many bytes of it.
async fn send(caller: &mut Caller, text: &[u8], mut left: u64) -> std::io::Result<()> {
    while left > 0 {
        for piece in text.chunks(WRITE) {
            let piece = &piece[..piece.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
            caller.write(piece).await?;
            left -= piece.len() as u64;
        }
    }
    Ok(())
}

/// As people chat, as long as that.
fn message(domain: &str, id: u64, bytes: usize) -> Vec<u8> {
    let head = format!(
        "<message from='alice@{CONTOSO}/phone' to='bob@{domain}/desk' id='{id:08}' type='chat' xml:lang='en'><body>"
    );
    let tail = "</body></message>";
    let body = "x".repeat(bytes.saturating_sub(head.len() + tail.len()));
    [head.as_str(), &body, tail].concat().into_bytes()
}
