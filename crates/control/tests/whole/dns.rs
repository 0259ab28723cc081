//! Moves that tell partners by DNS, with a real BIND and its secondary: updated by us, or changed by somebody's hand.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::fedge::Programs;
use testkit::lab::installation::{CONTROLLERS, Ground, Installation, POOLS, StoreKind, fqdn};
use testkit::lab::{CONTOSO, FABRIKAM, Kind, LabPlan, Peer};
use testkit::name_server::{Maker, NameServer, Part, ZonePlan};
use testkit::place::Place;
use testkit::server::Authentication::External;
use topology::records::{Change, RecordSet};
use zones::ask::{Manner, ask};
use zones::key::Key;
use zones::observe::{Marked, mark};
use zones::update::Primary;

use crate::moves::{operations, route};
use crate::outside::condition;

const ZONE: &str = "contoso.test.";
const SRV: &str = "_xmpp-server._tcp.contoso.test.";
/// For one question, and for what comes about by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// An installation without XMPP servers, whose zone a BIND has, and another one from it.
struct Lab {
    lab: Installation,
    place: Place,
    secondary: NameServer,
    primary: NameServer,
    folder: tempfile::TempDir,
}

fn name_servers() -> [SocketAddr; 2] {
    [([127, 0, 20, 1], 53).into(), ([127, 0, 20, 3], 53).into()]
}

/// As the topology declares it.
fn zone(publisher: &str, more: &str) -> String {
    let [one, two] = name_servers().map(|server| format!("\"{}\"", server.ip()));
    format!("\n[[zone]]\nname = \"{CONTOSO}\"\npublisher = \"{publisher}\"\nservers = [{one}, {two}]\n{more}")
}

fn name_server(place: &Place, number: usize, folder: &Path) -> NameServer {
    let (at, folder) = (name_servers()[number], folder.join(format!("bind{number}")));
    fs::create_dir(&folder).expect("a folder");
    let part = [Part::Primary(vec![name_servers()[1]]), Part::Secondary(name_servers()[0])];
    let plan = ZonePlan::new(CONTOSO, &[CONTOSO, &format!("conference.{CONTOSO}")], &[&fqdn("pool1"), &fqdn("pool2")]);
    let started = NameServer::start(Maker::Bind, place, at, &part[number], &[plan], &folder);
    started.unwrap_or_else(|error| panic!("{error:#}"))
}

impl Lab {
    fn new(zone: &str) -> Lab {
        let (place, folder) = (Place::isolated().expect("root"), tempfile::tempdir().expect("a folder"));
        let primary = name_server(&place, 0, folder.path());
        let secondary = name_server(&place, 1, folder.path());
        let peer = Peer { kind: Kind::Prosody, authentication: External };
        let plan = LabPlan { more: zone.to_owned(), ..LabPlan::new(peer, &[(FABRIKAM, peer)]) };
        let (ground, programs) = (Ground::loopback(place.clone()), Programs::built().expect("they are built"));
        let own = folder.path().join("lab");
        fs::create_dir(&own).expect("a folder");
        let lab = Installation::lead(ground, &plan, StoreKind::Sqlite, programs, &own, &mut |_| {});
        Lab { lab: lab.expect("an installation"), place, secondary, primary, folder }
    }

    /// The controllers have the key from now on.
    fn give_key(&mut self) {
        let key = self.primary.key_file();
        for controller in CONTROLLERS {
            let file = self.lab.folder().join(controller).join("fedge.toml");
            let text = fs::read_to_string(&file).expect("its configuration");
            fs::write(&file, format!("{text}[dns]\nkey_files = [{key:?}]\n")).expect("written");
            let daemon = self.lab.daemons.get_mut(controller).expect("it runs");
            daemon.signal(Signal::SIGHUP).expect("it is told");
            daemon.wait_for_line("and keys were read again", PATIENCE).expect("it reads it");
        }
    }

    fn run<T: Send + 'static>(&self, what: impl Future<Output = T> + Send + 'static) -> T {
        self.place.enter(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(what)
        })
    }

    /// Which target comes first by what each name server answers, and the epoch of its mark.
    fn answers(&self) -> Vec<(String, u64)> {
        self.run(async {
            let mut answers = Vec::new();
            for server in name_servers() {
                let answer = ask(server, SRV, "SRV", Manner::Authority, PATIENCE).await.expect("it answers");
                let values = answer.sets.into_iter().flat_map(|set| set.values);
                let first =
                    values.min_by_key(|value| value.split(' ').next().and_then(|word| word.parse::<u16>().ok()));
                let first = first.expect("never an empty set");
                let target = first.rsplit(' ').next().unwrap_or_default().trim_end_matches('.').to_owned();
                let epoch = match mark(server, ZONE, Manner::Authority, PATIENCE).await.expect("it answers") {
                    Marked::By(mark) => mark.epoch,
                    other => panic!("{other}"),
                };
                answers.push((target, epoch));
            }
            answers
        })
    }

    /// The last operation, once it is so.
    fn rested(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let last = operations(&self.lab).swap_remove(0);
            if is_so(&last) {
                return last;
            }
            assert!(began.elapsed() < PATIENCE, "{last:#}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Somebody makes these changes by hand, as the command has shown them.
    fn change_by_hand(&self, told: &str) {
        let lines = |sign: &str| -> Vec<RecordSet> {
            let mut sets: Vec<RecordSet> = Vec::new();
            for line in told.lines().filter_map(|line| line.strip_prefix(sign)) {
                let words: Vec<&str> = line.splitn(5, ' ').collect();
                let [name, ttl, "IN", kind, value] = words[..] else { panic!("{line}") };
                match sets.iter_mut().find(|set| set.name == name && set.kind == kind) {
                    Some(set) => set.values.push(value.to_owned()),
                    None => sets.push(RecordSet {
                        name: name.to_owned(),
                        kind: kind.to_owned(),
                        ttl: ttl.parse().expect("a time"),
                        values: vec![value.to_owned()],
                    }),
                }
            }
            sets
        };
        let (before, after) = (lines("  - "), lines("  + "));
        assert!(!after.is_empty(), "{told}");
        let changes: Vec<Change> = after
            .into_iter()
            .map(|after| {
                match before.iter().find(|before| (&before.name, &before.kind) == (&after.name, &after.kind)) {
                    Some(before) => Change::Replace { before: before.clone(), after },
                    None => Change::Add(after),
                }
            })
            .collect();
        let key = Key::read(&self.primary.key_file()).expect("a key").remove(0);
        self.run(async move {
            let server = name_servers()[0];
            let Marked::By(there) = mark(server, ZONE, Manner::Authority, PATIENCE).await.expect("it answers") else {
                panic!("there is no mark");
            };
            let updated = Primary::new(server, ZONE, key).update(30, Some(&there), &there, &changes).await;
            updated.expect("the zone is changed");
        });
    }
}

fn text(journal: &Value) -> String {
    let lines = journal["journal"].as_array().into_iter().flatten();
    lines.filter_map(|line| line["what"].as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_name_server_answers_each_move_before_it_is_done_and_one_that_is_gone_is_named() {
    let mut all = Lab::new(&zone("rfc2136", "key = \"fedge-key.\"\n"));
    // Nobody has published there, and nobody could.
    let (status, told) = route(&all.lab, &["plan", "--to", &fqdn("pool2"), "--accept", "next-hops,dns-ours"]);
    assert!(status == Some(2) && told.contains("refused: dns-writable"), "{told}");
    assert!(told.contains("this controller has no key fedge-key."), "{told}");
    all.give_key();
    let pool2 = fqdn("pool2");
    let moved = |all: &Lab, arguments: &[&str], pool: &str, epoch: u64| {
        let began = Instant::now();
        let (status, told) = route(&all.lab, arguments);
        println!("{told}{arguments:?} took {:.2?}", began.elapsed());
        assert_eq!(status, Some(0), "{told}");
        assert!(
            told.contains(&format!("epoch {epoch} is in DNS: contoso.test.: all 2 name servers answer it")),
            "{told}"
        );
        assert_eq!(all.answers(), [(fqdn(pool), epoch), (fqdn(pool), epoch)]);
    };
    moved(&all, &["switchover", "--to", &pool2, "--accept", "next-hops,dns-ours"], "pool2", 2);
    moved(&all, &["failback", "--accept", "next-hops"], "pool1", 3);
    POOLS[0].1.iter().for_each(|edge| all.lab.kill(edge));
    moved(&all, &["failover", "--to", &pool2, "--accept", "next-hops,old-reached"], "pool2", 4);
    for edge in POOLS[0].1 {
        all.lab.begin(edge).expect("it starts again");
    }
    all.lab.wait_until_well().expect("all is well again");
    // A site is gone with its name server: that can't be accepted of a planned move.
    all.secondary.kill();
    let (status, told) = route(&all.lab, &["failback", "--accept", "next-hops,dns-reached"]);
    assert!(status == Some(2) && told.contains("NO        dns-reached"), "{told}");
    let accepted = ["--accept", "next-hops,old-dead,dns-reached"];
    let (status, told) = route(&all.lab, &[&["failover", "--to", &fqdn("pool1")][..], &accepted].concat());
    assert_eq!(status, Some(4), "{told}");
    assert!(told.contains("127.0.20.3:53 can't be asked"), "it is named: {told}");
    let last = all.rested(|last| last["state"] == "degraded");
    assert!(last["waits"].as_str().is_some_and(|waits| waits.contains("127.0.20.3:53")), "{last:#}");
    // As a new machine: one that comes back asks its primary only after the zone's refresh time, or when told (`rndc refresh`).
    fs::remove_file(all.folder.path().join("bind1/contoso.test.copy")).expect("its copy");
    all.secondary.begin().expect("it starts again");
    let last = all.rested(|last| last["state"] == "done");
    assert!(text(&last).contains("all 2 name servers answer it"), "{last:#}");
    assert_eq!(all.answers(), [(fqdn("pool1"), 5), (fqdn("pool1"), 5)]);
    all.lab.fedge(&["audit", "verify"]).expect("the trail is whole");
    all.lab.stop().expect("everything ends well");
}

#[test]
fn somebody_changes_the_zone_by_hand_and_the_operation_goes_on_when_it_is_seen() {
    let mut all = Lab::new(&zone("rfc2136", "key = \"fedge-key.\"\n"));
    all.give_key();
    let (status, told) = route(&all.lab, &["switchover", "--to", &fqdn("pool2"), "--accept", "next-hops,dns-ours"]);
    assert_eq!(status, Some(0), "{told}");
    // From now on it is another team's.
    let file = all.lab.folder().join("topology.toml");
    let document = fs::read_to_string(&file).expect("the document");
    let by_hand = document.replace(&zone("rfc2136", "key = \"fedge-key.\"\n"), &zone("manual", ""));
    assert_ne!(by_hand, document);
    fs::write(&file, by_hand).expect("written");
    let file = file.display().to_string();
    all.lab.fedge(&["topology", "publish", &file, "--why", "the other team's"]).expect("it is published");
    all.lab.wait_until_well().expect("all is well");
    let (status, told) = route(&all.lab, &["failback", "--accept", "next-hops"]);
    println!("{told}");
    assert_eq!(status, Some(5), "{told}");
    let (_, shown) = told.split_once("goes on").expect("it waits");
    assert!(shown.contains("to be changed in contoso.test., by hand: these lines (-) by those (+)"), "{told}");
    let waiting = all.rested(|last| last["waits"].is_string());
    assert_eq!((&waiting["state"], &waiting["needs"]), (&"applying".into(), &"records".into()), "{waiting:#}");
    let shown = shown.to_owned();
    all.change_by_hand(&shown);
    let last = all.rested(|last| last["state"] == "done");
    assert!(text(&last).contains("epoch 3 is in DNS"), "{last:#}");
    let targets: Vec<String> = all.answers().into_iter().map(|(target, _)| target).collect();
    assert_eq!(targets, [fqdn("pool1"), fqdn("pool1")]);
    all.lab.stop().expect("everything ends well");
}

/// The records that are printed for a pool, by the keys of its edge servers.
fn printed(lab: &Installation, pool: &str) -> Vec<String> {
    let told = lab.fedge(&["dns", "tlsa", pool]).expect("nothing is declared yet");
    let (_, lines) = told.split_once("tlsa = [\n").unwrap_or_else(|| panic!("{told}"));
    let (lines, _) = lines.split_once("    ]\n").unwrap_or_else(|| panic!("{told}"));
    let record = |line: &str| line.split('"').nth(1).map(str::to_owned);
    lines.lines().filter_map(record).collect()
}

#[test]
fn tlsa_records_are_published_as_they_were_printed_and_hold_back_a_move_where_they_do_not_fit() {
    let mut all = Lab::new(&zone("rfc2136", "key = \"fedge-key.\"\n"));
    all.give_key();
    let to = fqdn(POOLS[1].0);
    let whole = all.lab.fedge(&["topology", "show"]).expect("the document");
    let entry = format!("fqdn = \"{to}\"\n");
    assert_eq!(whole.matches(&entry).count(), 1, "{whole}");
    let file = all.lab.folder().join("topology.toml");
    let declare = |records: &[String], version: u64| {
        fs::write(&file, whole.replace(&entry, &format!("{entry}tlsa = {records:?}\n"))).expect("written");
        all.lab.fedge(&["topology", "publish", &file.display().to_string(), "--why", "for DANE"]).expect("it is good");
        all.lab.wait_for("it being known", |status| status["version"] == version).expect("it comes about");
    };
    let looked = |holds: bool| {
        let began = Instant::now();
        loop {
            // What was seen a moment before still counts for a moment.
            let (now, seen) = condition(&all.lab, &["--to", &to], "target-certificates");
            if now == holds {
                break seen;
            }
            assert!(began.elapsed() < PATIENCE, "{seen}");
        }
    };
    let fits = printed(&all.lab, &to);
    assert!(!fits.is_empty() && fits.iter().all(|record| record.starts_with("3 1 1 ")), "{fits:?}");
    let other = format!("3 1 1 {}", "0f".repeat(32));
    declare(std::slice::from_ref(&other), 2);
    let seen = looked(false);
    assert!(seen.contains(&format!("fits no TLSA record of that pool: {}", fqdn("edge3"))), "{seen}");
    let (status, told) = route(&all.lab, &["switchover", "--to", &to, "--accept", "next-hops,dns-ours,dns-current"]);
    assert!(status == Some(2) && told.contains("NO        target-certificates"), "{told}");
    let told = all.lab.try_fedge(&["dns", "tlsa", &to]).expect("it runs");
    assert_eq!(told.status.code(), Some(1), "{}", String::from_utf8_lossy(&told.stdout));

    // As somebody does who is about to change the certificate: the present record, and the next one.
    let both = [fits, vec![other.clone()]].concat();
    declare(&both, 3);
    let told = all.lab.fedge(&["dns", "tlsa", &to]).expect("it fits");
    assert!(told.contains(&format!("declared, and fits nothing that is shown now: `{other}`")), "{told}");
    all.lab.fedge(&["dns", "apply", "--yes", "--why", "for the first time"]).expect("it is applied");
    let wanted: BTreeSet<String> = both.into_iter().collect();
    for server in name_servers() {
        let began = Instant::now();
        loop {
            let name = format!("_5269._tcp.{to}.");
            let said = all.run(async move { ask(server, &name, "TLSA", Manner::Authority, PATIENCE).await });
            let values = said.expect("it answers").sets.into_iter().flat_map(|set| set.values);
            let values: BTreeSet<String> = values.collect();
            if values == wanted {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "{server}: {values:?}");
            thread::sleep(Duration::from_millis(100));
        }
    }
    looked(true);
    let (status, told) = route(&all.lab, &["switchover", "--to", &to, "--accept", "next-hops"]);
    assert_eq!(status, Some(0), "{told}");
    all.lab.stop().expect("everything ends well");
}
