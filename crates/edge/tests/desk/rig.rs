//! What is asked about: a border with a stream each way.

use testkit::lab::border::{Border, BorderPlan, EXTERNAL, INTERNAL, NEXT_HOP, server_of};
use testkit::lab::played::{Caller, Conduct, PlayedServer};
use testkit::lab::{CONTOSO, FABRIKAM};

/// Runs `work` in the network of a border that is made for it.
pub(crate) fn at_the_border<F: Future<Output = ()>>(
    plan: &BorderPlan,
    work: impl FnOnce(Border) -> F + Send + 'static,
) {
    let folder = tempfile::tempdir().expect("a folder");
    let border = Border::start(plan, folder.path()).expect("fedge-edge starts");
    let place = border.place.clone();
    place.run(move || work(border));
}

/// Contoso's server and fabrikam's, and a stream each way.
pub(crate) struct Streams {
    pub(crate) contoso: PlayedServer,
    pub(crate) fabrikam: PlayedServer,
    pub(crate) inward: Caller,
    pub(crate) outward: Caller,
}

impl Streams {
    pub(crate) async fn open(border: &Border) -> Streams {
        let (contosos, fabrikams) = (border.issue(CONTOSO).expect("ASCII"), border.issue(FABRIKAM).expect("ASCII"));
        let contoso = PlayedServer::start(NEXT_HOP, contosos.clone(), Conduct::GOOD).expect("free");
        let fabrikam = PlayedServer::start(server_of(FABRIKAM), fabrikams.clone(), Conduct::GOOD).expect("free");
        let inward = Caller::by_certificate(EXTERNAL, FABRIKAM, CONTOSO, &fabrikams).await.expect("a stream");
        let outward = Caller::by_certificate(INTERNAL, CONTOSO, FABRIKAM, &contosos).await.expect("a stream");
        Streams { contoso, fabrikam, inward, outward }
    }

    /// From fabrikam to contoso, where it arrives.
    pub(crate) async fn say(&mut self, id: &str, body: &str) {
        let ends = format!("from='bob@{FABRIKAM}/resource-mark' to='alice@{CONTOSO}' id='{id}'");
        self.inward.write(format!("<message {ends}><body>{body}</body></message>")).await.expect("open");
        let (_, stanza) = self.contoso.stanza().await.expect("it arrives");
        assert_eq!(stanza.id().as_deref(), Some(id));
    }

    /// Everything is ended, properly.
    pub(crate) async fn end(mut self, border: Border) {
        self.inward.close().await.expect("fedge answers the end");
        self.outward.close().await.expect("fedge answers the end");
        border.stop().expect("fedge ends well");
    }
}
