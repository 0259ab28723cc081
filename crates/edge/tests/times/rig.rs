//! A border with times of its own, and contoso's server behind it.

use std::time::{Duration, Instant};

use testkit::lab::border::{Border, BorderPlan, EXTERNAL, NEXT_HOP};
use testkit::lab::played::{Caller, Conduct, PlayedServer};
use testkit::lab::{CONTOSO, FABRIKAM};
use testkit::process::Daemon;

/// Longer than anything takes here that is to come at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `work` in the network of a border with these `[times]`.
pub(crate) fn with_times<F: Future<Output = ()>>(times: &str, work: impl FnOnce(Border) -> F + Send + 'static) {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = BorderPlan { more: format!("[times]\n{times}\n"), ..BorderPlan::default() };
    let border = Border::start(&plan, folder.path()).expect("fedge-edge starts");
    let place = border.place.clone();
    place.run(move || work(border));
}

/// Waits for the end of a daemon that was told to.
pub(crate) fn ended(daemon: &mut Daemon) {
    let began = Instant::now();
    while daemon.is_running().expect("the system says") {
        assert!(began.elapsed() < 2 * PATIENCE, "it doesn't end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn contoso(border: &Border, conduct: Conduct) -> PlayedServer {
    PlayedServer::start(NEXT_HOP, border.issue(CONTOSO).expect("ASCII"), conduct).expect("free")
}

pub(crate) async fn fabrikam(border: &Border) -> Caller {
    let fabrikams = border.issue(FABRIKAM).expect("ASCII");
    Caller::by_certificate(EXTERNAL, FABRIKAM, CONTOSO, &fabrikams).await.expect("a stream")
}

pub(crate) fn message(id: &str) -> String {
    format!("<message from='bob@{FABRIKAM}' to='alice@{CONTOSO}' id='{id}'><body>hello</body></message>")
}
