//! The runbook's cmdlets, typed as an administrator types them, by `fedge shell` against a controller.

use std::process::{Command, Output, Stdio};
use std::sync::{Arc, OnceLock};

use api::local::ServiceAction;
use control::access::Role;
use serde_json::Value;
use store::Memory;
use testkit::fedge::Programs;

use crate::rig::{Controller, EDGES, GATEWAY, Machine, Site, member};

mod route;
mod services;
mod terminal;

/// An installation whose administrator has a shell.
struct Administrator {
    site: Site,
    controller: Controller,
    machines: Vec<Machine>,
}

impl Administrator {
    async fn new() -> Administrator {
        // Before anything waits for anything.
        tokio::task::spawn_blocking(programs).await.expect("they are built");
        let site = Site::new().await;
        let controller = site.controller("ctl1.contoso.test", Arc::new(Memory::new())).await;
        site.publish(&controller, &site.topology("10.0.0.2")).await.expect("it is good");
        let mut machines = Vec::new();
        for fqdn in EDGES.into_iter().chain([GATEWAY]) {
            machines.push(site.enrol(&controller, fqdn).await);
        }
        controller.sees_all(&[EDGES[0], EDGES[1], EDGES[2], GATEWAY]).await;
        Administrator { site, controller, machines }
    }

    /// `fedge`, as she runs it.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(programs().path("fedge"));
        command.env("FEDGE_CONTROLLER", self.controller.address.to_string());
        command.env("FEDGE_CONTROL_CA", self.site.file("ca/agent-ca.crt"));
        command.env("FEDGE_TOKEN_FILE", self.site.file(&Role::Operator.to_string()));
        command.current_dir(self.site.folder.path()).args(arguments);
        command
    }

    /// The same on a host of that name.
    async fn fedge_at(&self, host: &str, arguments: &[&str]) -> Told {
        let fedge = self.command(arguments);
        let mut command = Command::new("unshare");
        // The name is set in a namespace of its own.
        command.args(["--uts", "sh", "-c", "echo \"$0\" > /proc/sys/kernel/hostname && exec \"$@\"", host]);
        command.arg(fedge.get_program()).args(fedge.get_args());
        let set = fedge.get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.envs(set).current_dir(self.site.folder.path());
        self.run(command, "").await
    }

    /// The same, with what it reads from standard input.
    async fn fedge(&self, arguments: &[&str], typed: &str) -> Told {
        self.run(self.command(arguments), typed).await
    }

    async fn run(&self, mut command: Command, typed: &str) -> Told {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let typed = typed.to_owned();
        let ended = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn()?;
            let mut input = child.stdin.take().expect("it is piped");
            // Who ends before it has read all breaks the pipe.
            let _ = std::io::Write::write_all(&mut input, typed.as_bytes());
            drop(input);
            child.wait_with_output()
        });
        Told::of(ended.await.expect("no panic").expect("it runs"))
    }

    /// `fedge shell -c`.
    async fn does(&self, typed: &str) -> Told {
        self.fedge(&["shell", "-c", typed], "").await
    }

    /// `fedge shell`, with this on standard input.
    async fn script(&self, typed: &str) -> Told {
        self.fedge(&["shell"], typed).await
    }

    /// Its objects.
    async fn gives(&self, typed: &str) -> Vec<Value> {
        let told = self.fedge(&["--json", "shell", "-c", typed], "").await;
        assert_eq!(told.status, 0, "{typed}: {told:?}");
        serde_json::from_str(&told.out).unwrap_or_else(|error| panic!("{typed}: {error}: {told:?}"))
    }

    /// What an edge server was told to do.
    fn orders(&self, edge: usize) -> Vec<(ServiceAction, Option<u64>)> {
        self.machines[edge].script.with(|script| std::mem::take(&mut script.orders))
    }

    async fn sees_service(&self, edge: usize, state: &str) {
        let is_so = |overview: &_| member(overview, EDGES[edge]).service.as_deref() == Some(state);
        self.controller.sees(state, is_so).await;
    }
}

fn programs() -> &'static Programs {
    static BUILT: OnceLock<Programs> = OnceLock::new();
    BUILT.get_or_init(|| Programs::built().expect("fedge is built"))
}

#[derive(Debug)]
struct Told {
    status: i32,
    out: String,
    error: String,
}

impl Told {
    fn of(output: Output) -> Told {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let status = output.status.code().expect("it wasn't killed");
        Told { status, out: text(output.stdout), error: text(output.stderr) }
    }
}
