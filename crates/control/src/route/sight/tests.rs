//! What is made of a member's answer.

use api::agent::{Hello, WORDS};
use api::local::{Counts, FaceStatus, Status};

use super::*;
use crate::ahead::tests::{current, head};

const EDGE: &str = "edge1.contoso.test";
/// When it answered, by the controller's clock.
const AT: u64 = 2_000_000_000;

fn facts(status: Status) -> Facts {
    let current = current(1, 1);
    let have = head(&current, EDGE);
    let hello = Hello {
        words: WORDS,
        fqdn: EDGE.to_owned(),
        role: api::agent::Role::Edge,
        program: "fedge-edge".to_owned(),
        version: "0.1.0".to_owned(),
        have: Some(have.clone()),
        applied: true,
        confirmed: true,
        certificate: None,
        concerns: Vec::new(),
    };
    let began = Instant::now();
    let seen = Seen {
        hello: Some(hello),
        heard: Some(began),
        connected: true,
        status: Some((status, UNIX_EPOCH + Duration::from_secs(AT))),
        ..Seen::nothing(UNIX_EPOCH)
    };
    let sight = Sight::of(&current, |_| Some(have.clone()), |fqdn| (fqdn == EDGE).then(|| seen.clone()), began);
    sight.members[EDGE].clone()
}

fn status(more: &str) -> Status {
    let text = format!(
        r#"{{"program":"fedge-edge","version":"0.1.0","up_seconds":1,"log_level":"info","route":null,"members":[],
            "concerns":[]{more}}}"#
    );
    serde_json::from_str(&text).expect("a status")
}

fn face(name: &str, accepted_streams: u64, places: Option<u64>) -> FaceStatus {
    let (listen, stanzas) = (Vec::new(), Counts::default());
    FaceStatus { face: name.to_owned(), listen, accepted_streams, dialed_streams: 0, places, stanzas, errors: 0 }
}

#[test]
fn a_clock_is_compared_with_ours_at_the_time_of_the_answer() {
    let clock = |now: u64| facts(status(&format!(r#","faces":[],"now":{now}"#))).clock;
    assert_eq!(clock(AT + 75), Some(75));
    assert_eq!(clock(AT - 75), Some(-75));
    assert!(clock(u64::MAX).is_some_and(|clock| clock > 0));
}

#[test]
fn what_older_versions_do_not_tell_is_unknown() {
    let old = facts(status(
        r#","faces":[{"face":"external","listen":[],"accepted_streams":3,"dialed_streams":1,
           "stanzas":{"accepted":0,"taken":0,"returned":0,"failed":0,"in_flight":0}}]"#,
    ));
    assert!(old.reached);
    assert_eq!((old.clock, old.streams, old.places), (None, 3, None));
}

#[test]
fn places_are_those_of_the_face_for_partners() {
    let mut told = status(r#","faces":[]"#);
    told.faces = vec![face("internal", 9, Some(90)), face("external", 4, Some(40))];
    let told = facts(told);
    assert_eq!((told.streams, told.places), (4, Some(40)));
}
