//! What is said in the demo, each way, and how long it took to arrive.

use std::time::{Duration, Instant};

use testkit::client::{Client, Stanza};
use testkit::lab::{CONTOSO, FABRIKAM, TAILSPIN};

/// For anything to arrive.
const PATIENCE: Duration = Duration::from_secs(30);
/// For servers to tell fedge what they have, and between two looks.
const SETTLE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);
const LARGE: usize = 200 * 1024;

/// Tells it, by users who log in so; every line is something that was delivered. Gives how much that was.
pub(super) async fn tell(login: impl AsyncFn(String) -> anyhow::Result<Client>) -> anyhow::Result<u32> {
    let mut delivered = 0;
    let alice = login(format!("alice@{CONTOSO}")).await?;
    for (partner, how) in [(FABRIKAM, "EXTERNAL"), (TAILSPIN, "dialback")] {
        let bob = login(format!("bob@{partner}")).await?;
        println!("alice@{CONTOSO} and bob@{partner}, by {how}:");
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            message(from, to).await?;
            subscription(from, to).await?;
            iq(from, to).await?;
            large(from, to).await?;
            delivered += 4;
        }
        bob.close().await?;
        println!();
    }
    alice.close().await?;
    Ok(delivered)
}

/// What each of `ask`'s daemons says of itself once servers have told it that they have what was said last, or don't.
pub(super) async fn settled(mut ask: impl FnMut() -> anyhow::Result<String>) -> anyhow::Result<String> {
    let began = Instant::now();
    loop {
        let status = ask()?;
        if status.matches(" in flight").count() == status.matches(" 0 in flight").count() || began.elapsed() > SETTLE {
            return Ok(status);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The last line.
pub(super) fn end(delivered: u32, took: Duration) {
    println!("{delivered} of {delivered} were delivered, in {:.1} s; nothing was lost", took.as_secs_f64());
}

fn bare(client: &Client) -> &str {
    client.jid().split('/').next().unwrap_or_default()
}

fn say(what: &str, from: &Client, to: &Client, began: Instant) {
    let milliseconds = began.elapsed().as_secs_f64() * 1000.0;
    println!("  {what:28} {} -> {}  {milliseconds:8.1} ms", bare(from), bare(to));
}

async fn message(from: &Client, to: &Client) -> anyhow::Result<()> {
    let began = Instant::now();
    from.message(to.jid(), "hello", "Hello across the border!");
    let arrived = to.message_with_id("hello", PATIENCE).await?;
    anyhow::ensure!(arrived.body().as_deref() == Some("Hello across the border!"), "another text arrived");
    say("message", from, to, began);
    Ok(())
}

/// Asks to see the other's presence, is allowed to, and sees it.
async fn subscription(from: &Client, to: &Client) -> anyhow::Result<()> {
    let began = Instant::now();
    from.presence(bare(to), "subscribe");
    let asked = |stanza: &Stanza| {
        let sender = stanza.from();
        stanza.type_().as_deref() == Some("subscribe") && sender.is_some_and(|sender| sender.starts_with(bare(from)))
    };
    to.wait_for(format_args!("the subscription of {}", bare(from)), PATIENCE, asked).await?;
    to.presence(bare(from), "subscribed");
    let is_online = |stanza: &Stanza| {
        stanza.name() == "presence"
            && stanza.type_().is_none()
            && stanza.from().is_some_and(|sender| sender.starts_with(bare(to)))
    };
    from.wait_for(format_args!("the presence of {}", bare(to)), PATIENCE, is_online).await?;
    say("subscription, and presence", from, to, began);
    Ok(())
}

async fn iq(from: &Client, to: &Client) -> anyhow::Result<()> {
    let began = Instant::now();
    let answer = from.ping(to.jid()).await?;
    anyhow::ensure!(!answer.is_error(), "the iq came back as an error: {}", answer.condition().unwrap_or_default());
    say("iq, and its answer", from, to, began);
    Ok(())
}

async fn large(from: &Client, to: &Client) -> anyhow::Result<()> {
    let began = Instant::now();
    from.message(to.jid(), "large", &"x".repeat(LARGE));
    let arrived = to.message_with_id("large", PATIENCE).await?;
    anyhow::ensure!(arrived.body().map(|body| body.len()) == Some(LARGE), "another text arrived");
    say("message of 200 KiB", from, to, began);
    Ok(())
}
