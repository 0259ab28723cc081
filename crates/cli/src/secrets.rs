//! `fedge secrets`: the secrets of dialback keys, changed step by step.

use api::control::{Done, Secrets};

use crate::args::{self, Control};
use crate::remote::{RemoteError, ask, print};

pub(crate) fn run(control: &Control, command: args::Secrets) -> Result<(), RemoteError> {
    let (step, taken) = match command {
        args::Secrets::Add(taken) => ("add", taken),
        args::Secrets::Use(taken) => ("use", taken),
        args::Secrets::Drop(taken) => ("drop", taken),
        args::Secrets::Replace(taken) => ("replace", taken),
    };
    let asked = Secrets { step: step.to_owned(), why: taken.why, force: taken.force };
    let done: Done = ask(control, |client| async move { Ok(client.post("/v1/secrets", &asked).await?) })?;
    Ok(print(control, &done, |done| format!("{}\n", done.what))?)
}
