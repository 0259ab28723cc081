//! docs/moving.md, and then docs/drill.md, followed to the letter in a running installation: what they show is what is printed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::document::{Block, blocks, text};
use testkit::lab::installation::{Ground, Installation, StoreKind};
use testkit::lab::{CONTOSO, FABRIKAM, Kind, LabPlan, Peer};
use testkit::place::Place;
use testkit::server::Authentication::External;
use tokio::runtime::Runtime;

/// Longer than anything takes here that is to come at all.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often somebody says something, each way.
const EVERY: Duration = Duration::from_millis(200);
/// What a document leaves out of a line, or of what is printed.
const LEFT_OUT: char = '…';

/// An installation, and the administrator who types what a document says.
struct Walk {
    document: &'static str,
    lab: Installation,
    _folder: tempfile::TempDir,
    /// The hash of a plan as the document has it, and as it was printed.
    hash: Option<(String, String)>,
    _talk: Runtime,
}

impl Walk {
    fn new() -> Walk {
        let peer = |kind| Peer { kind, authentication: External };
        let plan = LabPlan::new(peer(Kind::Prosody), &[(FABRIKAM, peer(Kind::Ejabberd))]);
        let folder = tempfile::tempdir().expect("a folder");
        let ground = Ground::loopback(Place::isolated().expect("root"));
        let lab = Installation::start(ground, &plan, StoreKind::Sqlite, folder.path(), &mut |_| {});
        let lab = lab.expect("an installation");
        let talk = Runtime::new().expect("threads");
        let login = |jid: String| talk.block_on(lab.login(&jid)).expect("a login");
        let (alice, bob) = (login(format!("alice@{CONTOSO}")), login(format!("bob@{FABRIKAM}")));
        talk.spawn(speak(alice, bob));
        Walk { document: "", lab, _folder: folder, hash: None, _talk: talk }
    }

    /// Does what a comment before a block says: what happened to the installation before somebody typed that.
    fn comes_about(&mut self, what: &str) {
        let (verb, names) = what.split_once(' ').unwrap_or((what, ""));
        let all = ["edge1", "edge2", "edge3", "edge4", "ctl1", "ctl2"];
        let names: Vec<&'static str> =
            names.split(' ').filter_map(|name| all.into_iter().find(|known| *known == name)).collect();
        match verb {
            "killed" => names.into_iter().for_each(|name| self.lab.kill(name)),
            "started" => {
                names.into_iter().for_each(|name| self.lab.begin(name).expect("it starts"));
                self.lab.wait_until_well().expect("all is well again");
            }
            _ => panic!("{}: what is `{what}`?", self.document),
        }
    }

    /// Runs a command of the document; what is shown below it is what must be printed.
    fn run(&mut self, typed: &str, shown: &str) {
        let typed = self.hash.iter().fold(typed.to_owned(), |typed, (shown, real)| typed.replace(shown, real));
        // What only looks may look again until it sees it.
        let looks = ["route show", "route plan", "route verify", "route history", "status", "audit show"];
        let only_looks = looks.iter().any(|look| typed.starts_with(&format!("fedge {look}"))) || is_look(&typed);
        let began = Instant::now();
        loop {
            let (status, printed) = self.typed(&typed);
            self.learn(shown, &printed);
            let missing = self.missing(shown, &printed);
            if missing.is_none() && status == Some(expected(&typed, shown)) {
                println!("$ {typed}\n{printed}");
                return self.change_dns(&printed);
            }
            assert!(
                only_looks && began.elapsed() < PATIENCE,
                "{}: {typed}: ended with {status:?}; not printed: {missing:?}; but\n{printed}",
                self.document
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A line as a shell runs it, beside the first controller: its exit status, and all that it prints.
    fn typed(&self, line: &str) -> (Option<i32>, String) {
        let fedge = self.lab.programs.path("fedge");
        let path =
            format!("{}:{}", fedge.parent().expect("a folder").display(), std::env::var("PATH").unwrap_or_default());
        let mut command = self.lab.ground.machine("ctl1").place.command("/bin/sh");
        command.args(["-c", line]).envs(self.lab.environment()).env("PATH", path).stdin(std::process::Stdio::null());
        command.current_dir(self.lab.folder());
        let output = command.output().expect("a shell");
        let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), told(&output.stdout) + &told(&output.stderr))
    }

    /// Remembers the hash that was printed in place of the document's.
    fn learn(&mut self, shown: &str, printed: &str) {
        let hash = |text: &str| {
            let rest = text.split("the plan's hash is ").nth(1)?;
            rest.split(';').next().map(str::to_owned)
        };
        self.hash = hash(shown).zip(hash(printed)).or(self.hash.take());
    }

    /// The first line that is shown and wasn't printed, in its order.
    fn missing(&self, shown: &str, printed: &str) -> Option<String> {
        let shown = self.hash.iter().fold(shown.to_owned(), |shown, (doc, real)| shown.replace(doc, real));
        let mut printed = printed.lines().map(plain);
        let wanted = shown.lines().map(plain).filter(|line| line.trim_matches(LEFT_OUT).trim() != "");
        wanted.into_iter().find(|line| !printed.any(|printed| is_like(line, &printed)))
    }

    /// Changes the public DNS as a move says.
    fn change_dns(&self, printed: &str) {
        let Some((_, after)) = printed.split_once("to be changed in DNS") else { return };
        if !printed.starts_with("operation ") {
            return;
        }
        let lines = after.lines().filter_map(|line| line.trim().strip_prefix("+ _xmpp-server._tcp."));
        let mut targets: BTreeMap<&str, Vec<(u16, u16, u16, &str)>> = BTreeMap::new();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let [domain, _, "IN", "SRV", priority, weight, port, target] = words[..] else { panic!("{line}") };
            let number = |text: &str| text.parse().expect("a number");
            let target = target.trim_end_matches('.');
            targets.entry(domain.trim_end_matches('.')).or_default().push((
                number(priority),
                number(weight),
                number(port),
                target,
            ));
        }
        assert!(!targets.is_empty(), "{printed}");
        targets.iter().for_each(|(domain, targets)| self.lab.dns.srv(domain, targets));
    }
}

async fn speak(alice: Client, bob: Client) {
    let mut waves = tokio::time::interval(EVERY);
    for number in 0.. {
        waves.tick().await;
        alice.message(bob.jid(), &format!("a{number}"), "hello");
        bob.message(alice.jid(), &format!("b{number}"), "hello");
    }
}

/// It shows an operation, and doesn't follow it.
fn is_look(typed: &str) -> bool {
    typed.starts_with("fedge route watch ") && typed.ends_with("--no-wait")
}

/// The exit status that docs/moving.md gives for what is shown.
fn expected(typed: &str, shown: &str) -> i32 {
    let says = |words: &str| shown.contains(words);
    if says("refused") || says("is not what would be done now") || says("can't be aborted") {
        2
    } else if says(" was rolled back") {
        3
    } else if says(" is degraded") || says("  NO ") {
        4
    } else if says(" goes on, `fedge route watch") || (is_look(typed) && says("it is verifying")) {
        5
    } else {
        0
    }
}

/// A line without what differs from run to run: times, addresses, counts. Names, epochs and operations stay.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    for word in line.split_whitespace() {
        let stays = ["epoch", "operation", "watch"].iter().any(|before| plain.ends_with(before));
        if !plain.is_empty() {
            plain.push(' ');
        }
        for c in word.chars() {
            match c {
                '0'..='9' if stays || plain.ends_with(|c: char| c.is_ascii_alphanumeric()) => plain.push(c),
                '0'..='9' if plain.ends_with('#') => {}
                '0'..='9' => plain.push('#'),
                c => plain.push(c),
            }
        }
    }
    plain
}

/// Whether a printed line is what is shown, where `…` stands for anything.
fn is_like(shown: &str, printed: &str) -> bool {
    let mut rest = printed;
    let parts: Vec<&str> = shown.split(LEFT_OUT).collect();
    for (place, part) in parts.iter().enumerate() {
        let part = part.trim();
        let Some(at) = rest.find(part) else { return false };
        if place == 0 && at != 0 {
            return false;
        }
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || parts.last().is_some_and(|last| last.trim().is_empty())
}

/// Follows a document, and gives how many commands that were.
fn follow(walk: &mut Walk, document: &'static str) -> usize {
    let mut commands = 0;
    walk.document = document;
    for Block { kind, told, text } in blocks(&text(document).expect("the document")) {
        if kind != "console" {
            continue;
        }
        if let Some(what) = told.strip_prefix("<!-- before this: ").and_then(|told| told.strip_suffix(" -->")) {
            walk.comes_about(what);
        }
        for exchange in text.split("$ ").skip(1) {
            let (typed, shown) = exchange.split_once('\n').expect("a line");
            walk.run(typed, shown);
            commands += 1;
        }
    }
    commands
}

#[test]
fn the_route_is_moved_as_the_documents_say() {
    let mut walk = Walk::new();
    assert!(follow(&mut walk, "docs/moving.md") >= 20);
    assert!(follow(&mut walk, "docs/drill.md") >= 12);
    walk.lab.stop().expect("everything ends well");
}

/// As docs/refusals.md says of `target-port`.
#[test]
fn where_nobody_is_left_who_could_look_a_failover_is_accepted_and_degraded_until_somebody_is() {
    let mut walk = Walk::new();
    for edge in ["edge1", "edge2", "edge4"] {
        walk.lab.kill(edge);
    }
    walk.run(
        "fedge route failover --to edge3.contoso.test --accept target-whole,old-reached",
        "refused: …\nNO target-port: it can't be told: edge3.contoso.test (nobody else was there to look)\n\
         …\nto accept it: --accept target-port",
    );
    walk.run(
        "fedge route failover --to edge3.contoso.test --accept target-port --yes",
        "… degraded nobody has looked at it from outside yet\noperation 1 is degraded: the route is on pool2.contoso.test, …",
    );
    walk.lab.begin("edge4").expect("it starts");
    walk.run(
        "fedge route watch 1 --no-wait",
        "… draining edge…\n… done edge1.contoso.test is not reached, so it wasn't told; edge2…",
    );
    walk.lab.stop().expect("everything ends well");
}

#[test]
fn lines_are_compared_without_what_differs() {
    let line = plain("  0.3 s committed   pool2.contoso.test is the route, with epoch 2");
    assert_eq!(line, "#.# s committed pool2.contoso.test is the route, with epoch 2");
    assert!(is_like("#.# s committed … epoch 2", &line) && is_like("#.# s … with epoch 2", &line));
    assert!(!is_like("committed … epoch 2", &line) && !is_like("#.# s committed … epoch", &line));
    assert!(is_like("#.# s …", &line) && !is_like("#.# s committed pool1 …", &line));
}
