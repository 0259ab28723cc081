//! `check` and the local commands: what they say, to whom, and with which exit status.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::fedge::Programs;
use testkit::lab::border::{Border, BorderPlan};
use testkit::lab::played::What;
use testkit::lab::{CONTOSO, FABRIKAM};

use crate::rig::{Streams, at_the_border};

/// Runs a local command that may fail.
fn run(border: &Border, arguments: &[&str]) -> Output {
    command(border, arguments).output().expect("it can be run")
}

fn command(border: &Border, arguments: &[&str]) -> Command {
    let mut command = Command::new(border.programs.path("fedge-edge"));
    command.args(arguments).arg("--socket").arg(border.folder().join("socket"));
    command
}

fn check(programs: &Programs, file: &Path) -> (Option<i32>, String, String) {
    let output = Command::new(programs.path("fedge-edge")).arg("check").arg(file).output().expect("it can be run");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_says_what_is_good_and_draws_what_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let border = Border::start(&BorderPlan::default(), folder.path()).expect("fedge-edge starts");
    let (file, programs) = (border.config(), border.programs.clone());
    let (status, told, _) = check(&programs, &file);
    assert_eq!(status, Some(0), "{told}");
    assert!(
        told.contains("good") && told.contains("1 local domains, 1 partners") && told.contains("1 certificates"),
        "{told}"
    );

    let good = BorderPlan::default().text();
    let line = good.lines().position(|line| line == "private_targets = true").expect("it is there") + 1;
    fs::write(&file, good.replace("private_targets = true", "private_target = true")).expect("written");
    let (status, _, told) = check(&programs, &file);
    assert_eq!(status, Some(78), "{told}");
    assert!(told.contains(&format!("edge.toml:{line}:1: unknown field `private_target`")), "{told}");
    assert!(told.contains(&format!("{line} | private_target = true")) && told.contains("| ^^^^^^^^^^^^^^"), "{told}");

    // The same for what the file names.
    fs::write(&file, &good).expect("written");
    let certificate = border.folder().join("certificates/contoso.pem");
    let pem = fs::read_to_string(&certificate).expect("it is there");
    fs::write(&certificate, &pem[..pem.len() / 2]).expect("written");
    let (status, _, told) = check(&programs, &file);
    assert_eq!(status, Some(78), "{told}");
    assert!(told.contains("contoso.pem"), "{told}");
    fs::write(&certificate, pem).expect("written");
    for (good_part, bad_part, says) in [
        ("trusted = \"trusted.crt\"", "trusted = \"nowhere.crt\"", "nowhere.crt"),
        ("ca = \"ca\"", "ca = \"no-ca\"", "no-ca"),
        ("private_targets = true", "private_targets = true\ndialback_secrets = \"edge.toml\"", "too short"),
    ] {
        fs::write(&file, good.replacen(good_part, bad_part, 1)).expect("written");
        let (status, _, told) = check(&programs, &file);
        assert_eq!(status, Some(78), "{told}");
        assert!(told.contains(says), "{says}: {told}");
    }
    fs::write(&file, good).expect("written");
    border.stop().expect("fedge ends well");
}

#[test]
fn the_daemon_tells_of_its_streams_and_ends_the_one_it_is_told_to() {
    at_the_border(&BorderPlan::default(), |border| async move {
        let mut streams = Streams::open(&border).await;
        streams.say("first", "hello").await;
        let told = border.ask(&["streams"]).expect("streams");
        assert_eq!(told.lines().count(), 1 + 3, "{told}");
        for (face, direction, pair) in [
            ("external", "accepted", "fabrikam.test -> contoso.test (EXTERNAL)"),
            ("internal", "dialed", "fabrikam.test -> contoso.test (EXTERNAL)"),
            ("internal", "accepted", "contoso.test -> fabrikam.test (EXTERNAL)"),
        ] {
            let is_it = |line: &&str| line.contains(face) && line.contains(direction) && line.ends_with(pair);
            assert_eq!(told.lines().filter(is_it).count(), 1, "{face} {direction} {pair}:\n{told}");
        }
        let status = border.ask(&["status"]).expect("a status");
        assert!(status.contains("1 = 1 taken + 0 returned + 0 failed + 0 in flight"), "{status}");

        // Each answer is one object in a line of its own.
        let json = |arguments: &[&str]| -> serde_json::Value {
            let told = border.ask(&[arguments, &["--json"]].concat()).expect("an answer");
            serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"))
        };
        let listed = json(&["streams"]);
        assert_eq!(listed["streams"].as_array().map(Vec::len), Some(3), "{listed}");
        assert_eq!(json(&["status"])["faces"].as_array().map(Vec::len), Some(2));
        assert_eq!(json(&["stanza", "first"])["stanzas"][0]["fate"], "taken by the next server");
        assert_eq!(json(&["log-level", "debug"])["reply"], "done");

        // The next stanza finds another stream.
        let dialed =
            listed["streams"].as_array().expect("a list").iter().find(|stream| stream["direction"] == "dialed");
        let number = dialed.expect("one")["number"].to_string();
        border.ask(&["close", &number]).expect("it is closed");
        let heard = streams.contoso.next().await.expect("its end");
        assert!(matches!(heard.what, What::Closed), "{heard:?}");
        streams.say("second", "hello").await;
        assert_eq!(streams.contoso.streams(), 2);

        for (arguments, says) in [
            (["close", "4711"], "there is no open stream 4711"),
            (["trace", "4711"], "there is no open stream 4711"),
            (["close", number.as_str()], "there is no open stream"),
            (["log-level", "loud"], "`loud` is no level"),
        ] {
            let output = run(&border, &arguments);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}");
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(told.contains(says), "{arguments:?}: {told}");
        }
        assert_eq!(run(&border, &["close", "one"]).status.code(), Some(64));
        streams.end(border).await;
    });
}

#[test]
fn health_is_a_word_and_an_exit_status_also_of_a_frozen_daemon() {
    at_the_border(&BorderPlan::default(), |mut border| async move {
        let looked = |border: &Border, arguments: &[&str]| {
            let output = run(border, &[&["health"], arguments].concat());
            (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned())
        };
        assert_eq!(looked(&border, &[]), (Some(0), "ready".to_owned()));
        let json = looked(&border, &["--json"]).1;
        assert_eq!(json, r#"{"reply":"health","state":"ready","why":null,"routed":null}"#);
        assert_eq!(looked(&border, &["--or", "well"]).0, Some(64));

        border.fedge_edge.signal(Signal::SIGSTOP).expect("it runs");
        let began = Instant::now();
        assert_eq!(looked(&border, &[]), (Some(1), "silent".to_owned()));
        assert!(began.elapsed() >= Duration::from_secs(1), "it may answer until then");
        assert_eq!(looked(&border, &["--within", "0.1", "--or", "silent"]), (Some(0), "silent".to_owned()));
        border.fedge_edge.signal(Signal::SIGCONT).expect("it runs");
        assert_eq!(looked(&border, &["--within", "20"]), (Some(0), "ready".to_owned()));
        let began = Instant::now();
        assert_eq!(looked(&border, &["--within", "20", "--for", "0.5"]), (Some(0), "ready".to_owned()));
        assert!(began.elapsed() >= Duration::from_millis(400), "it looks on");

        // Somebody whose stream goes on, so that there is something to finish.
        let streams = Streams::open(&border).await;
        border.fedge_edge.signal(Signal::SIGTERM).expect("it runs");
        let began = Instant::now();
        while looked(&border, &[]).1 == "ready" {
            assert!(began.elapsed() < Duration::from_secs(20), "it doesn't say that it drains");
        }
        assert_eq!(looked(&border, &[]), (Some(1), "draining".to_owned()));
        assert_eq!(looked(&border, &["--or", "draining"]).0, Some(0));
        // Who looks on is told at once when it ends.
        let mut looks_on = command(&border, &["health", "--or", "draining", "--within", "20", "--for", "60"]);
        let looks_on = looks_on.stdout(Stdio::piped()).spawn().expect("it can be run");
        border.fedge_edge.signal(Signal::SIGKILL).expect("it drains");
        while border.fedge_edge.is_running().expect("ours") {
            assert!(began.elapsed() < Duration::from_secs(40), "it was killed");
        }
        let told = looks_on.wait_with_output().expect("ours");
        assert_eq!((told.status.code(), told.stdout), (Some(1), b"stopped\n".to_vec()));
        assert!(began.elapsed() < Duration::from_secs(50), "it was told late");
        assert_eq!(looked(&border, &[]), (Some(1), "stopped".to_owned()));
        drop(streams);
    });
}

#[test]
fn what_became_of_a_stanza_can_be_asked() {
    let more = "[times]\nhold = 1\n".to_owned();
    at_the_border(&BorderPlan { more, ..BorderPlan::default() }, |border| async move {
        let mut streams = Streams::open(&border).await;
        streams.say("taken", "hello").await;
        let fate = |id: &str| border.ask(&["stanza", id]).expect("an answer");
        assert!(
            fate("taken").contains("message fabrikam.test -> contoso.test")
                && fate("taken").contains("taken by the next server")
        );
        assert!(fate("unheard-of").contains("no stanza with this id"), "{}", fate("unheard-of"));
        // Somebody who takes nothing any more.
        streams.contoso.stop().await;
        let lost = format!("<message from='bob@{FABRIKAM}' to='alice@{CONTOSO}' id='lost'/>");
        streams.inward.write(&lost).await.expect("open");
        let (_, error) = streams.fabrikam.stanza().await.expect("an error");
        assert_eq!((error.id().as_deref(), error.type_().as_deref()), (Some("lost"), Some("error")));
        assert!(fate("lost").contains("returned to its sender: remote-server-timeout"), "{}", fate("lost"));
        // On its way for as long as it may be held.
        streams.inward.write(lost.replace("'lost'", "'held'")).await.expect("open");
        let mut told = fate("held");
        while told.contains("no stanza") {
            told = fate("held");
        }
        assert!(told.contains("in flight"), "{told}");
        streams.fabrikam.stanza().await.expect("an error");
        streams.end(border).await;
    });
}

#[test]
fn a_socket_has_one_daemon_and_is_not_everybodys() {
    let folder = tempfile::tempdir().expect("a folder");
    let border = Border::start(&BorderPlan::default(), folder.path()).expect("fedge-edge starts");
    let socket = border.folder().join("socket");
    let metadata = fs::metadata(&socket).expect("it is there");
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);

    // A second one, elsewhere, with the same socket; it mustn't take anything from anybody before it gives up.
    let elsewhere = BorderPlan::default()
        .text()
        .replace("127.0.3.1:5269", "127.0.3.2:5269")
        .replace("127.0.2.1:5269", "127.0.2.2:5269");
    let file = border.folder().join("second.toml");
    fs::write(&file, &elsewhere).expect("written");
    let refused = |says: &str| {
        let output = border
            .place
            .command(border.programs.path("fedge-edge"))
            .arg("run")
            .arg(&file)
            .output()
            .expect("it can be run");
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(says) && !told.contains("accepting streams"), "{told}");
    };
    refused("another daemon answers there");
    border.ask(&["status"]).expect("the first one still answers");

    // Something that isn't a socket is nobody's to remove.
    fs::write(&file, elsewhere.replacen("socket = \"socket\"", "socket = \"trusted.crt\"", 1)).expect("written");
    refused("something else than a socket");
    assert!(fs::read_to_string(border.folder().join("trusted.crt")).expect("it is there").contains("CERTIFICATE"));

    // One that was killed leaves its socket; the next one takes it.
    let Border { mut fedge_edge, .. } = border;
    fedge_edge.signal(Signal::SIGKILL).expect("it runs");
    drop(fedge_edge);
    assert!(socket.exists());
}
