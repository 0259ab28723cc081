//! What an administrator asks an installation, and how a test waits for the answer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{CONTROLLERS, GATEWAYS, Installation, PATIENCE, edges, program};
use crate::lab::CONTOSO;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

impl Installation {
    /// What stands in the environment of whoever asks the controllers.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        let controllers = CONTROLLERS.map(|name| self.ground.machine(name).internal.to_string());
        [
            ("FEDGE_CONTROLLER", controllers.join(",")),
            ("FEDGE_CONTROL_CA", self.path("control-ca/agent-ca.crt")),
            ("FEDGE_TOKEN_FILE", self.path("token")),
        ]
    }

    /// Runs `fedge` as the administrator does, and gives what it printed.
    ///
    /// # Errors
    /// When it fails; with what it said.
    pub fn fedge(&self, arguments: &[&str]) -> anyhow::Result<String> {
        good("fedge", arguments, &self.try_fedge(arguments)?)
    }

    /// The same, however it ends.
    ///
    /// # Errors
    /// When it can't be run.
    pub fn try_fedge(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        Ok(self.program("fedge").envs(self.environment()).args(arguments).output()?)
    }

    pub(super) fn done(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        good(program, arguments, &self.program(program).args(arguments).output()?)
    }

    /// A program where the administrator works: beside the first controller.
    pub(super) fn program(&self, name: &str) -> Command {
        self.ground.machine(CONTROLLERS[0]).place.command(self.programs.path(name))
    }

    /// Runs a local command of an edge server or a gateway, such as `status`.
    ///
    /// # Errors
    /// When it fails.
    pub fn ask(&self, member: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let socket = self.path(&format!("{member}/socket"));
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--socket", &socket]).collect();
        self.programs.run(program(member).name(), &arguments)
    }

    /// What the controllers say of everything.
    ///
    /// # Errors
    /// When none answers.
    pub fn status(&self) -> anyhow::Result<Value> {
        // It ends with 1 where something is wrong, and tells it all the same.
        let output = self.try_fedge(&["status", "--json"])?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("fedge status: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Waits until the status is so.
    ///
    /// # Errors
    /// With the last status, when it never is.
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let status = self.status();
            if status.as_ref().is_ok_and(&is_so) {
                return Ok(());
            }
            ensure!(began.elapsed() < PATIENCE, "{} s passed without {what}: {status:#?}", PATIENCE.as_secs());
            std::thread::sleep(LOOK);
        }
    }

    /// Publishes the present document with this at its end; gives the version's number, and when the command began.
    ///
    /// # Errors
    /// With what `fedge` said.
    pub fn publish_with(&self, more: &str, why: &str) -> anyhow::Result<(u64, Instant)> {
        let text = self.fedge(&["topology", "show"])? + more;
        let file = self.path("topology.toml");
        std::fs::write(&file, text)?;
        let began = Instant::now();
        let told = self.fedge(&["topology", "publish", &file, "--why", why])?;
        let number = told.strip_prefix("version ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        Ok((number.with_context(|| format!("a number in {told}"))?, began))
    }

    /// Waits until every member goes by that version of the topology, and gives how long each took.
    ///
    /// # Errors
    /// With the last status, when one doesn't.
    pub fn wait_for_version(&self, version: u64, began: Instant) -> anyhow::Result<BTreeMap<String, Duration>> {
        let at = RefCell::new(BTreeMap::new());
        self.wait_for(&format!("version {version} at all members"), |status| {
            let everybody: Vec<_> = members_of(status).filter(|member| member["role"] != "controller").collect();
            for member in everybody.iter().filter(|member| member["version"] == version) {
                let fqdn = member["fqdn"].as_str().unwrap_or_default().to_owned();
                at.borrow_mut().entry(fqdn).or_insert_with(|| began.elapsed());
            }
            at.borrow().len() == everybody.len()
        })?;
        Ok(at.into_inner())
    }

    /// Waits until the controllers find nothing wrong but with zones, which may not be published yet, and every gateway has a trunk to every edge server.
    ///
    /// # Errors
    /// When that doesn't come about.
    pub fn wait_until_well(&mut self) -> anyhow::Result<()> {
        self.wait_for("everything being well", |status| {
            status["wrong"].as_array().is_some_and(|wrong| wrong.iter().all(|one| one["at"] == CONTOSO))
        })?;
        for gateway in GATEWAYS {
            self.wait_for_trunks(gateway, edges().count())?;
        }
        Ok(())
    }

    /// Waits until a gateway has that many trunks up.
    ///
    /// # Errors
    /// When that doesn't come about.
    pub fn wait_for_trunks(&mut self, gateway: &'static str, trunks: usize) -> anyhow::Result<()> {
        let mut daemon = self.daemons.remove(gateway).with_context(|| format!("{gateway} doesn't run"))?;
        let waited = daemon.wait_for("its trunks", PATIENCE, || {
            let status = self.ask(gateway, &["status"])?;
            Ok((status.matches(": connected").count() == trunks).then_some(()))
        });
        self.daemons.insert(gateway, daemon);
        waited
    }
}

/// Every member in a status.
pub fn members_of(status: &Value) -> impl Iterator<Item = &Value> {
    let sites = status["sites"].as_array().into_iter().flatten();
    sites.flat_map(|site| {
        let pools = site["pools"].as_array().into_iter().flatten();
        let edges = pools.flat_map(|pool| pool["members"].as_array().into_iter().flatten());
        edges.chain(site["members"].as_array().into_iter().flatten())
    })
}

fn good(program: &str, arguments: &[&str], output: &Output) -> anyhow::Result<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {said}", arguments.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
