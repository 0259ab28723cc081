//! What services ask of the route: whether a move waits for them.

use api::route::{Operation, Route, State};

use crate::args::Control;
use crate::remote::{RemoteError, ask};

/// The operation that waits in verification, if one does.
pub(super) fn verifying(control: &Control) -> Result<Option<Operation>, RemoteError> {
    ask(control, |client| async move {
        let route: Route = client.get("/v1/route").await?;
        let Some(number) = route.operation else { return Ok(None) };
        let operation: Operation = client.get(&format!("/v1/operations/{number}")).await?;
        Ok(Some(operation).filter(|operation| operation.state == State::Verifying))
    })
}
