//! What comes next after what everybody knows, and when nobody can say.

use api::agent::{Head, Route as Known};
use topology::document::Role;

use super::*;
use crate::ahead::tests::{current, head};

const OURS: &str = "contoso-1";
const POOL1: &str = "pool1.contoso.test";
const POOL2: &str = "pool2.contoso.test";

fn member(role: Role, fqdn: &str, have: Head) -> Heard {
    Heard { fqdn: fqdn.to_owned(), role, have }
}

/// A gateway, and what it goes by.
fn gateway(version: u64, epoch: u64, pool: &str) -> Heard {
    let have = head(&current(version, epoch), "gateway1");
    member(Role::Gateway, "gateway1", Head { route: Known { epoch, pool: pool.to_owned() }, ..have })
}

fn edge(version: u64, epoch: u64, pool: &str) -> Heard {
    Heard { fqdn: "edge1".to_owned(), role: Role::Edge, ..gateway(version, epoch, pool) }
}

/// Of a store at version 3, epoch 2.
fn of(everybody: &[Heard], wish: &Wish) -> Result<(u64, u64, String), RecoverError> {
    next(OURS, &current(3, 2), everybody, wish).map(|next| (next.version, next.epoch, next.pool))
}

#[test]
fn what_comes_next_is_past_all_that_anybody_knows() {
    let none = Wish::default();
    let next = of(&[gateway(7, 4, POOL2), edge(8, 3, POOL1)], &none).expect("it can be told");
    assert_eq!(next, (9, 5, POOL2.to_owned()), "the pool of the latest epoch");
    let topology_only = of(&[gateway(5, 2, POOL1)], &none).expect("it can be told");
    assert_eq!(topology_only, (6, 3, POOL1.to_owned()));
    let without = Wish { without: vec!["edge1".to_owned()], ..Wish::default() };
    assert_eq!(of(&[gateway(7, 4, POOL2), edge(99, 99, POOL1)], &without).expect("it can be told").0, 8);
    assert_eq!(of(&[gateway(7, 4, POOL2), edge(9, 9, POOL1)], &none).expect("it can be told"), (10, 10, POOL2.into()));
}

#[test]
fn who_knows_no_more_is_no_reason() {
    let none = Wish::default();
    for everybody in [vec![], vec![gateway(3, 2, POOL1)], vec![gateway(1, 1, POOL1)]] {
        assert!(matches!(of(&everybody, &none), Err(RecoverError::NotBehind)));
    }
    let without = Wish { without: vec!["gateway1".to_owned()], ..Wish::default() };
    assert!(matches!(of(&[gateway(7, 4, POOL2)], &without), Err(RecoverError::NotBehind)));
}

#[test]
fn members_of_another_installation_are_named_and_nothing_is_done() {
    let mut other = gateway(7, 4, POOL2);
    other.have.installation = "tailspin-1".to_owned();
    let refused = of(&[edge(7, 4, POOL2), other], &Wish::default()).expect_err("another's");
    assert!(refused.to_string().starts_with("gateway1 is a member of the installation tailspin-1"), "{refused}");
}

#[test]
fn whoever_says_that_nothing_comes_after_is_named() {
    let refused = of(&[gateway(7, 4, POOL2), edge(u64::MAX, 4, POOL2)], &Wish::default()).expect_err("endless");
    assert_eq!(
        refused.to_string(),
        format!("edge1 says that it goes by version {}, after which nothing comes", u64::MAX)
    );
}

#[test]
fn where_members_are_divided_or_the_pool_is_gone_somebody_says_what_counts() {
    let both = [gateway(7, 4, POOL1), Heard { fqdn: "gateway2".to_owned(), ..gateway(7, 4, POOL2) }];
    let divided = of(&both, &Wish::default()).expect_err("two pools");
    assert!(matches!(&divided, RecoverError::Divided { epoch: 4, pools } if *pools == [POOL1, POOL2]), "{divided}");
    let said = Wish { pool: Some(POOL2.to_owned()), ..Wish::default() };
    assert_eq!(of(&both, &said).expect("it was said").2, POOL2);
    // Published after the backup, with a pool that this document doesn't have.
    let gone = of(&[gateway(7, 4, "pool9.contoso.test")], &Wish::default()).expect_err("no such pool");
    assert!(matches!(gone, RecoverError::RouteLost(pool) if pool == "pool9.contoso.test"));
    let faulty = Wish { document: Some("[installation]".to_owned()), ..Wish::default() };
    assert!(matches!(of(&both, &faulty), Err(RecoverError::Faulty(_))));
}
