//! Members of an installation in one process: the agent is the real one, what it should lead is only said to be there.
//!
//! `fleet PLAN FOLDER FINGERPRINT` waits until each member of the file PLAN was enrolled by the controllers whose CA has that
//! fingerprint, and then is all of them until it is ended. Lines of the plan are `ROLE FQDN ADDRESS:PORT`; their state is kept
//! below FOLDER. It prints, a line each:
//!
//! - `enrol FQDN FINGERPRINT`, when a member waits;
//! - `applied FQDN VERSION EPOCH MICROSECONDS`, when a member goes by another snapshot: it is on its disk, and its controller is told
//!   next. The time is since 1970.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use agent::enrol::Waiting;
use agent::serve::{Agent, Serving, serve};
use anyhow::{Context as _, bail};
use api::agent::{Digest, Role};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

mod member;

use member::Scripted;

/// Who members say that they are.
const PROGRAM: (&str, &str) = ("fedge-scripted", env!("CARGO_PKG_VERSION"));

/// A member to be.
#[derive(Debug, Clone)]
struct Planned {
    role: Role,
    fqdn: String,
    at: SocketAddr,
}

impl std::str::FromStr for Planned {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> anyhow::Result<Planned> {
        let [role, fqdn, at] = line.split(' ').collect::<Vec<_>>()[..] else {
            bail!("`{line}` should be a role, a name and an address");
        };
        let role = match role {
            "edge" => Role::Edge,
            "gateway" => Role::Gateway,
            other => bail!("`{line}`: a member here is an edge or a gateway, not `{other}`"),
        };
        Ok(Planned { role, fqdn: fqdn.to_owned(), at: at.parse().with_context(|| format!("`{line}`: {at}"))? })
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [plan, folder, fingerprint] = &arguments[..] else {
        bail!("fleet PLAN FOLDER FINGERPRINT");
    };
    let text = std::fs::read_to_string(plan).with_context(|| format!("no {plan}"))?;
    let planned = text.lines().map(str::parse).collect::<anyhow::Result<Vec<Planned>>>()?;
    let ca = fingerprint.parse().with_context(|| format!("{fingerprint} is no fingerprint"))?;
    tokio::runtime::Runtime::new()?.block_on(work(planned, PathBuf::from(folder), ca))
}

/// Ends only when a member can't be one.
async fn work(planned: Vec<Planned>, folder: PathBuf, ca: Digest) -> anyhow::Result<()> {
    let edges = planned.iter().filter(|member| member.role == Role::Edge);
    let edges: Arc<[String]> = edges.map(|member| member.fqdn.clone()).collect();
    let (mut coming, mut serving) = (JoinSet::new(), Vec::new());
    for member in planned {
        coming.spawn(begin(member, folder.clone(), ca, edges.clone()));
    }
    while let Some(begun) = coming.join_next().await {
        serving.push(begun??);
    }
    std::future::pending().await
}

/// Waits until a member is enrolled, and starts it.
async fn begin(member: Planned, folder: PathBuf, ca: Digest, edges: Arc<[String]>) -> anyhow::Result<Serving> {
    let Planned { role, fqdn, at } = member;
    let state = folder.join(&fqdn);
    // One for both, so that nobody is turned away between them.
    let door = std::net::TcpListener::bind(at).with_context(|| format!("{fqdn} can't listen at {at}"))?;
    door.set_nonblocking(true)?;
    let waiting = Waiting::open(&state, &fqdn, role, ca, PROGRAM)?;
    say(&format!("enrol {fqdn} {}", waiting.fingerprint()));
    waiting.enrolled(vec![TcpListener::from_std(door.try_clone()?)?]).await?;
    let agent = Arc::new(Agent::open(&state, role, PROGRAM)?);
    let scripted = Arc::new(Scripted::new(role, fqdn, edges, agent.clone()));
    Ok(serve(vec![TcpListener::from_std(door)?], agent, scripted))
}

/// Whole lines, at once.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever doesn't listen any more has ended, and ends this.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Microseconds since 1970.
fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros()
}
