//! Partners in a process of their own, each with a domain and a stream: they come when they are told to, say how long each
//! had to wait, and stay until they are told to leave.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use testkit::lab::CONTOSO;
use testkit::lab::played::{Caller, Conduct, PlayedServer};
use testkit::pki::Issued;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::site::{BY_CERTIFICATE, BY_DIALBACK, DIALERS, EXTERNAL_FACE, HANDSHAKES, Site};

/// How partners prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Proof {
    /// Not at all: with no more than a handshake, by certificate.
    Handshake,
    /// By certificate.
    External,
    /// By dialback.
    Dialback,
}

/// Who comes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[arg(long)]
    at: SocketAddr,
    #[arg(long)]
    folder: PathBuf,
    #[arg(long, value_enum)]
    proof: Proof,
    #[arg(long)]
    first: usize,
    #[arg(long)]
    many: usize,
    #[arg(long)]
    beside: usize,
}

/// Such a process, which waits to be told. Dropping it ends it.
pub(super) struct Callers {
    child: Child,
    said: BufReader<ChildStdout>,
}

/// One that was told.
pub(super) struct Going(Callers);

impl Callers {
    /// Starts as many partners, the first of them with that number; so many of them come at the same time.
    pub(super) fn start(
        site: &Site,
        proof: Proof,
        first: usize,
        many: usize,
        beside: usize,
    ) -> anyhow::Result<Callers> {
        let (at, proof) = match proof {
            Proof::Handshake => (HANDSHAKES, "handshake"),
            Proof::External => (EXTERNAL_FACE, "external"),
            Proof::Dialback => (EXTERNAL_FACE, "dialback"),
        };
        // They shall take no processor that fedge wants: on machines of their own they couldn't.
        let mut command = Command::new("nice");
        command.arg("-n19").arg(std::env::current_exe()?).args(["bench", "callers"]).arg("--folder").arg(site.folder());
        command.args(["--at", &at.to_string(), "--proof", proof]);
        let numbers = [("--first", first), ("--many", many), ("--beside", beside)];
        for (name, number) in numbers {
            command.args([name, &number.to_string()]);
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("no process for partners")?;
        let said = BufReader::new(child.stdout.take().context("it has an output")?);
        let mut callers = Callers { child, said };
        ensure!(callers.line()? == "ready", "the partners don't get ready");
        Ok(callers)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// Has them come.
    pub(super) fn go(mut self) -> anyhow::Result<Going> {
        self.child.stdin.as_mut().context("it has an input")?.write_all(b"go\n")?;
        Ok(Going(self))
    }
}

impl Going {
    /// Waits until each has a stream, and gives how long each had to wait since they were told. They leave when this is
    /// dropped.
    pub(super) fn done(mut self) -> anyhow::Result<(Vec<Duration>, Going)> {
        let line = self.0.line()?;
        let waits: Vec<u64> =
            line.split(' ').map(|word| word.parse().context("partners failed")).collect::<Result<_, _>>()?;
        Ok((waits.into_iter().map(Duration::from_micros).collect(), self))
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        // Without an input it leaves by itself.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Is that process.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(come(options))
}

async fn come(options: &Options) -> anyhow::Result<()> {
    let text = fs::read_to_string(options.folder.join("client.pem"))?;
    let key = text.find("-----BEGIN PRIVATE KEY").context("client.pem has no key")?;
    let identity = Issued { certificate: text[..key].to_owned(), key: text[key..].to_owned() };
    let server = match options.proof {
        Proof::Handshake | Proof::External => None,
        Proof::Dialback => Some(Arc::new(PlayedServer::start(
            DIALERS,
            identity.clone(),
            Conduct { external: false, ..Conduct::default() },
        )?)),
    };
    println!("ready");
    let mut told = String::new();
    std::io::stdin().read_line(&mut told)?;
    let handshake = options.proof == Proof::Handshake;
    let (began, turns) = (Instant::now(), Arc::new(Semaphore::new(options.beside)));
    let mut coming = JoinSet::new();
    for number in options.first..options.first + options.many {
        let (at, identity, turns, server) = (options.at, identity.clone(), turns.clone(), server.clone());
        coming.spawn(async move {
            let _turn = turns.acquire().await?;
            let caller = match &server {
                None if handshake => {
                    let mut caller = Caller::connect(at).await?;
                    caller.tls(CONTOSO, Some(&identity)).await?;
                    caller.until("done").await?;
                    caller
                }
                None => {
                    let from = format!("p{number}.{BY_CERTIFICATE}");
                    Caller::by_certificate(at, &from, CONTOSO, &identity).await?
                }
                Some(server) => by_dialback(at, &format!("p{number}.{BY_DIALBACK}"), server).await?,
            };
            anyhow::Ok((caller, began.elapsed()))
        });
    }
    let (mut callers, mut waits) = (Vec::new(), Vec::new());
    while let Some(came) = coming.join_next().await {
        let (caller, wait) = came??;
        callers.push(caller);
        waits.push(wait.as_micros().to_string());
    }
    println!("{}", waits.join(" "));
    // Until whoever told us to come has seen enough.
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    drop(callers);
    Ok(())
}

async fn by_dialback(at: SocketAddr, from: &str, server: &PlayedServer) -> anyhow::Result<Caller> {
    let mut caller = Caller::connect(at).await?;
    caller.starttls(from, CONTOSO, None).await?;
    let opened = caller.until("</stream:features>").await?;
    let id = opened.split_once(" id='").and_then(|(_, rest)| rest.split_once('\'')).context("a stream has an id")?.0;
    let key = format!("key-for-{from}");
    server.answers_for(id, &key);
    caller.show_key(from, CONTOSO, &key).await?;
    caller.until("type='valid'").await?;
    Ok(caller)
}
