//! What a stanza costs on its way through, path by path: run alone for its time, or under callgrind for its instructions.
//!
//! `micro handshakes MANY FOLDER` does handshakes instead, with certificates from there; with `resumed` behind it, it resumes.
//! `micro serve ADDRESS FOLDER` does them with whoever connects, until it is ended.
//! `micro PATH STANZAS` prints `STANZAS BYTES NANOSECONDS`, of processor time; `micro` alone names the paths. Each is deterministic: its
//! stanzas come from a fixed seed, and nothing that is counted runs in another thread or waits for a socket.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::time::ClockId;

mod forward;
mod handshakes;
mod parts;
mod stanzas;

use stanzas::Stanzas;

/// What is done for one path once everything is prepared. What it leaves is dropped uncounted.
type Work = Box<dyn FnOnce() -> anyhow::Result<Left>>;
/// What remains of the work.
type Left = Box<dyn std::any::Any>;

/// A path, and what prepares it.
type Path = (&'static str, fn(Stanzas) -> anyhow::Result<Work>);

/// In the order in which a stanza goes; all of it in the end.
const PATHS: [Path; 8] = [
    ("calibration", parts::calibration),
    ("scanner", parts::scanner),
    ("accepted", parts::accepted),
    ("policy", parts::policy),
    ("large-policy", parts::large_policy),
    ("hold", parts::hold),
    ("trunk", parts::trunk),
    ("forward", forward::forward),
];

/// Callgrind counts while this runs, by its name.
#[inline(never)]
fn counted(work: Work) -> anyhow::Result<(Left, Duration)> {
    let began = used()?;
    let left = work()?;
    Ok((black_box(left), used()?.saturating_sub(began)))
}

/// Processor time of this thread, which does all the work, in nanoseconds: getrusage(2) tells it in ticks, in which a handshake
/// may be nothing.
fn used() -> anyhow::Result<Duration> {
    Ok(ClockId::CLOCK_THREAD_CPUTIME_ID.now()?.into())
}

fn number(word: Option<String>) -> anyhow::Result<usize> {
    let word = word.context("how many?")?;
    word.parse().with_context(|| format!("`{word}` is no number"))
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(wanted) = arguments.next() else {
        PATHS.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    };
    if wanted == "handshakes" {
        let many = number(arguments.next())?;
        let folder = arguments.next().context("with certificates from which folder?")?;
        let resumed = arguments.next().is_some_and(|word| word == "resumed");
        println!("{many} 0 {}", handshakes::handshakes(many, folder.as_ref(), resumed)?.as_nanos());
        return Ok(());
    }
    if wanted == "serve" {
        let address = arguments.next().context("at which address?")?;
        let folder = arguments.next().context("with certificates from which folder?")?;
        return handshakes::serve(address.parse()?, folder.as_ref());
    }
    let Some((_, prepare)) = PATHS.iter().find(|(name, _)| *name == wanted) else {
        bail!("there is no path `{wanted}`; `micro` alone names them");
    };
    let many = number(arguments.next())?;
    let stanzas = Stanzas::new(many);
    let bytes = stanzas.all().len();
    let (left, took) = counted(prepare(stanzas)?)?;
    drop(left);
    println!("{many} {bytes} {}", took.as_nanos());
    Ok(())
}
