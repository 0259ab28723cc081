//! What each attack happens beside: a good partner whose messages go through fedge to contoso's server.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use testkit::lab::border::{Border, BorderPlan, EXTERNAL, NEXT_HOP};
use testkit::lab::played::{Caller, Conduct, Ending, PlayedServer};
use testkit::lab::{CONTOSO, FABRIKAM};
use testkit::pki::Issued;
use xmpp::xml::Verbatim;

/// Between two messages of the good stream while something else goes on.
const A_WHILE: Duration = Duration::from_millis(100);

/// A good stream from fabrikam.test to contoso.test, and who receives there.
pub(crate) struct Beside {
    /// Contoso's server.
    pub(crate) contoso: PlayedServer,
    /// Its certificate.
    pub(crate) contosos: Issued,
    /// Fabrikam's certificate.
    pub(crate) fabrikams: Issued,
    caller: Caller,
    said: u32,
    /// What else came to contoso.
    pub(crate) others: Vec<Verbatim>,
    /// The stream by which contoso receives.
    arrives_on: u32,
}

/// Runs `work` in the network of a border that is made for it.
pub(crate) fn at_the_border<F: Future<Output = ()>>(
    plan: &BorderPlan,
    work: impl FnOnce(Border) -> F + Send + 'static,
) {
    let folder: TempDir = tempfile::tempdir().expect("a folder");
    let border = start(plan, folder.path());
    let place = border.place.clone();
    place.run(move || work(border));
}

fn start(plan: &BorderPlan, folder: &Path) -> Border {
    Border::start(plan, folder).expect("fedge-edge starts")
}

impl Beside {
    pub(crate) async fn new(border: &Border) -> Beside {
        let contosos = border.issue(CONTOSO).expect("a certificate");
        let fabrikams = border.issue(FABRIKAM).expect("a certificate");
        let contoso = PlayedServer::start(NEXT_HOP, contosos.clone(), Conduct::GOOD).expect("free");
        let caller = Caller::by_certificate(EXTERNAL, FABRIKAM, CONTOSO, &fabrikams).await.expect("a stream");
        let mut beside = Beside { contoso, contosos, fabrikams, caller, said: 0, others: Vec::new(), arrives_on: 1 };
        beside.goes_on().await;
        beside
    }

    /// The good stream still carries, by the same connections as before, and nothing else came through.
    pub(crate) async fn goes_on(&mut self) {
        self.goes_on_among_others().await;
        assert!(self.others.is_empty(), "nothing else came to contoso: {:?}", self.others);
    }

    /// The good stream still carries, by the same connections as before.
    pub(crate) async fn goes_on_among_others(&mut self) {
        self.said += 1;
        let id = format!("good-{}", self.said);
        let message =
            format!("<message from='bob@{FABRIKAM}' to='alice@{CONTOSO}' id='{id}'><body>hello</body></message>");
        self.caller.write(message).await.expect("the good stream is open");
        loop {
            let (stream, stanza) = self.contoso.stanza().await.expect("the good stream's message");
            if stream != self.arrives_on {
                self.others.push(stanza);
                continue;
            }
            // The one before has come, so whatever lies between them was lost.
            assert_eq!(stanza.id().as_deref(), Some(id.as_str()), "in order");
            return;
        }
    }

    /// The good stream carries as long as something else takes.
    pub(crate) async fn goes_on_while<T>(&mut self, what: impl Future<Output = T>) -> T {
        tokio::pin!(what);
        loop {
            tokio::select! {
                done = &mut what => return done,
                () = tokio::time::sleep(A_WHILE) => self.goes_on_among_others().await,
            }
        }
    }

    /// fedge is ended, and the good stream with it, properly.
    pub(crate) async fn ends(mut self, border: Border) {
        let stopping = tokio::task::spawn_blocking(move || border.stop());
        self.caller.until("<system-shutdown").await.expect("fedge says that it ends");
        assert!(self.caller.close().await.expect("fedge ends the stream").closed);
        stopping.await.expect("no panic").expect("fedge ends well");
    }
}

/// Does one attack on a connection of its own, and says how that ended.
pub(crate) async fn attack(at: SocketAddr, bytes: impl AsRef<[u8]>) -> Ending {
    let mut caller = Caller::connect(at).await.expect("fedge listens");
    // It may end the stream before it has read all.
    let _ = caller.write(bytes).await;
    caller.ending().await.expect("fedge ends the stream")
}

/// What an ending is to be asked for: this error, and the stream's end after it.
pub(crate) fn ended_with(ending: &Ending, condition: &str) -> Result<(), String> {
    let as_expected = ending.condition.as_deref() == Some(condition) && ending.closed;
    as_expected.then_some(()).ok_or_else(|| format!("{condition} was expected: {ending:?}"))
}
