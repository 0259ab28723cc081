//! `health`: whether the daemon can serve, in one word and an exit status, within a time, also when it is frozen.

use std::io::{ErrorKind, Write as _};
use std::time::Duration;

use api::local::{AskError, Health, Reply, Request, State, ask};
use clap::Args;

use crate::ask::{AskFailure, Asked};

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
    let health = runtime.block_on(health(look, asked))?;
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
    let routed = !look.routed || health.routed == Some(true);
    Ok(routed && (health.state == State::Ready || look.or.contains(&health.state)))
}

fn unrouted(routed: Option<bool>) -> &'static str {
    match routed {
        Some(_) => "the route leads to another pool, or no controller has confirmed yet that it leads here",
        None => "no controllers lead it, so it doesn't know where the route leads",
    }
}

async fn health(look: &Look, asked: &Asked) -> Result<Health, AskFailure> {
    let silent = |why| Health { state: State::Silent, why: Some(why), routed: None };
    let answered = tokio::time::timeout(look.within, async {
        let mut replies = ask(&asked.socket, &Request::Health).await?;
        replies.next().await
    });
    match answered.await {
        Ok(Ok(Some(Reply::Health(health)))) => Ok(health),
        Ok(Ok(Some(Reply::Refused { why }))) => Err(AskFailure::Refused(why)),
        Ok(Ok(Some(_))) => Err(AskFailure::Refused("it answered something else than was asked".to_owned())),
        // It ended while it was asked.
        Ok(Ok(None) | Err(AskError::Broken(_))) => {
            let why = Some("it ended before it answered".to_owned());
            Ok(Health { state: State::Stopped, why, routed: None })
        }
        // So many wait for an answer already that nobody else may: each look at a frozen daemon leaves one there.
        Ok(Err(AskError::Unreachable { error, .. })) if error.kind() == ErrorKind::WouldBlock => {
            Ok(silent("it doesn't even take the question".to_owned()))
        }
        Ok(Err(AskError::Unreachable { socket, error })) if is_absent(&error) => {
            let why = Some(format!("nobody is at {socket} ({error})"));
            Ok(Health { state: State::Stopped, why, routed: None })
        }
        // Such as a socket that this user may not open: that says nothing about the daemon.
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Ok(silent(format!("no answer came within {} s", look.within.as_secs_f64()))),
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
