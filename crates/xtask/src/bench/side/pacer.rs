//! A sender on a thread of its own, which sleeps until a message is due: a runtime's timers go by milliseconds.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use testkit::pki::Issued;
use tokio::sync::{mpsc, oneshot};

use super::field::Way;
use super::link::{Link, USUAL};

/// Asks for so many messages a second, and so many in all.
type Order = (u32, u32, oneshot::Sender<anyhow::Result<Vec<Instant>>>);

/// The sender; dropping it ends its stream.
pub(super) struct Pacer {
    orders: mpsc::UnboundedSender<Order>,
}

impl Pacer {
    /// Opens a stream to `domain` this way.
    pub(super) async fn start(way: Way, domain: &str, identity: &Issued) -> anyhow::Result<Pacer> {
        let (orders, ordered) = mpsc::unbounded_channel();
        let (opened, open) = oneshot::channel();
        let (domain, identity) = (domain.to_owned(), identity.clone());
        // In the same network as whoever starts it.
        thread::spawn(move || work(way, &domain, &identity, opened, ordered));
        open.await.context("the sender's thread has ended")??;
        Ok(Pacer { orders })
    }

    /// Sends messages at that pace, and gives for each when it was about to be written.
    pub(super) async fn send(&mut self, rate: u32, messages: u32) -> anyhow::Result<Vec<Instant>> {
        let (answer, sent) = oneshot::channel();
        self.orders.send((rate, messages, answer)).ok().context("the sender's thread has ended")?;
        sent.await.context("the sender's thread has ended")?
    }
}

fn work(
    way: Way,
    domain: &str,
    identity: &Issued,
    opened: oneshot::Sender<anyhow::Result<()>>,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(opened.send(Err(error.into()))),
    };
    let mut link = match runtime.block_on(Link::open(way, domain, identity, USUAL)) {
        Ok(link) => link,
        Err(error) => return drop(opened.send(Err(error))),
    };
    let _ = opened.send(Ok(()));
    while let Some((rate, messages, answer)) = orders.blocking_recv() {
        let _ = answer.send(runtime.block_on(pace(&mut link, rate, messages)));
    }
    // Whoever measured has gone on; how the stream ends is nobody's concern.
    let _ = runtime.block_on(link.close());
}

/// What is late is sent at once: only this thread's own lateness is in the moments that it gives, and not in what it measures.
async fn pace(link: &mut Link, rate: u32, messages: u32) -> anyhow::Result<Vec<Instant>> {
    let (began, mut sent) = (Instant::now(), Vec::new());
    for number in 0..messages {
        let due = began + Duration::from_secs(1) * number / rate;
        // Nothing else runs on this thread.
        thread::sleep(due.saturating_duration_since(Instant::now()));
        sent.push(Instant::now());
        link.send().await.context("the stream broke")?;
    }
    Ok(sent)
}
