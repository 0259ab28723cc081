//! The two machines joined by a fake wire that cuts bytes wherever it likes.

use super::*;

#[test]
fn external_over_starttls_carries_a_stanza_verbatim() {
    let outcome = join(&World::new(STRICT), &[HELLO]);
    assert_eq!(outcome.ready, Some(Method::External));
    assert_eq!(outcome.authenticated, [(pair(), Method::External)]);
    assert_eq!(outcome.stanzas, [HELLO]);
    assert_eq!((outcome.dialed_end, outcome.accepted_end), (None, None));
}

#[test]
fn direct_tls_and_no_tls_work_where_terms_allow() {
    let outcome = join(&World { direct_tls: true, ..World::new(STRICT) }, &[HELLO]);
    assert_eq!((outcome.ready, outcome.stanzas.len()), (Some(Method::External), 1));
    let outcome = join(&World::new(NO_TLS), &[HELLO]);
    assert_eq!((outcome.ready, outcome.stanzas.len()), (Some(Method::Dialback), 1));
}

#[test]
fn a_bad_certificate_falls_to_dialback_only_where_terms_allow() {
    let bad = || Err("expired".to_owned());
    let outcome = join(&World { dialed_certificate: bad(), ..World::new(USUAL) }, &[HELLO]);
    assert_eq!((outcome.ready, outcome.stanzas.len()), (Some(Method::Dialback), 1));
    let outcome = join(&World { dialed_certificate: bad(), ..World::new(STRICT) }, &[HELLO]);
    assert_eq!((outcome.ready, outcome.stanzas.len()), (None, 0));
    assert!(matches!(outcome.accepted_end, Some(End::OurError(error)) if error.text.contains("expired")));
    let outcome = join(&World { accepted_certificate: bad(), ..World::new(STRICT) }, &[HELLO]);
    assert_eq!(outcome.authenticated, []);
    assert!(matches!(outcome.dialed_end, Some(End::OurError(error)) if error.condition == Condition::NotAuthorized));
}

#[test]
fn a_key_that_is_invalid_or_cannot_be_verified_carries_nothing() {
    for (key, condition) in [
        (KeyVerdict::Invalid, Condition::NotAuthorized),
        (KeyVerdict::Unreachable("no route".into()), Condition::RemoteConnectionFailed),
    ] {
        let outcome =
            join(&World { key, dialed_certificate: Err("self-signed".into()), ..World::new(USUAL) }, &[HELLO]);
        assert_eq!((outcome.ready, outcome.authenticated.len()), (None, 0));
        assert!(matches!(outcome.dialed_end, Some(End::OurError(error)) if error.condition == condition));
    }
}

#[test]
fn bytes_may_be_split_anywhere() {
    let untrusted = World { dialed_certificate: Err("self-signed".into()), ..World::new(USUAL) };
    let direct = World { direct_tls: true, ..World::new(STRICT) };
    for (world, method) in [
        (World::new(STRICT), Method::External),
        (direct, Method::External),
        (untrusted, Method::Dialback),
        (World::new(NO_TLS), Method::Dialback),
    ] {
        let parts = (1..80).map(|piece| World { piece, ..world.clone() });
        // No side says more than that until a stanza arrived.
        for world in parts.chain((1..2000).map(|cut| World { cut, ..world.clone() })) {
            let outcome = join(&world, &[HELLO, HELLO]);
            let World { piece, cut, .. } = world;
            assert_eq!((outcome.ready, outcome.stanzas.len()), (Some(method), 2), "piece {piece}, cut {cut}");
            assert_eq!((&*outcome.stanzas[0], &*outcome.stanzas[1]), (HELLO, HELLO));
            assert_eq!((outcome.dialed_end, outcome.accepted_end), (None, None));
        }
    }
}

#[test]
fn what_is_required_is_not_replaced() {
    const EXTERNAL: Terms = Terms { tls: Need::Required, external: Need::Required, dialback: true };
    let bad = || Err("expired".to_owned());
    for world in [
        World { dialed_certificate: bad(), ..World::new(EXTERNAL) },
        World { dialed_certificate: bad(), dialed_terms: USUAL, ..World::new(EXTERNAL) },
        World { dialed_certificate: bad(), accepted_terms: USUAL, ..World::new(EXTERNAL) },
        World { accepted_certificate: bad(), accepted_terms: USUAL, ..World::new(EXTERNAL) },
        World { dialed_terms: USUAL, ..World::new(NO_TLS) },
        World { accepted_terms: USUAL, ..World::new(NO_TLS) },
    ] {
        let outcome = join(&world, &[HELLO]);
        assert_eq!((outcome.ready, outcome.authenticated.len(), outcome.stanzas.len()), (None, 0, 0), "{outcome:?}");
        assert!(outcome.dialed_end.is_some() && outcome.accepted_end.is_some(), "{outcome:?}");
    }
}
