//! DNS that loops, lies, fails, is late or silent: every wait is bounded, what can be used is used, and the
//! next question is a new one.

use std::time::{Duration, Instant};

use testkit::lab_dns::{LabDns, Misbehaviour};
use testkit::place::Place;

use super::rig::{BOUND, Rig, domain, with_dns};
use net::resolve::{ResolveError, Resolver};

const ONE: &str = "one.fabrikam.test";
const TWO: &str = "two.fabrikam.test";
const FABRIKAM: &str = "fabrikam.test";
const STARTTLS: &str = "_xmpp-server._tcp.fabrikam.test";
const DIRECT_TLS: &str = "_xmpps-server._tcp.fabrikam.test";
/// What may be lost where something else can be dialed: little, also on a busy machine.
const A_MOMENT: Duration = Duration::from_secs(3);
const LATE: Misbehaviour = Misbehaviour::Late(Duration::from_secs(30));

#[test]
fn loops() {
    with_dns(async |rig| {
        rig.dns.alias(STARTTLS, DIRECT_TLS);
        rig.dns.alias(DIRECT_TLS, STARTTLS);
        let (targets, took) = rig.timed().await;
        let error = targets.expect_err("a loop");
        assert!(took < BOUND, "{took:?}");
        assert!(error.to_string().contains(FABRIKAM), "{error}");
    });
    with_dns(async |rig| {
        rig.dns.srv(FABRIKAM, &[(1, 0, 5269, "a.test"), (2, 0, 5269, ONE)]);
        rig.dns.alias("a.test", "b.test");
        rig.dns.alias("b.test", "a.test");
        rig.address(ONE, &["127.0.4.1"]);
        let (targets, took) = rig.timed().await;
        assert_eq!(targets.expect("the other one"), ["one.fabrikam.test 127.0.4.1:5269"]);
        assert!(took < BOUND, "{took:?}");
    });
}

/// All misbehaviours that leave a question without an answer that can be used.
const USELESS: [Misbehaviour; 5] =
    [Misbehaviour::Silent, LATE, Misbehaviour::WrongId, Misbehaviour::WrongQuestion, Misbehaviour::ServFail];

/// Does `work` with a DNS for each of them, all at the same time: most of it is waiting.
fn with_each<F: Future<Output = ()>>(work: impl Fn(Rig, Misbehaviour) -> F + Copy + Send + 'static) {
    let cases = USELESS.map(|misbehaviour| {
        std::thread::spawn(move || {
            with_dns(async move |rig| {
                println!("{misbehaviour:?}");
                work(rig, misbehaviour).await;
            });
        })
    });
    for case in cases {
        case.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
}

#[test]
fn no_answer_for_either_service() {
    with_each(async |rig, misbehaviour| {
        // Would be a guess.
        rig.address(FABRIKAM, &["127.0.4.9"]);
        rig.address(ONE, &["127.0.4.1"]);
        rig.dns.srv(FABRIKAM, &[(1, 0, 5269, ONE)]);
        rig.dns.misbehave(STARTTLS, misbehaviour);
        let (targets, took) = rig.timed().await;
        assert!(took < BOUND, "{misbehaviour:?}: {took:?}");
        let error = targets.expect_err("no answer");
        assert!(!error.is_lasting() && error.to_string().contains(FABRIKAM), "{misbehaviour:?}: {error}");
        rig.dns.behave(STARTTLS);
        assert_eq!(rig.targets().await, ["one.fabrikam.test 127.0.4.1:5269"], "{misbehaviour:?}");
    });
}

#[test]
fn no_answer_for_one_service_costs_a_moment() {
    with_each(async |rig, misbehaviour| {
        rig.address(ONE, &["127.0.4.1"]);
        rig.dns.srv(FABRIKAM, &[(1, 0, 5269, ONE)]);
        rig.dns.misbehave(DIRECT_TLS, misbehaviour);
        let (targets, took) = rig.timed().await;
        assert_eq!(targets.expect("the other one"), ["one.fabrikam.test 127.0.4.1:5269"], "{misbehaviour:?}");
        assert!(took < A_MOMENT, "{misbehaviour:?}: {took:?}");
    });
}

#[test]
fn no_answer_for_one_host_costs_a_moment() {
    with_each(async |rig, misbehaviour| {
        rig.address(ONE, &["127.0.4.1"]);
        rig.address(TWO, &["127.0.4.2"]);
        rig.dns.srv(FABRIKAM, &[(1, 0, 5269, ONE), (2, 0, 5269, TWO)]);
        rig.dns.misbehave(ONE, misbehaviour);
        let (targets, took) = rig.timed().await;
        assert_eq!(targets.expect("the other one"), ["two.fabrikam.test 127.0.4.2:5269"], "{misbehaviour:?}");
        assert!(took < A_MOMENT, "{misbehaviour:?}: {took:?}");
    });
}

#[test]
fn no_answer_for_the_only_host() {
    with_each(async |rig, misbehaviour| {
        rig.address(ONE, &["127.0.4.1"]);
        rig.dns.srv(FABRIKAM, &[(1, 0, 5269, ONE)]);
        rig.dns.misbehave(ONE, misbehaviour);
        let (targets, took) = rig.timed().await;
        assert!(took < BOUND, "{misbehaviour:?}: {took:?}");
        let error = targets.expect_err("no answer");
        assert!(!error.is_lasting() && error.to_string().contains(ONE), "{misbehaviour:?}: {error}");
        rig.dns.behave(ONE);
        assert_eq!(rig.targets().await, ["one.fabrikam.test 127.0.4.1:5269"], "{misbehaviour:?}");
    });
}

#[test]
fn a_little_late_is_in_time() {
    with_dns(async |rig| {
        rig.address(ONE, &["127.0.4.1"]);
        rig.dns.srv(FABRIKAM, &[(1, 0, 5269, ONE)]);
        rig.dns.misbehave(STARTTLS, Misbehaviour::Late(Duration::from_millis(1500)));
        rig.dns.misbehave(ONE, Misbehaviour::Late(Duration::from_millis(1500)));
        let (targets, took) = rig.timed().await;
        assert_eq!(targets.expect("in time"), ["one.fabrikam.test 127.0.4.1:5269"]);
        assert!(took < BOUND, "{took:?}");
    });
}

#[test]
fn what_is_truncated_comes_by_tcp() {
    with_dns(async |rig| {
        rig.address(ONE, &["127.0.4.1"]);
        rig.dns.srv(FABRIKAM, &[(1, 0, 5269, ONE)]);
        for name in [STARTTLS, ONE] {
            rig.dns.misbehave(name, Misbehaviour::Truncated);
        }
        assert_eq!(rig.targets().await, ["one.fabrikam.test 127.0.4.1:5269"]);
        let by_tcp = |name: &str| rig.dns.questions().iter().any(|asked| asked.tcp && asked.name.starts_with(name));
        assert!(by_tcp(STARTTLS) && by_tcp(ONE), "{:?}", rig.dns.questions());
    });
}

#[test]
fn nobody_there() {
    with_dns(async |rig| {
        drop(rig.dns);
        let began = Instant::now();
        let error = rig.resolver.targets(&domain(FABRIKAM), &|_| Ok(())).await.expect_err("no DNS");
        assert!(matches!(error, ResolveError::Failed { .. }) && error.to_string().contains(FABRIKAM), "{error}");
        assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    });
}

#[test]
fn what_belongs_to_another_name_is_not_taken() {
    with_dns(async |rig| {
        rig.address(ONE, &["127.0.4.1"]);
        rig.address(FABRIKAM, &["127.0.4.9"]);
        rig.dns.srv(FABRIKAM, &[(1, 0, 5269, ONE)]);
        rig.dns.misbehave(STARTTLS, Misbehaviour::WrongOwner);
        assert_eq!(rig.targets().await, ["fabrikam.test 127.0.4.9:5269"]);
        rig.dns.behave(STARTTLS);
        rig.dns.misbehave(FABRIKAM, Misbehaviour::WrongOwner);
    });
    with_dns(async |rig| {
        rig.address(ONE, &["127.0.4.1"]);
        rig.dns.srv(FABRIKAM, &[(1, 0, 5269, ONE)]);
        rig.dns.misbehave(ONE, Misbehaviour::WrongOwner);
        let error = rig.error().await;
        assert!(matches!(error, ResolveError::NoAddress { .. }), "{error}");
    });
}

#[test]
fn one_of_two_resolvers_is_silent() {
    let place = Place::isolated().expect("this runs as root");
    let dns = LabDns::start(&place, "127.0.9.1:53".parse().expect("an address")).expect("free");
    let silent = LabDns::start(&place, "127.0.9.2:53".parse().expect("an address")).expect("free");
    for name in [STARTTLS, DIRECT_TLS, ONE] {
        silent.misbehave(name, Misbehaviour::Silent);
    }
    dns.addresses(ONE, &["127.0.4.1".parse().expect("an address")]);
    dns.srv(FABRIKAM, &[(1, 0, 5269, ONE)]);
    place.run(move || async move {
        let resolver = Resolver::new(&[silent.address(), dns.address()]).expect("a resolver");
        let began = Instant::now();
        let targets = resolver.targets(&domain(FABRIKAM), &|_| Ok(())).await.expect("the other one knows");
        assert_eq!(targets[0].address, "127.0.4.1:5269".parse().expect("an address"));
        assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    });
}
