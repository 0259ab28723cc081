//! Controllers on a real store, and as many members as wanted: their agents are real, and all in one process.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tempfile::TempDir;
use testkit::etcd::{self, Etcd};
use testkit::fedge::Programs;
use testkit::lab::installation::{SITES, StoreKind, many};
use testkit::lab::{CONTOSO, Spot};
use testkit::place::Place;
use testkit::process::Daemon;

/// Longer than anything takes here that is to come at all.
const PATIENCE: Duration = Duration::from_secs(120);
const POOLS: [&str; 2] = ["pool1.contoso.test", "pool2.contoso.test"];
const GATEWAYS: usize = 2;
const CONTROLLERS: [u8; 2] = [1, 2];
/// Where members keep their state: in memory, since in an installation each has a disk of its own, and here all would wait for one.
const MEMORY: &str = "/dev/shm";

/// An installation at work. Dropping it ends everything in it.
pub(super) struct Fleet {
    place: Place,
    programs: Programs,
    folder: TempDir,
    controllers: Vec<Daemon>,
    members: Daemon,
    /// How many there are.
    count: usize,
    /// Where the store is an etcd, it.
    _etcd: Option<Etcd>,
    _memory: TempDir,
}

/// A line of what the members print.
#[derive(Debug, Clone, Copy)]
struct Applied<'a> {
    fqdn: &'a str,
    epoch: u64,
    /// Milliseconds since 1970.
    at: f64,
}

impl Fleet {
    /// Builds everything up, and waits until each member goes by the topology.
    pub(super) fn start(programs: &Programs, store: StoreKind, edges: usize, partners: usize) -> anyhow::Result<Fleet> {
        let fleet = programs.fleet()?;
        let (place, folder) = (Place::isolated()?, tempfile::Builder::new().prefix("fedge-bench-").tempdir()?);
        let memory = Path::new(MEMORY).is_dir().then_some(MEMORY).map_or_else(std::env::temp_dir, PathBuf::from);
        let memory = tempfile::Builder::new().prefix("fedge-bench-").tempdir_in(memory)?;
        let etcd = match store {
            StoreKind::Sqlite => None,
            StoreKind::Etcd => Some(cluster(&place, &folder.path().join("etcd"))?),
        };
        let authorities = folder.path().join("control-ca");
        let told = output(place.command(programs.path("fedge-control")).arg("init").arg(&authorities))?;
        let fingerprint = told.lines().last().unwrap_or_default().trim().to_owned();
        let address = match &etcd {
            Some(etcd) => etcd.store(),
            None => format!("sqlite:{}", folder.path().join("store.db").display()),
        };
        let controllers = controllers(programs, &place, folder.path(), &address)?;
        fs::write(folder.path().join("members"), plan(edges))?;
        let mut command = place.command(&fleet);
        command.arg(folder.path().join("members")).arg(memory.path()).arg(&fingerprint);
        let members = Daemon::start("fleet", command, &folder.path().join("fleet.log"))?;
        let (programs, count) = (programs.clone(), edges + GATEWAYS);
        let mut made = Fleet { place, programs, folder, controllers, members, count, _etcd: etcd, _memory: memory };
        made.publish(edges, partners)?;
        made.enrol()?;
        made.wait_for(1)?;
        Ok(made)
    }

    fn publish(&self, edges: usize, partners: usize) -> anyhow::Result<()> {
        let file = self.folder.path().join("topology.toml");
        fs::write(&file, topology(edges, partners)?)?;
        self.fedge(&["topology", "publish", &file.display().to_string(), "--why", "the first one"])?;
        Ok(())
    }

    /// As two people do it, one after the other.
    fn enrol(&mut self) -> anyhow::Result<()> {
        let count = self.count;
        let waiting: Vec<String> = self.lines("members that wait", |lines| {
            let waiting: Vec<_> =
                lines.iter().filter(|line| line.starts_with("enrol ")).map(|&line| line.to_owned()).collect();
            (waiting.len() == count).then_some(waiting)
        })?;
        for line in waiting {
            self.fedge(&line.split(' ').collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// Moves the route to the other pool, and gives how many milliseconds after the commit each member went by it.
    pub(super) fn moved(&mut self) -> anyhow::Result<Vec<f64>> {
        let route: Value = serde_json::from_str(&self.fedge(&["route", "show", "--json"])?)?;
        let epoch = route["epoch"].as_u64().context("a route has an epoch")? + 1;
        let to = POOLS.into_iter().find(|pool| route["pool"] != *pool).context("there is another pool")?;
        self.fedge(&["route", "switchover", "--to", to, "--why", "to see how long it takes"])?;
        let history: Value = serde_json::from_str(&self.fedge(&["route", "history", "--json"])?)?;
        let lines = history[0]["journal"].as_array().context("an operation has a journal")?;
        let commit = lines.iter().find(|line| line["state"] == "committed").context("it was committed")?;
        let commit = commit["at"].as_f64().context("at some time")?;
        Ok(self.wait_for(epoch)?.into_values().map(|at| at - commit).collect())
    }

    /// Waits until every member goes by that epoch, and gives since when each does, in milliseconds since 1970.
    fn wait_for(&mut self, epoch: u64) -> anyhow::Result<BTreeMap<String, f64>> {
        let count = self.count;
        self.lines(&format!("everybody at epoch {epoch}"), |lines| {
            let applied = lines.iter().filter_map(|line| Applied::read(line)).filter(|applied| applied.epoch == epoch);
            let mut since = BTreeMap::new();
            for applied in applied {
                since.entry(applied.fqdn.to_owned()).or_insert(applied.at);
            }
            (since.len() == count).then_some(since)
        })
    }

    /// Waits until what the members have printed is so.
    fn lines<T>(&mut self, what: &str, is_so: impl Fn(&[&str]) -> Option<T>) -> anyhow::Result<T> {
        let log = self.members.log().to_owned();
        self.members.wait_for(what, PATIENCE, || {
            let text = fs::read_to_string(&log)?;
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            Ok(is_so(&whole.lines().collect::<Vec<_>>()))
        })
    }

    fn fedge(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let controllers = CONTROLLERS.map(|number| controller(number).to_string()).join(",");
        let mut command = self.place.command(self.programs.path("fedge"));
        command.env("FEDGE_CONTROLLER", controllers);
        command.env("FEDGE_CONTROL_CA", self.folder.path().join("control-ca/agent-ca.crt"));
        command.env("FEDGE_TOKEN_FILE", self.folder.path().join("token"));
        output(command.args(arguments))
    }

    /// Ends it as an administrator would.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        for controller in self.controllers {
            controller.terminate(PATIENCE)?;
        }
        self.members.terminate(PATIENCE)?;
        Ok(())
    }
}

impl Applied<'_> {
    fn read(line: &str) -> Option<Applied<'_>> {
        let mut words = line.strip_prefix("applied ")?.split(' ');
        let (fqdn, _version, epoch, at) = (words.next()?, words.next()?, words.next()?, words.next()?);
        Some(Applied { fqdn, epoch: epoch.parse().ok()?, at: at.parse::<f64>().ok()? / 1000.0 })
    }
}

/// A user, and the controllers on one store.
fn controllers(programs: &Programs, place: &Place, folder: &Path, store: &str) -> anyhow::Result<Vec<Daemon>> {
    let mut token = place.command(programs.path("fedge-control"));
    let token = token.args(["token", "anna", "--role", "administrator"]).output()?;
    ensure!(token.status.success(), "no token: {}", String::from_utf8_lossy(&token.stderr));
    fs::write(folder.join("token"), &token.stdout)?;
    let user = String::from_utf8(token.stderr)?;
    let user = user.split("\n\n").next().context("what to write for a user")?.to_owned();
    let started = CONTROLLERS.map(|number| {
        let (config, log) = (folder.join(format!("ctl{number}.toml")), folder.join(format!("ctl{number}.log")));
        let text = format!(
            "name = \"ctl{number}.{CONTOSO}\"\nstore = \"{store}\"\nauthorities = \"control-ca\"\n\
             [api]\nlisten = [\"{}:5272\"]\n{user}\n",
            controller(number)
        );
        fs::write(&config, text)?;
        programs.start("fedge-control", place, &config, &log)
    });
    started.into_iter().collect()
}

fn cluster(place: &Place, folder: &Path) -> anyhow::Result<Etcd> {
    fs::create_dir(folder)?;
    let spots =
        (1..=etcd::MEMBERS as u8).map(|number| Spot { place: place.clone(), address: [127, 0, 11, number].into() });
    let etcd = Etcd::start_at(spots.collect(), place.clone(), folder)?;
    etcd.secure()?;
    Ok(etcd)
}

/// Where a controller is.
fn controller(number: u8) -> IpAddr {
    [127, 0, 10, number].into()
}

/// Where a member is on a network that begins with these numbers.
fn member(network: [u8; 2], number: usize) -> IpAddr {
    let [group, one] = [number / 200, number % 200 + 1].map(|part| u8::try_from(part).unwrap_or(u8::MAX));
    [network[0], network[1], group, one].into()
}

fn edge(number: usize) -> (String, IpAddr) {
    (format!("edge{}.{CONTOSO}", number + 1), member([127, 3], number))
}

fn gateway(number: usize) -> (String, IpAddr) {
    (format!("gateway{}.{CONTOSO}", number + 1), member([127, 2], number))
}

/// What the members' process is told.
fn plan(edges: usize) -> String {
    let edges = (0..edges).map(edge).map(|(fqdn, at)| format!("edge {fqdn} {at}:5271\n"));
    let gateways = (0..GATEWAYS).map(gateway).map(|(fqdn, at)| format!("gateway {fqdn} {at}:5271\n"));
    edges.chain(gateways).collect()
}

fn topology(edges: usize, partners: usize) -> anyhow::Result<String> {
    let mut text = "[installation]\nname = \"Contoso\"\n".to_owned();
    for (site, pool) in SITES.into_iter().zip(POOLS) {
        write!(text, "[[site]]\nname = \"{site}\"\n[[pool]]\nfqdn = \"{pool}\"\nsite = \"{site}\"\n")?;
    }
    for number in 0..edges {
        let ((fqdn, inside), pool) = (edge(number), POOLS[number % POOLS.len()]);
        let outside = member([198, 18], number);
        write!(
            text,
            "[[edge]]\nfqdn = \"{fqdn}\"\npool = \"{pool}\"\nexternal = [\"{outside}\"]\ninternal = [\"{inside}\"]\n"
        )?;
    }
    for (number, site) in (0..GATEWAYS).zip(SITES) {
        let (fqdn, inside) = gateway(number);
        write!(text, "[[gateway]]\nfqdn = \"{fqdn}\"\nsite = \"{site}\"\ninternal = [\"{inside}\"]\n")?;
    }
    for (number, site) in CONTROLLERS.into_iter().zip(SITES) {
        let inside = controller(number);
        write!(
            text,
            "[[controller]]\nfqdn = \"ctl{number}.{CONTOSO}\"\nsite = \"{site}\"\ninternal = [\"{inside}\"]\n"
        )?;
    }
    let [one, two] = POOLS;
    write!(
        text,
        "[route]\npools = [\"{one}\", \"{two}\"]\n[[local]]\ndomains = [\"{CONTOSO}\"]\nnext_hop = \"10.0.0.20\"\n"
    )?;
    Ok(text + &many(0, partners))
}

/// What a program prints that ends well.
fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("can't run {command:?}"))?;
    let (told, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{command:?} ended with {}: {said}{told}", output.status);
    Ok(told.into_owned())
}
