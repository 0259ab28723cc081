//! Bounds of a probe: of time, of how many there are at once, of what can be asked for; and that whoever leaves ends his.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use api::probe::{Name, Verdict};
use testkit::lab::border::{Border, BorderPlan, server_of};
use testkit::lab::played::{Conduct, PlayedServer};
use testkit::lab::{CONTOSO, FABRIKAM, TAILSPIN};

use super::rig::{at_the_border, of_border, run, stage};

/// Longer than anything takes here that is to come at all.
const PATIENCE: Duration = Duration::from_secs(60);

fn asked(border: &Border, arguments: &[&str]) -> (Option<i32>, String, String) {
    run(&border.programs, &border.folder().join("socket"), arguments)
}

#[test]
fn it_is_done_in_time_and_few_are_under_way_at_once() {
    at_the_border(&BorderPlan::default(), |border| async move {
        let certificate = border.issue(FABRIKAM).expect("ASCII");
        let silent = Conduct { silent: true, ..Conduct::GOOD };
        let server = PlayedServer::start(server_of(FABRIKAM), certificate, silent).expect("free");
        let began = Instant::now();
        let probed = of_border(&border, &[FABRIKAM, "--within", "2"]).await;
        assert!(began.elapsed() >= Duration::from_millis(1500) && began.elapsed() < PATIENCE, "{:?}", began.elapsed());
        let waited = stage(&probed.targets[0].stages, Name::Header);
        assert!(waited.verdict == Verdict::Bad && waited.ms < 2000, "{waited:?}");

        let mut waiting = Vec::new();
        for _ in 0..4 {
            let mut command = Command::new(border.programs.path("fedge-edge"));
            command.args(["probe", FABRIKAM, "--within", "60", "--socket"]).arg(border.folder().join("socket"));
            waiting.push(command.stdout(Stdio::null()).spawn().expect("it can be run"));
        }
        while server.streams() < 5 {
            assert!(began.elapsed() < PATIENCE, "{} streams", server.streams());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (status, _, told) = asked(&border, &[FABRIKAM]);
        assert!(status == Some(2) && told.contains("4 probes are under way"), "{status:?} {told}");
        // Those who asked leave, and with them their probes, long before their time.
        for mut command in waiting {
            command.kill().expect("it runs");
            command.wait().expect("it was killed");
        }
        while asked(&border, &[FABRIKAM, "--within", "1"]).0 == Some(2) {
            assert!(began.elapsed() < PATIENCE, "they are still under way");
        }
        // Everything else went on.
        border.ask(&["status"]).expect("a status");
    });
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let partner = BorderPlan::default().partner(TAILSPIN, "");
    let mut plan = partner.clone();
    plan.external = String::new();
    at_the_border(&plan, |border| async move {
        for (arguments, status, says) in [
            (&["fabrikam..test"][..], 2, "is no domain"),
            (&[FABRIKAM, "--from", TAILSPIN], 2, "not a local domain, so nobody outside is spoken to as"),
            (&[CONTOSO, "--from", "woodgrove.test"], 2, "not a partner, so our servers"),
            (&[FABRIKAM, "--at", "127.0.4.1"], 64, "invalid value"),
            (&[FABRIKAM, "--within", "61"], 64, "is not in 1..=60"),
            (&[FABRIKAM, "--direct-tls"], 64, "--at"),
        ] {
            let (code, _, told) = asked(&border, arguments);
            assert_eq!(code, Some(status), "{arguments:?}: {told}");
            assert!(told.contains(says), "{arguments:?}: {told}");
        }
        border.stop().expect("fedge ends well");
    });
}

#[test]
fn outside_of_laboratories_only_other_machines_are_looked_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let border = Border::start(&BorderPlan::default(), folder.path()).expect("fedge-edge starts");
    let text = std::fs::read_to_string(border.config()).expect("it is there");
    let text = text.replace("private_targets = true", "").replace("127.0.3.1:5269", "127.0.3.2:5269");
    let text =
        text.replace("127.0.2.1:5269", "127.0.2.2:5269").replacen("socket = \"socket\"", "socket = \"second\"", 1);
    let file = border.folder().join("second.toml");
    std::fs::write(&file, text).expect("written");
    let log = border.folder().join("second.log");
    let _second = border.programs.start("fedge-edge", &border.place, &file, &log).expect("it starts");
    let second = border.folder().join("second");
    for (arguments, stage, says) in [
        (&[CONTOSO, "--at", "127.0.3.1:5269"][..], "tcp", "is no address of another machine"),
        (&[CONTOSO, "--at", "169.254.169.254:80"], "tcp", "is no address of another machine"),
        (&[FABRIKAM], "resolve", "is not a public address"),
    ] {
        let (code, told, _) = run(&border.programs, &second, arguments);
        assert_eq!(code, Some(1), "{told}");
        let line = told.lines().find(|line| line.trim_start().starts_with(stage)).expect("the stage");
        assert!(line.contains("bad") && line.contains(says), "{told}");
    }
}
