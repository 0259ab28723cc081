//! Asking the control plane, and showing a person or a program what it says.

use std::fmt::Write as _;

use api::client::{Client, ClientError};
use serde::Serialize;
use time::OffsetDateTime;

use crate::args::Control;

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    /// Nobody was named.
    #[error("no controller is named; use --controller or FEDGE_CONTROLLER: ctl1.contoso.test")]
    NoController,
    /// No token was named.
    #[error("no token is named; use --token-file or FEDGE_TOKEN_FILE; `fedge-control token` makes one")]
    NoToken,
    /// The controllers.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// The answer says that something is wrong.
    #[error("{0}")]
    Wrong(String),
    /// The system.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl RemoteError {
    /// Whether a controller said no, and so changed nothing. Of a store that can't be asked it isn't known.
    pub(crate) fn is_refusal(&self) -> bool {
        let RemoteError::Client(ClientError::Problem(problem)) = self else { return false };
        matches!(problem.code.as_str(), "refused" | "conflict" | "not-found" | "role" | "who")
    }
}

/// Does `work` with a client as the arguments say.
pub(crate) fn ask<T, F: Future<Output = Result<T, RemoteError>>>(
    control: &Control,
    work: impl FnOnce(Client) -> F,
) -> Result<T, RemoteError> {
    let controllers = control.controller.iter().map(|text| text.parse()).collect::<Result<Vec<_>, _>>()?;
    if controllers.is_empty() {
        return Err(RemoteError::NoController);
    }
    let token = control.token_file.as_ref().ok_or(RemoteError::NoToken)?;
    let client = Client::new(controllers, &control.control_ca, token)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work(client))
}

/// Prints an answer: as JSON, or as `text` tells it.
pub(crate) fn print<T: Serialize>(
    control: &Control,
    answer: &T,
    text: impl FnOnce(&T) -> String,
) -> std::io::Result<()> {
    let text = if control.json { serde_json::to_string(answer)? + "\n" } else { text(answer) };
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())
}

/// When, in UTC: `2026-11-28 03:05:07`.
pub(crate) fn when(milliseconds: u64) -> String {
    let seconds = i64::try_from(milliseconds / 1000).unwrap_or(i64::MAX);
    let Ok(at) = OffsetDateTime::from_unix_timestamp(seconds) else { return "never".to_owned() };
    let mut text = String::new();
    let _ = write!(
        text,
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    );
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(super::when(1_795_835_107_999), "2026-11-28 03:05:07");
        assert_eq!(super::when(0), "1970-01-01 00:00:00");
        assert_eq!(super::when(u64::MAX), "never");
    }
}
