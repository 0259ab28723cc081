//! What came of a test, in words and for programs.

use std::fmt::Write as _;

use serde::Serialize;
use xmpp::jid::domain_of;

use super::login::How;
use super::trouble::Told;

/// What came of a test.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Tested {
    /// Whether both messages arrived.
    pub(crate) good: bool,
    /// The accounts, with how they were logged in.
    pub(crate) accounts: Vec<Entered>,
    /// Both directions; none where an account wasn't logged in.
    pub(crate) ways: Vec<Way>,
}

/// An account.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entered {
    pub(crate) jid: String,
    /// Where its server is.
    pub(crate) server: Option<String>,
    /// The version of TLS.
    pub(crate) tls: Option<String>,
    /// By which SASL mechanism.
    pub(crate) mechanism: Option<String>,
    /// How long it took, in milliseconds.
    pub(crate) ms: Option<u64>,
    /// Why it wasn't logged in.
    pub(crate) trouble: Option<Told>,
}

/// A direction.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Way {
    pub(crate) from: String,
    pub(crate) to: String,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
    /// The likeliest cause where it didn't arrive.
    pub(crate) cause: Option<String>,
    /// What to do then.
    pub(crate) fix: Option<String>,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "outcome")]
pub(crate) enum Outcome {
    /// It is where it should be, after so many milliseconds.
    Arrived { ms: u64 },
    /// Its sender has it back with this condition, after so many milliseconds.
    Returned { ms: u64, condition: String, text: Option<String> },
    /// It neither arrived nor came back for so many seconds.
    Nothing { seconds: u64 },
    /// It can't be told.
    Unknown { what: String },
}

impl Entered {
    pub(super) fn new(jid: &str, how: Result<&How, Told>) -> Entered {
        let (how, trouble) = match how {
            Ok(how) => (Some(how), None),
            Err(told) => (None, Some(told)),
        };
        Entered {
            jid: jid.to_owned(),
            server: how.map(|how| how.server.clone()),
            tls: how.map(|how| how.tls.clone()),
            mechanism: how.map(|how| how.mechanism.to_owned()),
            ms: how.map(|how| how.ms),
            trouble,
        }
    }

    /// In words, a line; more where it wasn't logged in.
    pub(crate) fn line(&self) -> String {
        match (&self.trouble, &self.server, &self.tls, &self.mechanism) {
            (Some(told), ..) => {
                format!("{}: not logged in: {}\n{}", self.jid, told.what, advice(&told.cause, &told.fix))
            }
            (None, Some(server), Some(tls), Some(mechanism)) => {
                format!("{}: logged in at {server} with {tls} and {mechanism}\n", self.jid)
            }
            _ => format!("{}: not logged in\n", self.jid),
        }
    }
}

impl Outcome {
    /// In words.
    pub(crate) fn words(&self) -> String {
        match self {
            Outcome::Arrived { ms } => format!("sent, arrived after {ms} ms"),
            Outcome::Returned { ms, condition, text } => {
                let text = text.as_deref().filter(|text| !text.is_empty());
                let text = text.map(|text| format!(" ({text})")).unwrap_or_default();
                format!("sent, came back after {ms} ms with {condition}{text}")
            }
            Outcome::Nothing { seconds } => format!("sent, neither arrived nor came back for {seconds} s"),
            Outcome::Unknown { what } => format!("it can't be told: {what}"),
        }
    }
}

impl Tested {
    /// Of accounts of which one wasn't logged in.
    pub(super) fn outside(accounts: Vec<Entered>) -> Tested {
        Tested { good: false, accounts, ways: Vec::new() }
    }

    /// Of both directions.
    pub(super) fn of(accounts: Vec<Entered>, outcomes: &[Outcome; 2]) -> Tested {
        let good = outcomes.iter().all(arrived);
        let (one, other) = (accounts[0].jid.clone(), accounts[1].jid.clone());
        let way = |from: &str, to: &str, outcome: &Outcome, back: &Outcome| {
            let (cause, fix) = likeliest(outcome, back, domain_of(from), domain_of(to)).unzip();
            Way { from: from.to_owned(), to: to.to_owned(), outcome: outcome.clone(), cause, fix }
        };
        let [there, back] = outcomes;
        let ways = vec![way(&one, &other, there, back), way(&other, &one, back, there)];
        Tested { good, accounts, ways }
    }

    /// The exit status: 0 where both arrived, 1 where one surely didn't, 2 where it can't be told.
    pub(crate) fn status(&self) -> u8 {
        let failed = |way: &Way| matches!(way.outcome, Outcome::Returned { .. } | Outcome::Nothing { .. });
        match self.good {
            true => 0,
            false if self.ways.iter().any(failed) => 1,
            false => 2,
        }
    }

    /// For a person.
    pub(crate) fn text(&self) -> String {
        let mut text: String = self.accounts.iter().map(Entered::line).collect();
        for Way { from, to, outcome, cause, fix } in &self.ways {
            let _ = writeln!(text, "{from} -> {to}: {}", outcome.words());
            if let (Some(cause), Some(fix)) = (cause, fix) {
                text += &advice(cause, fix);
            }
        }
        text
    }
}

fn advice(cause: &str, fix: &str) -> String {
    format!("  cause: {cause}\n  fix: {fix}\n")
}

fn arrived(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Arrived { .. })
}

/// The likeliest cause of an outcome, beside that of the other direction, and what to do; nothing where it arrived.
fn likeliest(outcome: &Outcome, back: &Outcome, from: &str, to: &str) -> Option<(String, String)> {
    let probe =
        |domain: &str| format!("`fedge probe {domain}` says how far its servers can be reached, and why not further");
    Some(match outcome {
        Outcome::Arrived { .. } => return None,
        Outcome::Unknown { .. } => {
            let cause = "a server ended the session, or the connection to it broke".to_owned();
            (cause, format!("try again; look into the logs of the servers of {from} and {to}"))
        }
        Outcome::Nothing { .. } if arrived(back) => (
            format!(
                "the other direction works: a server's rule drops messages of strangers without a word, or somebody \
                 between {from} and {to} holds them because {to} takes no new streams"
            ),
            format!("{}; look for rules on strangers in the server of {to}", probe(to)),
        ),
        Outcome::Nothing { .. } => (
            "it is held on the way while a server isn't reached; it comes back when that has lasted too long"
                .to_owned(),
            format!("{}; `fedge route verify` says whether the pool that has the route serves", probe(to)),
        ),
        Outcome::Returned { condition, .. } => match condition.as_str() {
            "remote-server-not-found" => (
                format!("no server answers for {to} where {from} asks, or none is let in there"),
                format!("{}; inside, {to} must lead to the gateways: docs/dns.md", probe(to)),
            ),
            "remote-server-timeout" => (format!("the servers of {to} weren't reached in time"), probe(to)),
            "not-allowed" | "policy-violation" | "forbidden" => (
                format!("a policy between {from} and {to} forbids it"),
                format!(
                    "see whether {to} is a partner in the topology (`fedge topology show`), and ask whose policy it is"
                ),
            ),
            "resource-constraint" => (
                "a connection broke after it was written, or too much waits already".to_owned(),
                format!("try again; `fedge status` says what is wrong, and {}", probe(to)),
            ),
            "service-unavailable" | "item-not-found" | "gone" | "recipient-unavailable" => (
                format!("the server of {to} was reached, and gives this account no messages of strangers"),
                format!(
                    "allow messages from {from} to it, in the rules of the server of {to} or the account's block list"
                ),
            ),
            _ => (format!("the server of {from}, of {to} or one between has its own rule"), probe(to)),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tested(one: Outcome, other: Outcome) -> Tested {
        let how =
            How { server: "10.0.0.2:5222".to_owned(), tls: "TLSv1_3".to_owned(), mechanism: "SCRAM-SHA-256", ms: 12 };
        let accounts = ["ann@contoso.test", "bob@fabrikam.test"].map(|jid| Entered::new(jid, Ok(&how)));
        Tested::of(accounts.into(), &[one, other])
    }

    fn returned(condition: &str) -> Outcome {
        Outcome::Returned { ms: 5, condition: condition.to_owned(), text: Some("no way".to_owned()) }
    }

    #[test]
    fn the_status_tells_what_failed_from_what_is_not_known() {
        let (good, none) = (Outcome::Arrived { ms: 40 }, Outcome::Nothing { seconds: 30 });
        let unknown = Outcome::Unknown { what: "it ended".to_owned() };
        for (one, other, expected) in [
            (good.clone(), good.clone(), 0),
            (good.clone(), none.clone(), 1),
            (returned("gone"), good.clone(), 1),
            (good.clone(), unknown.clone(), 2),
            (none, unknown, 1),
        ] {
            let tested = tested(one, other);
            assert_eq!(tested.status(), expected, "{tested:?}");
        }
        assert_eq!(Tested::outside(Vec::new()).status(), 2);
    }

    #[test]
    fn whatever_did_not_arrive_has_a_cause_and_something_to_do() {
        let tested = tested(returned("remote-server-not-found"), Outcome::Nothing { seconds: 30 });
        let text = tested.text();
        assert!(
            text.starts_with(
                "ann@contoso.test: logged in at 10.0.0.2:5222 with TLSv1_3 and SCRAM-SHA-256\n\
                 bob@fabrikam.test: logged in at 10.0.0.2:5222 with TLSv1_3 and SCRAM-SHA-256\n\
                 ann@contoso.test -> bob@fabrikam.test: sent, came back after 5 ms with remote-server-not-found (no way)\n  \
                 cause: no server answers for fabrikam.test"
            ),
            "{text}"
        );
        assert_eq!(text.matches("cause: ").count(), 2, "{text}");
        for condition in ["remote-server-timeout", "not-allowed", "resource-constraint", "gone", "something-else"] {
            let (cause, fix) = likeliest(&returned(condition), &Outcome::Arrived { ms: 1 }, "a.test", "b.test").unzip();
            assert!(cause.is_some_and(|cause| !cause.is_empty()) && fix.is_some_and(|fix| !fix.is_empty()));
        }
    }

    #[test]
    fn programs_read_it() {
        let tested = tested(Outcome::Arrived { ms: 40 }, returned("gone"));
        let json = serde_json::to_value(&tested).expect("JSON");
        assert_eq!(json["good"], false);
        assert_eq!(json["accounts"][0]["mechanism"], "SCRAM-SHA-256");
        assert_eq!((&json["ways"][0]["outcome"], &json["ways"][0]["ms"]), (&"arrived".into(), &40.into()));
        assert_eq!((&json["ways"][1]["outcome"], &json["ways"][1]["condition"]), (&"returned".into(), &"gone".into()));
    }
}
