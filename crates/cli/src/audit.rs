//! `fedge audit`: the trail, shown and verified.

use std::fmt::Write as _;

use api::control::{AuditEntry, AuditVerified};

use crate::args::{Audit, Control};
use crate::remote::{RemoteError, ask, print, when};

pub(crate) fn run(control: &Control, command: &Audit) -> Result<(), RemoteError> {
    ask(control, |client| async move {
        match command {
            Audit::Show { from, count } => {
                let path = format!("/v1/audit?from={from}&count={count}");
                let entries: Vec<AuditEntry> = client.get(&path).await?;
                Ok(print(control, &entries, |entries| entries.iter().map(entry_text).collect())?)
            }
            Audit::Verify => {
                let verified: AuditVerified = client.get("/v1/audit/verified").await?;
                print(control, &verified, |verified| {
                    format!("{} entries, the last one's hash {}\n", verified.entries, verified.hash)
                })?;
                verified
                    .broken
                    .map_or(Ok(()), |broken| Err(RemoteError::Wrong(format!("the trail is broken: {broken}"))))
            }
        }
    })
}

fn entry_text(entry: &AuditEntry) -> String {
    let mut text = format!("{} {} {}: {}\n", entry.number, when(entry.at), entry.who, entry.what);
    for (name, value) in [("why", &entry.why), ("before", &entry.before), ("after", &entry.after)] {
        if !value.is_empty() {
            let _ = writeln!(text, "    {name}: {}", value.replace('\n', "\n      "));
        }
    }
    text
}
