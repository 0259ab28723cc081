//! What cmdlets ask the control plane about the route and its moves.

use std::time::Duration;

use api::client::{Client, ClientError};
use api::route::{Begun, Move, Operation, Plan, Route, State, Wish};
use tokio::time::{Instant, sleep};

use crate::args::Control;
use crate::remote::{RemoteError, ask};

/// Between two looks at an operation.
const LOOK: Duration = Duration::from_millis(250);
/// What an operation says that waits for services that an administrator stopped.
const START: &str = "fedge service start";
/// For a controller to come back, or another one to go on with an operation.
const AWAY: Duration = Duration::from_secs(60);

pub(super) fn route(control: &Control) -> Result<Route, RemoteError> {
    ask(control, |client| async move { Ok(client.get("/v1/route").await?) })
}

pub(super) fn plan(control: &Control, wish: &Wish) -> Result<Plan, RemoteError> {
    ask(control, |client| async move { Ok(client.post("/v1/route/plan", wish).await?) })
}

pub(super) fn begin(control: &Control, wanted: &Move) -> Result<Begun, RemoteError> {
    ask(control, |client| async move { Ok(client.post("/v1/route/move", wanted).await?) })
}

pub(super) fn operation(control: &Control, number: u64) -> Result<Operation, RemoteError> {
    ask(control, |client| async move { Ok(client.get(&format!("/v1/operations/{number}")).await?) })
}

/// Watches an operation until it rests, and tells each line of its journal from the one with this index on. One that waits
/// for services that are stopped is given so long to go on.
pub(super) fn follow(
    control: &Control,
    number: u64,
    from: usize,
    patience: Duration,
    say: &mut dyn FnMut(&str),
) -> Result<Operation, RemoteError> {
    ask(control, |client| async move {
        let (mut told, mut waiting) = (from, None::<Instant>);
        loop {
            let operation = look(&client, number).await?;
            for line in operation.journal.iter().skip(told) {
                let after = Duration::from_millis(line.at.saturating_sub(operation.began)).as_secs_f64();
                say(&format!("{after:6.1} s  {:10}  {}", line.state.word(), line.what));
            }
            told = told.max(operation.journal.len());
            match (operation.state, &operation.waits) {
                (state, _) if state.is_over() => return Ok(operation),
                (State::Degraded, _) => return Ok(operation),
                (State::Verifying, Some(waits)) if waits.contains(START) => {
                    if waiting.get_or_insert_with(Instant::now).elapsed() >= patience {
                        return Ok(operation);
                    }
                }
                _ => waiting = None,
            }
            sleep(LOOK).await;
        }
    })
}

/// Asks again while controllers are away: one that was killed comes back, or another one goes on.
async fn look(client: &Client, number: u64) -> Result<Operation, ClientError> {
    let began = Instant::now();
    loop {
        match client.get(&format!("/v1/operations/{number}")).await {
            Err(ClientError::Unreachable(_) | ClientError::Broken { .. }) if began.elapsed() < AWAY => {
                sleep(LOOK).await;
            }
            told => return told,
        }
    }
}

/// The exit status that says how it came to rest.
pub(super) fn exit(operation: &Operation) -> u8 {
    match operation.state {
        State::Done => 0,
        State::RolledBack => 3,
        State::Degraded | State::Superseded => 4,
        State::Preparing | State::Ready | State::Committed | State::Applying | State::Verifying | State::Draining => 5,
    }
}
