//! What is told of members that are gone, silent, stopped, ahead, or say what they shouldn't.

use std::collections::BTreeMap;
use std::sync::Arc;

use agent::keep::Seen;
use api::agent::{Hello, Role, Validity, WORDS};
use api::control::Wrong;
use api::local::{Service, ServiceState, Status};
use tokio::time::Instant;

use super::*;
use crate::ahead::behind;
use crate::ahead::tests::{current, head};
use crate::publish::Current;
use crate::records::{Enrolled, Secrets};

const EDGE: &str = "edge1.contoso.test";
const GATEWAY: &str = "gateway1.contoso.test";

fn now() -> SystemTime {
    at_second(2_000_000_000)
}

fn days(days: u64) -> u64 {
    2_000_000_000 + days * 24 * 3600
}

fn hello(current: &Current, fqdn: &str, role: Role) -> Hello {
    Hello {
        words: WORDS,
        fqdn: fqdn.to_owned(),
        role,
        program: format!("fedge-{role}"),
        version: "0.1.0".to_owned(),
        have: Some(head(current, fqdn)),
        applied: true,
        confirmed: true,
        certificate: Some(Validity { not_before: 0, not_after: days(60) }),
        concerns: Vec::new(),
    }
}

fn status() -> Status {
    Status {
        program: "fedge-edge".to_owned(),
        version: "0.1.0".to_owned(),
        up_seconds: 5,
        now: None,
        log_level: "info".to_owned(),
        faces: Vec::new(),
        route: None,
        led: None,
        members: Vec::new(),
        concerns: Vec::new(),
        service: Some(Service { state: ServiceState::Running, since: 1_999_999_000, last: None, rested: None }),
        partners: 4,
        certificates: Vec::new(),
        uncovered: Vec::new(),
    }
}

/// A member that is well.
fn well(current: &Current, fqdn: &str, role: Role) -> Seen {
    Seen {
        hello: Some(hello(current, fqdn, role)),
        heard: Some(Instant::now()),
        connected: true,
        problem: None,
        since: now() - Duration::from_secs(100),
        status: Some((status(), now())),
        asked: Some(Instant::now()),
    }
}

/// What is told of the example's members, where the first edge server and the first gateway are enrolled.
struct Told {
    overview: Overview,
    wrong: Vec<Wrong>,
}

impl Told {
    fn of(now_current: &Current, edge: Seen, gateway: Seen) -> Told {
        let enrolled = |fqdn: &str| {
            let who = "anna".to_owned();
            (fqdn.to_owned(), Enrolled { fingerprint: String::new(), at: 0, who })
        };
        let enrolled: BTreeMap<String, Enrolled> = [EDGE, GATEWAY].map(enrolled).into();
        let at = Instant::now() + Duration::from_secs(1);
        let seen: BTreeMap<&str, Seen> = [(EDGE, edge), (GATEWAY, gateway)].into();
        let seen = |fqdn: &str| seen.get(fqdn).cloned();
        let picture = Picture {
            installation: "contoso-1".to_owned(),
            current: Some(Arc::new(now_current.clone())),
            at,
            secrets: Arc::new(Secrets::default()),
            enrolled: Arc::new(enrolled),
            behind: behind("contoso-1", now_current, seen, at),
            blind: None,
        };
        let (overview, findings) = overview(&picture, seen, "ctl1.contoso.test", now()).expect("there is a topology");
        Told { overview, wrong: Noticed::default().date(findings, now()) }
    }

    /// Of an edge server that is so, beside a gateway that is well.
    fn of_edge(edge: impl FnOnce(&mut Seen)) -> Told {
        let current = current(3, 2);
        let mut seen = well(&current, EDGE, Role::Edge);
        edge(&mut seen);
        Told::of(&current, seen, well(&current, GATEWAY, Role::Gateway))
    }

    fn edge(&self) -> &Member {
        let mut members = self.overview.sites.iter().flat_map(|site| &site.pools).flat_map(|pool| &pool.members);
        members.find(|member| member.fqdn == EDGE).expect("it is in the topology")
    }

    fn wrong(&self, at: &str) -> Vec<&str> {
        self.wrong.iter().filter(|wrong| wrong.at == at).map(|wrong| wrong.what.as_str()).collect()
    }

    fn since(&self, at: &str) -> Vec<u64> {
        self.wrong.iter().filter(|wrong| wrong.at == at).map(|wrong| wrong.since / 1000).collect()
    }
}

#[test]
fn of_a_member_that_is_well_everything_is_shown_and_nothing_is_wrong() {
    let told = Told::of_edge(|_| {});
    assert_eq!(told.wrong(EDGE), [""; 0]);
    let edge = told.edge();
    assert_eq!((edge.state.as_str(), edge.service.as_deref(), edge.partners), ("reached", Some("running"), Some(4)));
    assert_eq!((edge.version, edge.epoch, edge.confirmed), (Some(3), Some(2), Some(true)));
    assert_eq!(edge.certificates[0].days_left, 60);
    let others: Vec<&str> = told.wrong.iter().map(|wrong| wrong.what.as_str()).collect();
    assert!(others.iter().all(|what| what.contains("not enrolled")), "{others:?}");
}

#[test]
fn a_stopped_service_is_shown_and_has_been_so_since_it_was_stopped() {
    let told = Told::of_edge(|seen| {
        let (status, _) = seen.status.as_mut().expect("it is there");
        status.service = Some(Service { state: ServiceState::Stopped, since: 1_999_990_000, last: None, rested: None });
    });
    assert_eq!(told.edge().service.as_deref(), Some("stopped"));
    assert!(told.wrong(EDGE)[0].contains("`fedge service start --server edge1.contoso.test`"));
    assert_eq!(told.since(EDGE), [1_999_990_000]);
}

#[test]
fn certificates_are_told_in_time_with_the_day_from_which_on_they_are() {
    let told = Told::of_edge(|seen| {
        let certificate = |name: &str, not_after| local::Certificate {
            used_for: "external".to_owned(),
            name: name.to_owned(),
            not_after,
        };
        let (status, _) = seen.status.as_mut().expect("it is there");
        status.certificates = vec![
            certificate("good.pem", days(14)),
            certificate("soon.pem", days(13)),
            certificate("over.pem", days(0) - 1),
        ];
        seen.hello.as_mut().expect("it is there").certificate = Some(Validity { not_before: 0, not_after: days(20) });
    });
    assert_eq!(
        told.wrong(EDGE),
        [
            "its external certificate over.pem has expired; lay down a new one",
            "its certificate for controllers has 20 days left; no controller has renewed it",
            "its external certificate soon.pem has 13 days left; lay down a new one",
        ]
    );
    assert_eq!(told.since(EDGE)[1], days(20) - 21 * 24 * 3600);
}

#[test]
fn of_who_is_gone_nothing_is_shown_that_it_said_before_but_its_certificates() {
    let told = Told::of_edge(|seen| {
        seen.connected = false;
        seen.problem = Some("it doesn't answer".to_owned());
    });
    let edge = told.edge();
    assert_eq!((edge.state.as_str(), &edge.service, edge.streams, edge.partners), ("unreachable", &None, None, None));
    assert_eq!(told.wrong(EDGE), ["it doesn't answer"]);
    assert_eq!(told.since(EDGE), [1_999_999_900], "since it is gone");
    assert_eq!(edge.certificates.len(), 1);
}

#[test]
fn who_does_not_say_how_it_is_or_lags_behind_is_named() {
    let told = Told::of_edge(|seen| {
        seen.status.as_mut().expect("it is there").1 = now() - Duration::from_secs(40);
        seen.hello.as_mut().expect("it is there").have = Some(head(&current(2, 2), EDGE));
    });
    let wrong = told.wrong(EDGE);
    assert!(wrong[0].contains("doesn't say how it is") && told.since(EDGE)[0] == 1_999_999_960, "{wrong:?}");
    assert!(wrong[1].contains("version 2, epoch 2, and 3, 2 is current"), "{wrong:?}");
}

#[test]
fn a_store_that_is_behind_is_told_once_and_for_the_installation() {
    let (old, new) = (current(3, 2), current(5, 3));
    let told = Told::of(&old, well(&new, EDGE, Role::Edge), well(&new, GATEWAY, Role::Gateway));
    let wrong = told.wrong(&old.topology.installation);
    assert!(wrong[0].contains("`fedge recover`") && wrong[0].contains("edge1.contoso.test, gateway1"), "{wrong:?}");
    assert_eq!(told.wrong(GATEWAY), [""; 0]);
}

#[test]
fn whatever_a_member_says_is_bounded_and_harmless_on_a_terminal() {
    let told = Told::of_edge(|seen| {
        let (status, _) = seen.status.as_mut().expect("it is there");
        status.concerns = (0..1000).map(|number| format!("\u{1b}[2J{number}{}", "x".repeat(10_000))).collect();
        status.service = Some(Service { state: ServiceState::Stopped, since: u64::MAX, last: None, rested: None });
        status.certificates =
            vec![local::Certificate { used_for: "\u{7}".to_owned(), name: String::new(), not_after: u64::MAX }];
        let face = local::FaceStatus {
            face: "external".to_owned(),
            listen: Vec::new(),
            accepted_streams: u64::MAX,
            dialed_streams: u64::MAX,
            places: Some(u64::MAX),
            stanzas: local::Counts::default(),
            errors: 0,
        };
        status.faces = vec![face];
    });
    let wrong = told.wrong(EDGE);
    assert!(wrong.len() < 60 && wrong.iter().all(|what| what.chars().count() <= 600), "{}", wrong.len());
    assert!(wrong.iter().all(|what| !what.contains('\u{1b}')));
    assert_eq!(told.edge().streams, Some(u64::MAX));
    assert!(!told.edge().certificates[1].used_for.contains('\u{7}'));
}
