//! `fedge probe`: how far a domain's servers can be reached, as the edge servers see it.

use std::process::ExitCode;
use std::time::Duration;

use api::probe::{ProbedBy, Verdict, Wanted, table};

use crate::args::{Control, Probe};
use crate::remote::{RemoteError, ask, print};

/// Something is bad.
const BAD: u8 = 1;
/// It can't be told.
const TROUBLE: u8 = 2;
/// For all that isn't the probe, in seconds; controllers wait less.
const ANSWER: u64 = 30;

pub(crate) fn run(control: &Control, probe: Probe) -> ExitCode {
    match probed(control, probe) {
        Ok(all) => status(&all),
        Err(error) => {
            eprintln!("{error}");
            TROUBLE.into()
        }
    }
}

fn probed(control: &Control, probe: Probe) -> Result<Vec<ProbedBy>, RemoteError> {
    let Probe { partner, via, domain, at, direct_tls, within } = probe;
    let wanted = Wanted {
        domain: partner,
        via: via.map(|via| via.to_string()),
        local: domain.map(|domain| domain.to_string()),
        at,
        direct_tls,
        seconds: Some(within),
    };
    let patience = Duration::from_secs(within + ANSWER);
    let all: Vec<ProbedBy> =
        ask(control, |client| async move { Ok(client.post_within("/v1/probe", &wanted, patience).await?) })?;
    print(control, &all, |all| all.iter().map(text).collect::<Vec<_>>().join("\n"))?;
    Ok(all)
}

fn text(by: &ProbedBy) -> String {
    match (&by.probed, &by.why) {
        (Some(probed), _) => format!("{}: {}", by.server, table(probed)),
        (None, why) => format!("{}: {}\n", by.server, why.as_deref().unwrap_or("it says nothing")),
    }
}

/// Bad where anybody saw something bad; else, unknown where anybody saw nothing.
fn status(all: &[ProbedBy]) -> ExitCode {
    number(all).into()
}

fn number(all: &[ProbedBy]) -> u8 {
    let bad = |by: &ProbedBy| by.probed.as_ref().is_some_and(|probed| probed.verdict == Verdict::Bad);
    match all {
        all if all.iter().any(bad) => BAD,
        all if all.is_empty() || all.iter().any(|by| by.probed.is_none()) => TROUBLE,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::probe::Probed;

    fn by(verdict: Option<Verdict>) -> ProbedBy {
        let probed = verdict.map(|verdict| Probed {
            to: "fabrikam.test".to_owned(),
            from: None,
            face: "external".to_owned(),
            verdict,
            reached: true,
            stages: Vec::new(),
            targets: Vec::new(),
            ms: 5,
        });
        let why = probed.is_none().then(|| "it doesn't answer".to_owned());
        ProbedBy { server: "edge1.contoso.test".to_owned(), probed, why }
    }

    #[test]
    fn what_is_bad_outweighs_what_is_not_known_and_warnings_are_none() {
        let (good, warning) = (by(Some(Verdict::Good)), by(Some(Verdict::Warning)));
        let (bad, unknown) = (by(Some(Verdict::Bad)), by(None));
        for (all, expected) in [
            (vec![good.clone(), warning.clone()], 0),
            (vec![good.clone(), unknown.clone()], 2),
            (vec![unknown.clone(), bad.clone(), good.clone()], 1),
            (vec![], 2),
        ] {
            assert_eq!(number(&all), expected, "{all:?}");
        }
        assert_eq!(text(&unknown), "edge1.contoso.test: it doesn't answer\n");
        assert!(
            text(&good).starts_with("edge1.contoso.test: fabrikam.test, from the external face: good"),
            "{}",
            text(&good)
        );
    }
}
