//! Snapshots on disk: whatever comes and whatever breaks, a member never goes back.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use api::agent::{Route, Snapshot};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::succession::accept;

const OWN: &str = "edge1.contoso.test";

fn kept(version: u64, epoch: u64, content: &str) -> Kept {
    let route = Route { epoch, pool: format!("pool{}.contoso.test", epoch % 3) };
    Kept::new("contoso-1", OWN, (version, &format!("topology {version}")), route, content.to_owned())
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn open(folder: &TempDir) -> (State, Found) {
    State::open(folder.path()).expect("it can be used")
}

#[test]
fn what_was_kept_is_there_after_a_restart_and_for_nobody_else() {
    let folder = folder();
    let (mut state, found) = open(&folder);
    assert!(found.snapshot.is_none() && found.concerns.is_empty());
    state.keep(&kept(1, 1, "first")).expect("kept");
    state.keep(&kept(2, 1, "{\n second\n}")).expect("kept");
    let mode = fs::metadata(folder.path().join(SNAPSHOT)).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "there are secrets in it");
    drop(state);
    let (_state, found) = open(&folder);
    assert_eq!(found.snapshot, Some(kept(2, 1, "{\n second\n}")));
    assert!(found.concerns.is_empty(), "{:?}", found.concerns);
}

#[test]
fn one_process_at_a_time() {
    let folder = folder();
    let (state, _) = open(&folder);
    assert!(matches!(State::open(folder.path()), Err(StateError::InUse(_))));
    drop(state);
    open(&folder);
}

#[test]
fn a_damaged_snapshot_is_named_and_the_one_before_used() {
    let folder = folder();
    let file = folder.path().join(SNAPSHOT);
    let (mut state, _) = open(&folder);
    state.keep(&kept(1, 1, "first")).expect("kept");
    state.keep(&kept(2, 2, "second")).expect("kept");
    drop(state);
    let good = fs::read(&file).expect("it is there");
    let mut flipped = good.clone();
    *flipped.last_mut().expect("not empty") ^= 1;
    for bad in [&b""[..], b"\xff\xfe", &good[..good.len() - 1], &good[..20], &[&good[..], b" "].concat(), &flipped] {
        fs::write(&file, bad).expect("written");
        let (mut state, found) = open(&folder);
        assert_eq!(found.snapshot, Some(kept(1, 1, "first")));
        assert!(found.concerns[0].contains("isn't what was written"), "{:?}", found.concerns);
        assert!(found.concerns[1].contains("version 1 of the topology and epoch 1"), "{:?}", found.concerns);
        // The damaged one doesn't take the place of the good one.
        state.keep(&kept(3, 3, "third")).expect("kept");
        assert_eq!(read(&folder.path().join(PREVIOUS)), Ok(Some(kept(1, 1, "first"))));
    }
    fs::write(&file, b"").expect("written");
    fs::write(folder.path().join(PREVIOUS), b"").expect("written");
    let (_state, found) = open(&folder);
    assert!(found.snapshot.is_none() && found.concerns.len() == 2, "{:?}", found.concerns);
}

#[test]
fn what_cannot_be_written_leaves_what_was_there() {
    let folder = folder();
    let (mut state, _) = open(&folder);
    state.keep(&kept(1, 1, "first")).expect("kept");
    // As on a full disk, the file beside it can't be made.
    fs::create_dir(folder.path().join("snapshot.new")).expect("made");
    let error = state.keep(&kept(2, 2, "second")).expect_err("a folder is in the way");
    assert!(error.to_string().contains("the disk have room"), "{error}");
    drop(state);
    let (_state, found) = open(&folder);
    assert_eq!(found.snapshot, Some(kept(1, 1, "first")));
}

#[test]
fn content_is_sent_once() {
    let have = kept(1, 1, "content");
    let moved = kept(1, 2, "content");
    let head_only = Snapshot { head: moved.head.clone(), content: None };
    assert_eq!(Kept::of(head_only.clone(), Some(&have)), Ok(moved.clone()));
    assert_eq!(Kept::of(head_only, None), Err(Incomplete::Missing(moved.head.content)));
    let lie = Snapshot { head: moved.head, content: Some("contenT".to_owned()) };
    assert!(matches!(Kept::of(lie, Some(&have)), Err(Incomplete::Damaged { .. })));
}

/// What may happen to a member.
#[derive(Debug, Clone)]
enum Event {
    Offered {
        version: u64,
        epoch: u64,
        forged: bool,
        foreign: bool,
    },
    Restarted,
    /// The machine stopped while the next file was being written.
    Torn(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let offered = (0..9_u64, 0..9_u64, proptest::bool::weighted(0.1), proptest::bool::weighted(0.1));
    prop_oneof![
        8 => offered.prop_map(|(version, epoch, forged, foreign)| Event::Offered { version, epoch, forged, foreign }),
        1 => Just(Event::Restarted),
        1 => (0..400_usize).prop_map(Event::Torn),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn no_history_ever_goes_back(events in proptest::collection::vec(event(), 1..40)) {
        let folder = folder();
        let (mut state, found) = open(&folder);
        let mut have = found.snapshot;
        let mut highest = (0, 0);
        for event in events {
            match event {
                Event::Offered { version, epoch, forged, foreign } => {
                    let mut offered = kept(version, epoch, &format!("{version} {}", epoch % 2));
                    if forged {
                        offered.head.topology = sha256(b"forged");
                    }
                    if foreign {
                        offered.head.installation = "tailspin-1".to_owned();
                    }
                    let before = have.clone();
                    let taken = accept(OWN, have.as_ref().map(|have| &have.head), &offered.head).is_ok();
                    if taken {
                        state.keep(&offered).expect("kept");
                        have = Some(offered.clone());
                    }
                    if let Some(before) = before {
                        let forward = version >= highest.0 && epoch >= highest.1;
                        let same_topology = version > highest.0 || offered.head.topology == before.head.topology;
                        let same_installation = offered.head.installation == before.head.installation;
                        prop_assert_eq!(taken, forward && same_topology && same_installation);
                    }
                    if taken {
                        highest = (version, epoch);
                    }
                }
                Event::Restarted => {
                    drop(state);
                    let (opened, found) = open(&folder);
                    prop_assert_eq!(&found.snapshot, &have);
                    prop_assert!(found.concerns.is_empty());
                    state = opened;
                }
                Event::Torn(bytes) => {
                    drop(state);
                    fs::write(folder.path().join("snapshot.new"), vec![b'x'; bytes]).expect("written");
                    let (opened, found) = open(&folder);
                    prop_assert_eq!(&found.snapshot, &have);
                    state = opened;
                }
            }
            let standing = have.as_ref().map_or((0, 0), |have| (have.head.version, have.head.route.epoch));
            prop_assert_eq!(standing, highest);
        }
    }
}
