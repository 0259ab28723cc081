//! The small demo: one fedge-edge with both faces, without a control plane.

use std::path::Path;
use std::time::Instant;

use testkit::lab::{Lab, LabPlan};
use testkit::place::Place;

use super::{Options, Stage, story};

/// What is there.
pub(super) const INTRODUCTION: &str = "\
contoso.test has a Prosody of its own and federates through fedge, with two partners:

  Prosody (contoso.test)         fedge-edge                 ejabberd (fabrikam.test)
  127.0.1.1              <-->    127.0.2.1 | 127.0.3.1 <--> 127.0.4.1, by certificate (EXTERNAL)
  finds partners by fedge-dns    inside    | outside   <--> Prosody (tailspin.test)
                                                            127.0.5.1, by dialback
";

/// The laboratory.
pub(super) struct Small(Lab);

impl Stage for Small {
    fn prepare(_: &Options, plan: &LabPlan) -> anyhow::Result<()> {
        testkit::fedge::Programs::built()?;
        Lab::check_free(&Place::here(), plan)
    }

    fn start(_: &Options, plan: &LabPlan, folder: &Path) -> anyhow::Result<Small> {
        Ok(Small(Lab::start(Place::here(), plan, folder, &mut |told| println!("{told}"))?))
    }

    async fn tell(&mut self) -> anyhow::Result<()> {
        let Small(lab) = self;
        let began = Instant::now();
        let delivered = story::tell(async |jid: String| lab.login(&jid).await).await?;
        let took = began.elapsed();
        println!("the streams that fedge has open, with what passed on each:\n{}", lab.ask(&["streams"])?);
        println!("{}", story::settled(|| lab.ask(&["status"])).await?);
        story::end(delivered, took);
        Ok(())
    }

    fn keep(&self) {
        let Small(lab) = self;
        println!("Logs and configurations are in {}", lab.folder().display());
        let program = lab.programs.path("fedge-edge");
        println!("Ask fedge: {} status --socket {}", program.display(), lab.socket().display());
    }

    fn stop(self) -> anyhow::Result<()> {
        self.0.stop()
    }
}
