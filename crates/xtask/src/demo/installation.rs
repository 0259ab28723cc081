//! The demo of a whole installation: two sites, two pools, two gateways, two controllers.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use testkit::fedge::packages_for_etcd;
use testkit::lab::LabPlan;
use testkit::lab::installation::{CONTROLLERS, Ground, Installation, POOLS, StoreKind, fqdn, members_of};
use testkit::name_server::Maker;
use testkit::place::Place;

use super::{Dns, Options, Stage, Store, moves, story};

/// What is there.
pub(super) const INTRODUCTION: &str = "\
contoso.test has a Prosody of its own and federates through fedge, with two partners:

                                Site1                       ejabberd (fabrikam.test)
                              gateway1 ══╦══ edge1, edge2   127.0.4.1, by certificate (EXTERNAL)
  Prosody (contoso.test)      127.0.2.1  ║   127.0.3.1, .2
  127.0.1.1              <-->            ║   (pool1: route) <-->
  finds partners by           gateway2 ══╩══ edge3, edge4   Prosody (tailspin.test)
  fedge-dns                   127.0.2.2      127.0.3.3, .4  127.0.5.1, by dialback
                                Site2        (pool2)

  ns1, ns2 (127.0.12.1, .2): a fedge-dns in each perimeter, which tells partners which pool to look for
  (with --dns bind: a BIND, which the controllers update)
  ctl1, ctl2 (127.0.10.1, .2): the controllers, which lead all of these, by what their store says
";

impl Store {
    fn kind(self) -> StoreKind {
        match self {
            Store::Sqlite => StoreKind::Sqlite,
            Store::Etcd => StoreKind::Etcd,
        }
    }
}

/// What has to be unpacked for it.
pub(super) fn packages(options: &Options) -> Vec<&'static str> {
    let mut packages = options.store.kind().packages().to_vec();
    if options.store == Store::Etcd {
        packages.extend(packages_for_etcd());
    }
    if options.dns == Dns::Bind {
        packages.extend(Maker::Bind.packages());
    }
    packages
}

/// The laboratory.
pub(super) struct Whole(Installation);

impl Stage for Whole {
    fn prepare(options: &Options, plan: &LabPlan) -> anyhow::Result<()> {
        options.store.kind().programs()?;
        Ground::loopback(Place::here()).check_free(plan, options.store.kind())
    }

    fn start(options: &Options, plan: &LabPlan, folder: &Path) -> anyhow::Result<Whole> {
        let (ground, store) = (Ground::loopback(Place::here()), options.store.kind());
        Ok(Whole(Installation::start(ground, plan, store, folder, &mut |told| println!("{told}"))?))
    }

    async fn tell(&mut self) -> anyhow::Result<()> {
        let Whole(lab) = self;
        let began = Instant::now();
        let delivered = story::tell(async |jid: String| lab.login(&jid).await).await?;
        let took = began.elapsed();
        for (pool, edges) in POOLS {
            for edge in edges {
                let account = story::settled(|| lab.ask(edge, &["status"])).await?;
                let account = account.lines().find(|line| line.contains("stanzas that came in"));
                println!("{edge} of {pool}: {}", account.context("edge servers have an account")?.trim());
            }
        }
        // Controllers ask members every few seconds how they are.
        let partners = |status: &_| members_of(status).filter_map(|member| member["partners"].as_u64()).sum::<u64>();
        lab.wait_for("both partners in the status", |status| partners(status) >= 2)?;
        // What controllers saw of name servers before these were there is looked at again.
        let is_well = |status: &serde_json::Value| status["wrong"].as_array().is_some_and(Vec::is_empty);
        lab.wait_for("a status in which nothing is wrong", is_well)?;
        println!("\n$ fedge status\n{}", lab.fedge(&["status"])?);
        story::end(delivered, took);
        moves::tell(lab).await
    }

    fn keep(&self) {
        let Whole(lab) = self;
        println!("\nAsk the controllers ({}), in another terminal:", CONTROLLERS.map(fqdn).join(", "));
        for (name, value) in lab.environment() {
            println!("  export {name}={value}");
        }
        let fedge = lab.programs.path("fedge");
        println!("  {} status --watch", fedge.display());
        println!("The topology is in {}/topology.toml; each machine has a folder beside it.", lab.folder().display());
    }

    fn stop(self) -> anyhow::Result<()> {
        self.0.stop()
    }
}
