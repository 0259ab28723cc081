//! Two who talk while others come back: a message each hundredth of a second, and how long each takes to arrive.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use testkit::lab::CONTOSO;
use testkit::lab::played::{Caller, Sink};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::super::side::latencies;
use super::super::spread::of_hundred;
use super::site::{BESIDE, INTERNAL_FACE, Site, WITNESS};

/// Between two messages.
const PACE: Duration = Duration::from_millis(10);
/// No message takes as long.
const PATIENCE: Duration = Duration::from_secs(30);

/// One side of it, and who takes it.
pub(super) struct Traffic<'a> {
    taker: &'a Sink,
    caller: Caller,
    said: u64,
}

impl Traffic<'_> {
    /// Opens the stream, and with a first message the one behind fedge.
    pub(super) async fn through_fedge(site: &Site) -> anyhow::Result<Traffic<'_>> {
        let caller = Caller::by_certificate(INTERNAL_FACE, CONTOSO, WITNESS, &site.contosos).await?;
        Traffic::of(caller, &site.witness).await
    }

    /// The same without fedge in between.
    pub(super) async fn beside_fedge(site: &Site) -> anyhow::Result<Traffic<'_>> {
        let mut caller = Caller::by_certificate(BESIDE, CONTOSO, WITNESS, &site.contosos).await?;
        // As fedge does with a partner.
        caller.write("<enable xmlns='urn:xmpp:sm:3'/>").await?;
        caller.until("<enabled ").await?;
        Traffic::of(caller, &site.beside).await
    }

    async fn of(caller: Caller, taker: &Sink) -> anyhow::Result<Traffic<'_>> {
        let mut traffic = Traffic { taker, caller, said: 0 };
        traffic.say().await?;
        traffic.all_have_arrived().await?;
        Ok(traffic)
    }

    async fn say(&mut self) -> anyhow::Result<()> {
        self.said += 1;
        let message = format!(
            "<message from='alice@{CONTOSO}/desk' to='bob@{WITNESS}' id='{}' type='chat'><body>noon?</body></message>",
            self.said
        );
        Ok(self.caller.write(message).await?)
    }

    async fn all_have_arrived(&self) -> anyhow::Result<()> {
        let late = || format!("message {} has not arrived within {} s", self.said, PATIENCE.as_secs());
        timeout(PATIENCE, self.taker.has(self.said)).await.with_context(late)
    }

    /// Talks until that is done, whether messages arrive in time or not; and how long each took.
    pub(super) async fn until<T>(&mut self, what: impl Future<Output = T>) -> anyhow::Result<(T, Latencies)> {
        let (before, mut sent) = (self.said, Vec::new());
        self.taker.note();
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut what = std::pin::pin!(what);
        let done = loop {
            tokio::select! {
                done = &mut what => break done,
                _ = pace.tick() => {
                    sent.push(Instant::now());
                    self.say().await?;
                }
            }
        };
        self.all_have_arrived().await?;
        Ok((done, Latencies(latencies(&sent, before, &self.taker.noted())?)))
    }
}

/// Times that messages took, the shortest first.
pub(super) struct Latencies(Vec<Duration>);

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = |hundredths| of_hundred(&self.0, hundredths).unwrap_or_default().as_secs_f64() * 1000.0;
        let [half, most, all] = [50, 99, 100].map(within);
        write!(f, "half within {half:.2} ms, 99 % within {most:.2} ms, all {} within {all:.2} ms", self.0.len())
    }
}
