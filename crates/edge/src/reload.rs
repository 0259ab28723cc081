//! Taking over changed files while the daemon runs: certificates by themselves, everything on SIGHUP.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::faces::Parts;

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(5);
/// Between two reminders of what somebody should look at.
const REMIND: u32 = 12 * 60 * 24;

/// Watches the files for as long as the daemon runs.
///
/// # Errors
/// When the system lets no signal be caught.
pub async fn watch(file: PathBuf, parts: Parts) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut look = tokio::time::interval(LOOK);
    let mut looks = 0_u32;
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                read_again(&file, &parts);
                tell_concerns(&parts);
            }
            _ = look.tick() => {
                look_at(&parts);
                if looks.is_multiple_of(REMIND) {
                    tell_concerns(&parts);
                }
                looks = looks.wrapping_add(1);
            }
        }
    }
}

/// Everything that can change without closing a stream. Listeners, times and limits can't.
fn read_again(file: &std::path::Path, parts: &Parts) {
    let done = Config::read(file)
        .map_err(|error| error.to_string())
        .and_then(|config| parts.replace(&config).map_err(|error| error.to_string()));
    match done {
        Ok(()) => {
            tracing::info!("policy, certificates, roots and secrets were read again; other changes need a restart");
        }
        Err(error) => tracing::error!(%error, "the configuration can't be used; everything stays as it was"),
    }
}

fn look_at(parts: &Parts) {
    if parts.folder.changed() {
        match parts.folder.reload() {
            Ok(certificates) => tracing::info!(certificates, "certificates were read again"),
            Err(error) => tracing::error!(%error, "certificates can't be used; those of before stay"),
        }
    }
    for judge in parts.judges.iter().map(|judge| judge.load()).filter(|judge| judge.changed()) {
        match judge.reload() {
            Ok(()) => tracing::info!("roots and revocation lists were read again"),
            Err(error) => tracing::error!(%error, "roots or revocation lists can't be used; those of before stay"),
        }
    }
}

fn tell_concerns(parts: &Parts) {
    for concern in parts.concerns(SystemTime::now()) {
        tracing::warn!("{concern}");
    }
}
