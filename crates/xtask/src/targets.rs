//! `cargo xtask targets`: what a first target that misbehaves costs senders, in a table for docs/targets.md.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use testkit::lab::Kind;
use testkit::lab::paced::{Fate, Paced};
use testkit::lab::target::BadTarget;
use testkit::packages::Debian;

mod sender;

use sender::{Measured, Sender};

/// Measures all of it; takes some minutes, because servers do.
///
/// # Errors
/// When something doesn't start; or when fedge lost, reordered or returned a message.
pub(crate) fn run() -> anyhow::Result<()> {
    let packages = [BadTarget::packages(), Kind::Ejabberd.packages().to_vec()].concat();
    Debian::unpack(&Debian::usual_folder(), &packages, &mut |told| println!("{told}"))?;
    println!("building fedge");
    testkit::fedge::Programs::built()?;
    let mut rows = Vec::new();
    for target in BadTarget::ALL {
        println!("measuring: {}", described(target));
        let measured = measure(target)?;
        let [.., through_fedge] = &measured;
        ensure!(through_fedge.paced.is_perfect(), "{target:?}, through fedge: {:?}", through_fedge.paced);
        rows.push((target, measured));
    }
    print(&rows);
    Ok(())
}

/// All senders at the same time: most of it is waiting.
fn measure(target: BadTarget) -> anyhow::Result<[Measured; 3]> {
    let runs = Sender::ALL.map(|sender| (sender, std::thread::spawn(move || sender.measure(target))));
    let mut measured = Vec::new();
    for (sender, run) in runs {
        let result = run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        measured.push(result.with_context(|| format!("{sender:?} with {target:?}"))?);
    }
    measured.try_into().map_err(|_| anyhow::anyhow!("one for each sender"))
}

fn print(rows: &[(BadTarget, [Measured; 3])]) {
    println!(
        "\n| the first target | Prosody, direct | ejabberd, direct | Prosody through fedge | fedge, next domain pair |"
    );
    println!("|---|---|---|---|---|");
    for (target, measured) in rows {
        let [prosody, ejabberd, fedge] = measured;
        let next = fedge.next_pair.map(seconds).unwrap_or_default();
        let [prosody, ejabberd, fedge] = [prosody, ejabberd, fedge].map(|measured| outcome(&measured.paced));
        println!("| {} | {prosody} | {ejabberd} | {fedge} | {next} |", described(*target));
    }
    let versions: Vec<&str> =
        rows.first().map(|(_, measured)| measured.iter().map(|run| run.version.as_str()).collect()).unwrap_or_default();
    println!("\n{}", versions.join("; "));
}

fn outcome(paced: &Paced) -> String {
    let count = |is: fn(&Fate) -> bool| paced.fates.iter().filter(|fate| is(fate)).count();
    let delivered = count(|fate| matches!(fate, Fate::Delivered(_)));
    let returned = count(|fate| matches!(fate, Fate::Returned(..)));
    let lost = count(|fate| *fate == Fate::Unknown);
    let mut told = format!("{delivered} of {} delivered", paced.fates.len());
    if let Some(after) = paced.first_delivery() {
        told += &format!(", the first after {}", seconds(after));
    }
    if let Some(after) = paced.first_return() {
        told += &format!(", {returned} returned from {} on", seconds(after));
    }
    if lost > 0 {
        told += &format!(", {lost} without a word");
    }
    told
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn described(target: BadTarget) -> &'static str {
    match target {
        BadTarget::Refused => "refuses (RST)",
        BadTarget::Dropped => "vanished (packets dropped)",
        BadTarget::Silent => "accepts, then silent",
        BadTarget::SilentAfterTls => "STARTTLS, then silent",
        BadTarget::Closes => "accepts, closes at once",
        BadTarget::Resets => "accepts, resets at once",
        BadTarget::DirectTlsCloses => "direct TLS: accepts, closes at once",
        BadTarget::DirectTlsGarbage => "direct TLS: a web server without TLS",
        BadTarget::DirectTlsSilent => "direct TLS: accepts, then silent",
        BadTarget::WrongCertificate => "certificate of another domain",
        BadTarget::HostUnknown => "stream error `host-unknown`",
        BadTarget::SystemShutdown => "stream error `system-shutdown`",
    }
}
