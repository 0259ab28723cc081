//! Test-CsXmppIM: a message both ways between two test accounts.

use std::path::Path;

use super::bind::Call;
use super::object::{Object, Output, Value};
use super::talk::{Outcome, ShellError, Talk};
use crate::im::{self, Outcome as Came, Tested};

pub(super) fn test(call: &Call, talk: &mut Talk) -> Result<Outcome, ShellError> {
    let within = match call.one("Within").map(str::parse::<u64>) {
        None => im::USUAL,
        Some(Ok(within)) if (1..=im::LONGEST).contains(&within) => within,
        Some(_) => return Err(ShellError::Usage(format!("-Within takes seconds, from 1 to {}", im::LONGEST))),
    };
    let accounts = call.one("Accounts").map(str::to_owned);
    let accounts = accounts.or_else(|| std::env::var("FEDGE_TEST_ACCOUNTS").ok());
    let accounts = accounts.unwrap_or_else(|| im::ACCOUNTS.to_owned());
    let [from, to] = ["From", "To"].map(|name| account(call.one(name).unwrap_or_default()));
    let refused = |error: im::AccountsError| ShellError::Refused(error.to_string());
    let tested = im::tested(Path::new(&accounts), from, to, within).map_err(refused)?;
    for entered in &tested.accounts {
        talk.verbose(entered.line().trim_end());
    }
    let output = Output::list(objects(&tested));
    match tested.status() {
        0 => Ok(output.into()),
        1 => Err(ShellError::Part { output, what: "not every message arrived".to_owned() }),
        _ => Err(ShellError::Part { output, what: "it can't be told whether messages arrive".to_owned() }),
    }
}

/// Lync's addresses begin with `sip:`.
fn account(text: &str) -> &str {
    match text.split_at_checked("sip:".len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("sip:") => rest,
        _ => text,
    }
}

/// One for each direction, or for each account that couldn't be used where that is as far as it came.
fn objects(tested: &Tested) -> Vec<Object> {
    let object = |from: &str, to: Value, latency, error: Option<String>, diagnosis: Option<String>| {
        let result = if error.is_none() { "Success" } else { "Failure" };
        Object(vec![
            ("From", from.into()),
            ("To", to),
            ("Result", result.into()),
            ("Latency", latency),
            ("Error", error.into()),
            ("Diagnosis", diagnosis.into()),
        ])
    };
    if tested.ways.is_empty() {
        let troubles = tested.accounts.iter().filter_map(|entered| Some((entered, entered.trouble.as_ref()?)));
        let of = |(entered, told): (&im::Entered, &im::Told)| {
            let diagnosis = format!("{}\n{}", told.cause, told.fix);
            object(&entered.jid, Value::Nothing, Value::Nothing, Some(told.what.clone()), Some(diagnosis))
        };
        return troubles.map(of).collect();
    }
    let ways = tested.ways.iter().map(|way| {
        let latency = match way.outcome {
            Came::Arrived { ms } => Value::Text(latency(ms)),
            _ => Value::Nothing,
        };
        let error = (!matches!(way.outcome, Came::Arrived { .. })).then(|| way.outcome.words());
        let advice: Vec<&str> = [&way.cause, &way.fix].into_iter().flatten().map(String::as_str).collect();
        let diagnosis = (!advice.is_empty()).then(|| advice.join("\n"));
        object(&way.from, way.to.as_str().into(), latency, error, diagnosis)
    });
    ways.collect()
}

/// As Lync wrote it: hours, minutes, seconds and thousandths.
fn latency(ms: u64) -> String {
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_latencies_are_as_lync_had_them() {
        for (text, expected) in [
            ("sip:ann@contoso.test", "ann@contoso.test"),
            ("SIP:ann@contoso.test", "ann@contoso.test"),
            ("ann@contoso.test", "ann@contoso.test"),
            ("ä", "ä"),
            ("", ""),
        ] {
            assert_eq!(account(text), expected);
        }
        assert_eq!(latency(61_042), "00:01:01.042");
    }
}
