//! Asking for a probe, and looking at its stages.

use std::path::Path;
use std::process::Command;

use api::local::Reply;
use api::probe::{Name, Probed, Stage, Target, Verdict};
use testkit::fedge::Programs;
use testkit::lab::Lab;
use testkit::lab::border::{Border, BorderPlan};

/// Runs `work` in the network of a border that is made for it.
pub(super) fn at_the_border<F: Future<Output = ()>>(
    plan: &BorderPlan,
    work: impl FnOnce(Border) -> F + Send + 'static,
) {
    let folder = tempfile::tempdir().expect("a folder");
    let border = Border::start(plan, folder.path()).expect("fedge-edge starts");
    let place = border.place.clone();
    place.run(move || work(border));
}

/// The command's exit status, what it printed, and what it said on standard error.
pub(super) fn run(programs: &Programs, socket: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(programs.path("fedge-edge"));
    let output = command.arg("probe").args(arguments).arg("--socket").arg(socket).output().expect("it can be run");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// What was probed; a runtime's other tasks go on meanwhile.
pub(super) async fn probed(programs: &Programs, socket: &Path, arguments: &[&str]) -> Probed {
    let (programs, socket) = (programs.clone(), socket.to_owned());
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let asked = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(["--json"]).collect();
        run(&programs, &socket, &arguments)
    });
    let (status, printed, said) = asked.await.expect("no panic");
    let reply = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}{said}"));
    let Reply::Probed(probed) = reply else { panic!("{printed}") };
    assert_eq!(status, Some(i32::from(probed.verdict == Verdict::Bad)), "{}", api::probe::table(&probed));
    probed
}

pub(super) async fn of_border(border: &Border, arguments: &[&str]) -> Probed {
    probed(&border.programs, &border.folder().join("socket"), arguments).await
}

pub(super) async fn of_lab(lab: &Lab, arguments: &[&str]) -> Probed {
    probed(&lab.programs, &lab.socket(), arguments).await
}

/// A stage of those.
pub(super) fn stage(stages: &[Stage], name: Name) -> &Stage {
    stages.iter().find(|stage| stage.name == name).unwrap_or_else(|| panic!("no {name} in {stages:?}"))
}

/// Looks whether each stage went so.
pub(super) fn assert_went(target: &Target, went: &[(Name, Verdict)]) {
    for (name, verdict) in went {
        let stage = stage(&target.stages, *name);
        assert_eq!(stage.verdict, *verdict, "{target:?}");
        let told = stage.cause.is_some() && stage.fix.is_some();
        assert!(stage.verdict < Verdict::Warning || told, "no cause or fix: {stage:?}");
    }
}
