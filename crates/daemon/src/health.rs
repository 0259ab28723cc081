//! `health`: whether the daemon can serve, in one word and an exit status, within a time, also when it is frozen.

use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use api::local::{AskError, Health, Reply, Request, State, ask};
use clap::Args;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::ask::{AskFailure, Asked};

/// From one look to the next, for those who look on.
const EVERY: Duration = Duration::from_millis(50);
/// In so many steps an answer is awaited.
const STEPS: u32 = 6;

/// What counts as healthy, and for how long the answer is awaited.
#[derive(Debug, Clone, Args)]
pub struct Look {
    /// Exit with 0 in this state, too: waiting, draining, silent or stopped. May be given several times.
    #[arg(long = "or", value_name = "STATE", value_parser = state)]
    or: Vec<State>,
    /// Exit with 0 only where the federation route leads here, and a controller has confirmed that.
    #[arg(long)]
    routed: bool,
    /// For how many seconds to wait for an answer.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    within: Duration,
    /// Look on for so many seconds, and end at once when the state is one that won't do.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    on: Option<Duration>,
}

impl Look {
    fn will_do(&self, health: &Health) -> bool {
        let routed = !self.routed || health.routed == Some(true);
        routed && (health.state == State::Ready || self.or.contains(&health.state))
    }
}

fn state(word: &str) -> Result<State, String> {
    let known = || State::ALL.map(State::word).join(", ");
    State::ALL.into_iter().find(|state| state.word() == word).ok_or_else(|| format!("the states are {}", known()))
}

/// More than a minute is a mistake, and so is no time at all.
fn seconds(text: &str) -> Result<Duration, String> {
    let time = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| !time.is_zero() && time.as_secs() <= 60)
        .ok_or_else(|| "give it a number of seconds above 0, at most 60".to_owned())
}

/// Asks, prints the word, and says why on standard error where it isn't `ready`. Gives whether the state will do.
///
/// # Errors
/// When the daemon answers something else, or nobody reads what is printed. That it doesn't answer is an answer.
pub fn tell(look: &Look, asked: &Asked) -> Result<bool, AskFailure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let health = runtime.block_on(look_on(look, asked))?;
    let mut out = std::io::stdout();
    if asked.json {
        let line = serde_json::to_string(&Reply::Health(health.clone())).map_err(AskError::from)?;
        writeln!(out, "{line}")?;
    } else {
        writeln!(out, "{}", health.state)?;
        if let Some(why) = &health.why {
            eprintln!("{why}");
        }
    }
    if look.routed && health.routed != Some(true) && !asked.json {
        eprintln!("{}", unrouted(health.routed));
    }
    Ok(look.will_do(&health))
}

fn unrouted(routed: Option<bool>) -> &'static str {
    match routed {
        Some(_) => "the route leads to another pool, or no controller has confirmed yet that it leads here",
        None => "no controllers lead it, so it doesn't know where the route leads",
    }
}

/// Looks once, or again and again for as long as it is wished; gives what was seen last.
async fn look_on(look: &Look, asked: &Asked) -> Result<Health, AskFailure> {
    let began = Instant::now();
    loop {
        let health = health(look, asked).await?;
        if !look.will_do(&health) || look.on.is_none_or(|time| began.elapsed() + EVERY > time) {
            return Ok(health);
        }
        pause(&asked.socket).await;
    }
}

/// Until the next look is due, or the daemon ends: a connection on which nothing is asked yet ends with it.
async fn pause(socket: &Path) {
    if let Ok(mut held) = UnixStream::connect(socket).await {
        // Whatever comes of it, the next look sees it.
        let _ = timeout(EVERY, held.read(&mut [0])).await;
    }
}

/// What comes within a time, by our own steps: where the machine is so busy that it wakes us late, it lets the daemon wait, too,
/// and each step lasts longer.
async fn awaited<T>(within: Duration, answer: impl Future<Output = T>) -> Option<T> {
    let mut answer = pin!(answer);
    for _ in 0..STEPS {
        if let Ok(answer) = timeout(within / STEPS, &mut answer).await {
            return Some(answer);
        }
    }
    None
}

async fn health(look: &Look, asked: &Asked) -> Result<Health, AskFailure> {
    let silent = |why| Health { state: State::Silent, why: Some(why), routed: None };
    let answered = awaited(look.within, async {
        let mut replies = ask(&asked.socket, &Request::Health).await?;
        replies.next().await
    });
    match answered.await {
        Some(Ok(Some(Reply::Health(health)))) => Ok(health),
        Some(Ok(Some(Reply::Refused { why }))) => Err(AskFailure::Refused(why)),
        Some(Ok(Some(_))) => Err(AskFailure::Refused("it answered something else than was asked".to_owned())),
        // It ended while it was asked.
        Some(Ok(None) | Err(AskError::Broken(_))) => {
            let why = Some("it ended before it answered".to_owned());
            Ok(Health { state: State::Stopped, why, routed: None })
        }
        // So many wait for an answer already that nobody else may: each look at a frozen daemon leaves one there.
        Some(Err(AskError::Unreachable { error, .. })) if error.kind() == ErrorKind::WouldBlock => {
            Ok(silent("it doesn't even take the question".to_owned()))
        }
        Some(Err(AskError::Unreachable { socket, error })) if is_absent(&error) => {
            let why = Some(format!("nobody is at {socket} ({error})"));
            Ok(Health { state: State::Stopped, why, routed: None })
        }
        // Such as a socket that this user may not open: that says nothing about the daemon.
        Some(Err(error)) => Err(error.into()),
        None => Ok(silent(format!("no answer came within {} s", look.within.as_secs_f64()))),
    }
}

/// Whether no daemon is there, and not only out of reach.
fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_times_are_read_and_others_refused() {
        for known in State::ALL {
            assert_eq!(state(known.word()), Ok(known));
        }
        assert!(state("well").is_err_and(|fault| fault.contains("ready, waiting, draining")));
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "-1", "61", "soon", "NaN"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
