//! Daemons are awaited, end when told, take their helpers with them, and errors show their logs.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::Daemon;
use super::listeners;
use crate::place::Place;

const SOON: Duration = Duration::from_secs(30);

fn shell(script: &str) -> (tempfile::TempDir, anyhow::Result<Daemon>) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    let daemon = Daemon::start("lab", command, &folder.path().join("log"));
    (folder, daemon)
}

#[test]
fn a_line_is_awaited_and_the_end_is_clean() {
    let (_folder, daemon) =
        shell("trap 'exit 3' TERM; printf 'half '; sleep 0.1; echo ready; while :; do sleep 0.01; done");
    let mut daemon = daemon.expect("sh starts");
    assert_eq!(daemon.wait_for_line("ready", SOON).expect("printed"), "half ready");
    assert!(daemon.is_running().expect("known"));
    assert_eq!(daemon.terminate(SOON).expect("it ends").code(), Some(3));
}

#[test]
fn an_early_end_shows_the_log() {
    let (_folder, daemon) = shell("echo no such setting >&2; exit 7");
    let error = daemon.expect("sh starts").wait_for_line("ready", SOON).expect_err("it ends").to_string();
    assert!(error.contains("“ready”") && error.contains("exit status: 7"), "{error}");
    assert!(error.contains("no such setting"), "{error}");
}

#[test]
fn waiting_is_bounded() {
    let (_folder, daemon) = shell("echo busy; exec sleep 60");
    let mut daemon = daemon.expect("sh starts");
    daemon.wait_for_line("busy", SOON).expect("printed");
    let error = daemon.wait_for_line("ready", Duration::from_millis(100)).expect_err("never printed").to_string();
    assert!(error.contains("0.1 s passed") && error.contains("busy"), "{error}");
}

#[test]
fn what_ignores_sigterm_is_killed_with_its_helpers() {
    let (_folder, daemon) = shell("trap '' TERM; sleep 60 & echo helper $!; wait");
    let mut daemon = daemon.expect("sh starts");
    let line = daemon.wait_for_line("helper", SOON).expect("printed");
    let helper = line.rsplit(' ').next().expect("its number").to_owned();
    let error = daemon.terminate(Duration::from_millis(100)).expect_err("it won't end").to_string();
    assert!(error.contains("after SIGTERM"), "{error}");
    assert_gone(&helper);
}

#[test]
fn helpers_of_what_ended_go_too() {
    let (_folder, daemon) = shell("sleep 60 & echo helper $!");
    let mut daemon = daemon.expect("sh starts");
    let line = daemon.wait_for_line("helper", SOON).expect("printed");
    daemon.wait_for_line("never", SOON).expect_err("it ends");
    daemon.signal(Signal::SIGTERM).expect_err("it has ended");
    assert_gone(line.rsplit(' ').next().expect("its number"));
}

/// Nothing of a killed process is left but, until whoever inherited it looks, its number.
fn assert_gone(pid: &str) {
    let began = Instant::now();
    while Path::new(&format!("/proc/{pid}/exe")).read_link().is_ok() {
        assert!(began.elapsed() < SOON, "process {pid} still runs");
        std::thread::yield_now();
    }
}

#[test]
fn listeners_are_told_apart() {
    let here = std::process::id();
    for ip in ["127.0.0.1", "127.1.2.3", "::1"] {
        let listener = TcpListener::bind((ip, 0)).expect("free");
        let at = listener.local_addr().expect("bound");
        assert!(listeners::has(here, at).expect("readable"), "{at}");
        assert!(!listeners::has(here, SocketAddr::new([127, 9, 9, 9].into(), at.port())).expect("readable"));
        assert!(!listeners::has(std::os::unix::process::parent_id(), at).expect("readable"), "not our parent's");
        drop(listener);
        assert!(!listeners::has(here, at).expect("readable"), "{at} is closed");
    }
    let everywhere = TcpListener::bind("[::]:0").expect("free");
    let at = SocketAddr::new([127, 0, 0, 1].into(), everywhere.local_addr().expect("bound").port());
    assert!(listeners::has(here, at).expect("readable"));
}

#[test]
fn a_listener_is_awaited_in_its_own_network() {
    let at: SocketAddr = "127.0.4.1:5269".parse().expect("an address");
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::isolated().expect("a place");
    let mut command = place.command("perl");
    let script = "my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.4.1:5269') or die $!; sleep 60";
    command.args(["-MIO::Socket::INET", "-e", script]);
    let mut daemon = Daemon::start("lab", command, &folder.path().join("log")).expect("it starts");
    daemon.wait_for_listener(at, SOON).expect("it listens");
}
