//! Disks that are full during a move: the store's before it is begun, before its commit and after it, and a member's when the new
//! route comes. Nothing is lost, what isn't done is said, and with room again all goes on by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::route::State;
use testkit::disk::{Disk, Full, apart};
use testkit::lab::installation::{CONTROLLERS, Installation, fqdn, members_of};

use crate::faults::{at, commits_follow, rested};
use crate::load::{assert_unnoticed, epochs, installation, talking};
use crate::moments::struck_at;
use crate::moves::{carrying, operations, route};

/// Much more than a store or a state of this size takes.
const MEGABYTES: usize = 32;
/// A driver tries again each second; a machine that does much else gets more.
const SOON: Duration = Duration::from_secs(60);
/// So often it is tried to hit a moment.
const TRIES: usize = 8;

fn other(lab: &Installation) -> &'static str {
    if at(lab).0 == fqdn("pool1") { "pool2" } else { "pool1" }
}

/// Lets the controllers keep their store on a small disk of its own; gives the disk and the store's file.
fn on_a_small_disk(lab: &mut Installation) -> (Disk, PathBuf) {
    CONTROLLERS.into_iter().for_each(|one| lab.end(one).expect("it ends"));
    fold(&lab.folder().join("store.db"));
    let folder = lab.folder().join("store");
    fs::create_dir(&folder).expect("a folder");
    let (before, file) = (lab.folder().join("store.db"), folder.join("store.db"));
    fs::rename(&before, &file).expect("nobody has it");
    for controller in CONTROLLERS {
        let configuration = lab.folder().join(controller).join("fedge.toml");
        let text = fs::read_to_string(&configuration).expect("a configuration");
        let moved = text.replace(&before.display().to_string(), &file.display().to_string());
        assert_ne!(text, moved);
        fs::write(&configuration, moved).expect("it is written");
    }
    let disk = Disk::under(&folder, MEGABYTES).expect("a disk");
    begin_controllers(lab);
    (disk, file)
}

fn begin_controllers(lab: &mut Installation) {
    CONTROLLERS.into_iter().for_each(|one| lab.begin(one).expect("it starts"));
    lab.wait_until_well().expect("all is well");
}

/// Puts what SQLite keeps beside its file, where it writes first, into the file; nobody else may have it open.
fn fold(store: &Path) {
    drop(store::open(&format!("sqlite:{}", store.display())).expect("a store"));
    let beside = PathBuf::from(format!("{}-wal", store.display()));
    assert!(!beside.exists(), "somebody still has {}", store.display());
}

/// SQLite writes over what it wrote beside its file before, and needs no room for that: it begins there anew.
fn started_anew(lab: &mut Installation, store: &Path) {
    CONTROLLERS.into_iter().for_each(|one| lab.end(one).expect("it ends"));
    fold(store);
    begin_controllers(lab);
}

/// Nothing can be begun: it is said why and what to do, and afterwards it is begun as if nothing had been.
fn full_before_it_is_begun(lab: &mut Installation, (disk, store): (&Disk, &Path)) {
    started_anew(lab, store);
    let ((pool, epoch), to, before) = (at(lab), other(lab), operations(lab).len());
    let full = disk.fill().expect("it can be filled");
    let (status, told) = route(lab, &["switchover", "--to", &fqdn(to), "--why", "no room"]);
    assert_ne!(status, Some(0), "{told}");
    assert!(told.contains("disk is full") && told.contains("make room"), "{told}");
    assert!(told.contains("nothing was changed"), "{told}");
    assert_eq!((at(lab), operations(lab).len()), ((pool, epoch), before));
    drop(full);
    let (status, told) = route(lab, &["switchover", "--to", &fqdn(to), "--why", "room again"]);
    assert_eq!(status, Some(0), "{told}");
    assert_eq!(at(lab), (fqdn(to), epoch + 1));
}

/// The disk is full from that moment of a move on. Gives whether the moment was hit; the operation went on then as soon as there
/// was room.
fn full_at(lab: &mut Installation, (disk, store): (&Disk, &Path), moment: &[State]) -> bool {
    started_anew(lab, store);
    let ((pool, epoch), to) = (at(lab), other(lab));
    let target = fqdn(to);
    let arguments = ["switchover", "--to", &target, "--no-wait", "--why", "no room amidst it"];
    let mut full: Option<Full> = None;
    let hit = struck_at(lab, store, &arguments, moment, || full = Some(disk.fill().expect("it can be filled")));
    if let Some(state) = hit {
        let driver = lab.daemons.get_mut(CONTROLLERS[0]).expect("it runs");
        let line = driver.wait_for_line("an operation can't be driven on now", SOON).expect("it tries");
        assert!(line.contains("disk is full"), "{line}");
        // Reading goes on: it is known how far it is, and members are told of what is committed.
        assert_eq!(operations(lab)[0]["state"], state.word());
        if state.is_committed() {
            assert_eq!(at(lab), (target.clone(), epoch + 1));
            lab.wait_for("members going by the new route", |status| {
                epochs(status).len() == 7 && epochs(status).into_iter().all(|known| known == epoch + 1)
            })
            .expect("it comes about");
            assert!(carrying(lab).contains(&to), "what is said inside goes by it");
        } else {
            assert_eq!(at(lab), (pool, epoch));
        }
        drop(full);
    } else {
        println!("missed {moment:?}");
    }
    let last = rested(lab, &["done", "rolled-back", "degraded"]);
    assert_eq!((at(lab), last["state"].as_str()), ((target, epoch + 1), Some("done")), "{last:#}");
    hit.is_some()
}

/// A gateway and an edge server of the target can't keep the new route: they say so and stay with the old one, the others go by
/// the new one, and with room again so do they.
fn members_without_room(lab: &mut Installation) {
    let (epoch, to) = (at(lab).1, other(lab));
    let edge = if to == "pool1" { "edge1" } else { "edge3" };
    let both = ["gateway1", edge];
    let disks = both.map(|member| {
        lab.end(member).expect("it ends");
        let disk = Disk::under(&lab.folder().join(member).join("state"), 1).expect("a disk");
        lab.begin(member).expect("it starts");
        disk
    });
    lab.wait_until_well().expect("all is well");
    let full = disks.each_ref().map(|disk| disk.fill().expect("it can be filled"));
    let (_, told) = route(lab, &["switchover", "--to", &fqdn(to), "--why", "no room at members"]);
    assert_eq!(at(lab), (fqdn(to), epoch + 1), "{told}");
    lab.wait_for("who has no room being told of", |status| {
        let wrong: Vec<_> = status["wrong"].as_array().into_iter().flatten().collect();
        both.iter().all(|member| {
            let of_it = |one: &&&serde_json::Value| one["at"] == fqdn(member);
            wrong
                .iter()
                .filter(of_it)
                .any(|one| one["what"].as_str().is_some_and(|what| what.contains("the disk have room")))
        })
    })
    .expect("it comes about");
    let known = |status: &serde_json::Value, member: &str| {
        members_of(status).find(|one| one["fqdn"] == fqdn(member)).and_then(|one| one["epoch"].as_u64())
    };
    let now = lab.status().expect("a status");
    assert_eq!(both.map(|member| known(&now, member)), [Some(epoch); 2], "on disk first, and only then gone by");
    drop(full);
    lab.wait_for("everybody going by the new route", |status| {
        epochs(status).len() == 7 && epochs(status).into_iter().all(|known| known == epoch + 1)
    })
    .expect("it comes about");
    rested(lab, &["done"]);
    assert_eq!(at(lab), (fqdn(to), epoch + 1));
    lab.wait_until_well().expect("all is well again");
    for member in both {
        lab.end(member).expect("it ends");
    }
    drop(disks);
    for member in both {
        // With what lay there before the disk did.
        lab.begin(member).expect("it starts");
    }
    lab.wait_until_well().expect("all is well again");
}

#[test]
fn whatever_disk_is_full_during_a_move_it_goes_on_with_room_and_nothing_is_lost() {
    apart(|| {
        let (lab, _folder) = installation();
        let ((lab, disk), tallies) = talking(lab, |mut lab| {
            let (disk, store) = on_a_small_disk(&mut lab);
            full_before_it_is_begun(&mut lab, (&disk, &store));
            for moment in [&[State::Preparing, State::Ready][..], &[State::Committed, State::Applying]] {
                assert!((0..TRIES).any(|_| full_at(&mut lab, (&disk, &store), moment)), "{moment:?} was never hit");
            }
            members_without_room(&mut lab);
            (lab, disk)
        });
        assert_unnoticed(&tallies);
        commits_follow(&lab);
        lab.stop().expect("everything ends well");
        drop(disk);
    })
    .expect("root");
}
