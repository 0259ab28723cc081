//! The route moved in the demo, step by step, while two users talk; and what their clients counted.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use testkit::lab::installation::{Installation, POOLS, fqdn, members_of};
use testkit::lab::steady::{Talk, Tally};
use testkit::lab::{CONTOSO, FABRIKAM};

/// Each says one message so often: 200 a second, each way.
const EVERY: Duration = Duration::from_millis(5);
/// They talk for so long before and after something is done.
const AWHILE: Duration = Duration::from_secs(1);

/// A scene: what is done to the installation first, and the command that follows.
struct Scene {
    title: &'static str,
    /// The pool that is killed, if one is.
    killed: Option<usize>,
    command: Vec<String>,
}

/// Moves the route, moves it home, kills the pool that has it and fails it over, and moves it home again.
///
/// # Errors
/// When a command fails, or something is lost that can't be lost with a server of that kind.
pub(super) async fn tell(lab: &mut Installation) -> anyhow::Result<()> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let target = fqdn("pool2");
    let switchover = words(&["route", "switchover", "--to", &target, "--why", "maintenance in Site1"]);
    let failover = ["route", "failover", "--to", &target, "--accept", "old-reached", "--why", "Site1 is dead"];
    let home = || words(&["route", "failback", "--why", "all is well again"]);
    let scenes = [
        Scene { title: "A switchover: planned, and nobody notices", killed: None, command: switchover },
        Scene { title: "The failback: the move home", killed: None, command: home() },
        Scene {
            title: "Both edge servers of pool1 are killed, and it is failed over",
            killed: Some(0),
            command: words(&failover),
        },
        Scene { title: "They are there again, and the route moves home", killed: None, command: home() },
    ];
    for scene in scenes {
        play(lab, scene).await?;
    }
    println!("$ fedge route history\n{}", blocking(|| lab.fedge(&["route", "history"]))?);
    Ok(())
}

async fn play(lab: &mut Installation, scene: Scene) -> anyhow::Result<()> {
    println!("\n== {} ==\n", scene.title);
    blocking(|| lab.wait_until_well())?;
    if scene.killed.is_some() {
        println!(
            "Pool2, which the route has just left, refuses partners for a minute, so that they look anew; until that is over"
        );
        let all_run =
            |status: &Value| members_of(status).all(|one| one["role"] != "edge" || one["service"] == "running");
        blocking(|| lab.wait_for("all edge servers taking partners in", all_run))?;
    }
    let alice = lab.login(&format!("alice@{CONTOSO}")).await?;
    let bob = lab.login(&format!("bob@{FABRIKAM}")).await?;
    println!("alice@{CONTOSO} and bob@{FABRIKAM} say 200 messages a second each, and go on meanwhile");
    let talk = Talk::begin([alice, bob], EVERY);
    tokio::time::sleep(AWHILE).await;
    if let Some(pool) = scene.killed {
        for edge in POOLS[pool].1 {
            lab.kill(edge);
            println!("{edge} is killed");
        }
    }
    let arguments: Vec<&str> = scene.command.iter().map(String::as_str).collect();
    println!("$ fedge {}", arguments.join(" "));
    let began = Instant::now();
    let done = blocking(|| lab.try_fedge(&arguments))?;
    let took = began.elapsed();
    print!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    tokio::time::sleep(AWHILE).await;
    let tallies = talk.end().await?;
    println!("partners that look for {CONTOSO} from now on are told:");
    for line in blocking(|| lab.found(CONTOSO))? {
        println!("  {line}");
    }
    println!("the command took {:.1} s; counted by the clients:", took.as_secs_f64());
    for (who, tally) in ["alice", "bob"].into_iter().zip(&tallies) {
        println!("  {who:5} {tally}");
    }
    ensure!(done.status.success(), "the command failed");
    judge(&tallies, scene.killed.is_some())?;
    if let Some(pool) = scene.killed {
        println!(
            "  What an ejabberd has written into a connection that dies is unknowable, and the only thing that may be lost."
        );
        for edge in POOLS[pool].1 {
            blocking(|| lab.begin(edge))?;
        }
    }
    Ok(())
}

/// What alice says is accounted for, whatever dies outside; what bob says is his server's as long as nobody has taken it.
fn judge([alice, bob]: &[Tally; 2], killed: bool) -> anyhow::Result<()> {
    ensure!(alice.lost.is_empty(), "something that alice said was lost: {alice}");
    ensure!(killed || bob.lost.is_empty(), "something that bob said was lost: {bob}");
    Ok(())
}

/// Does what waits for other processes, while those who talk go on.
fn blocking<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    tokio::task::block_in_place(work).context("in the middle of the demo")
}
