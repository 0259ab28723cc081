//! What streams are set up with: fedge in one process, a server inside, a partner that takes what others say meanwhile, and
//! another one who is spoken to without fedge.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use testkit::lab::CONTOSO;
use testkit::lab::played::Sink;
use testkit::pki::{Issued, LabCa, Request};
use testkit::place::Place;
use testkit::process::Daemon;

use super::super::site::processor_time;
use super::callers::Proof;

/// Who takes what is said while others come back.
pub(super) const WITNESS: &str = "witness.test";
/// Below these are partners who prove themselves by certificate, and by dialback.
pub(super) const BY_CERTIFICATE: &str = "partners.test";
/// See [`BY_CERTIFICATE`].
pub(super) const BY_DIALBACK: &str = "dialers.test";
/// For fedge to forget those who left.
const PATIENCE: Duration = Duration::from_secs(60);
/// A process that is idle uses less in a tenth of a second.
const IDLE: Duration = Duration::from_millis(20);

pub(super) const EXTERNAL_FACE: SocketAddr = at(3, 15269);
/// Where handshakes are done and nothing else.
pub(super) const HANDSHAKES: SocketAddr = at(6, 15269);
pub(super) const INTERNAL_FACE: SocketAddr = at(2, 15269);
/// Where the server of those is who prove themselves by dialback.
pub(super) const DIALERS: SocketAddr = at(5, 15269);
const WITNESSES: SocketAddr = at(4, 15269);
/// Where somebody is who is spoken to without fedge.
pub(super) const BESIDE: SocketAddr = at(7, 15269);

const fn at(net: u8, port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, net, 7)), port)
}

/// Everything that runs. Dropping it ends it.
pub(super) struct Site {
    /// Takes the traffic.
    pub(super) witness: Sink,
    /// Takes what doesn't go through fedge.
    pub(super) beside: Sink,
    /// What proves to be contoso's server.
    pub(super) contosos: Issued,
    folder: PathBuf,
    daemon: Daemon,
    handshakes: Daemon,
}

impl Site {
    /// Starts it, with its files in `folder`: fedge, and beside it what does handshakes and nothing else.
    pub(super) async fn start([fedge, micro]: &[PathBuf; 2], folder: &Path) -> anyhow::Result<Site> {
        let ca = LabCa::new()?;
        ca.write(folder)?;
        let contosos = ca.issue(&Request::new(&[CONTOSO]))?;
        contosos.write(&folder.join("certificates"), "contoso")?;
        contosos.write(folder, "server")?;
        let names = [BY_CERTIFICATE, BY_DIALBACK].map(|name| format!("*.{name}"));
        ca.issue(&Request::new(&names.each_ref().map(String::as_str)))?.write(folder, "client")?;
        let witnesses = ca.issue(&Request::new(&[WITNESS]))?;
        let beside = Sink::start(BESIDE, WITNESS, CONTOSO, witnesses.clone()).await?;
        let witness = Sink::start(WITNESSES, WITNESS, CONTOSO, witnesses).await?;
        let text = format!(
            "[external]\nlisten = [\"{EXTERNAL_FACE}\"]\ncertificates = \"certificates\"\ntrusted = \"trusted.crt\"\n\n\
             [gateway]\nlisten = [\"{INTERNAL_FACE}\"]\ntrusted = \"trusted.crt\"\n\n\
             [[local]]\ndomains = [\"{CONTOSO}\"]\nnext_hop = \"127.0.1.1:15269\"\nexternal = \"required\"\n\n\
             [[partner]]\ndomains = [\"{WITNESS}\"]\nnext_hop = \"{WITNESSES}\"\nexternal = \"required\"\n\n\
             [[partner]]\ndomains = [\"*.{BY_CERTIFICATE}\"]\nnext_hop = \"{DIALERS}\"\nexternal = \"required\"\n\n\
             [[partner]]\ndomains = [\"*.{BY_DIALBACK}\"]\nnext_hop = \"{DIALERS}\"\nexternal = \"not-supported\"\n"
        );
        let config = folder.join("setup.toml");
        fs::write(&config, text)?;
        let mut command = Place::here().command(fedge);
        command.arg("run").arg(&config);
        let mut daemon = Daemon::start("fedge-edge", command, &folder.join("setup.log"))?;
        daemon.wait_for_line("is ready", PATIENCE)?;
        let mut command = Place::here().command(micro);
        command.args(["serve", &HANDSHAKES.to_string()]).arg(folder);
        let mut handshakes = Daemon::start("micro", command, &folder.join("handshakes.log"))?;
        handshakes.wait_for_line("is ready", PATIENCE)?;
        Ok(Site { witness, beside, contosos, folder: folder.to_owned(), daemon, handshakes })
    }

    /// Where partners find their certificate, `client.pem`.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The processor time that whoever answers those who come like this has used so far.
    pub(super) fn used(&self, proof: Proof) -> anyhow::Result<Duration> {
        let answers = if proof == Proof::Handshake { &self.handshakes } else { &self.daemon };
        processor_time(&answers.pid().to_string())
    }

    /// Milliseconds of processor time that the server's side of a handshake takes rustls alone, with the same certificates;
    /// resumed or not.
    pub(super) fn rustls_alone(&self, micro: &Path, handshakes: usize, resumed: bool) -> anyhow::Result<f64> {
        let mut command = Command::new(micro);
        command.args(["handshakes", &handshakes.to_string()]).arg(&self.folder).args(resumed.then_some("resumed"));
        let output = command.output()?;
        let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "the handshakes failed: {errors}");
        let time: f64 =
            said.split_whitespace().nth(2).and_then(|word| word.parse().ok()).context("no time was printed")?;
        Ok(time / 1e6 / handshakes as f64)
    }

    /// Waits until it has nothing to do any more, so that what one round leaves isn't counted in the next.
    pub(super) fn wait_until_quiet(&self, proof: Proof) -> anyhow::Result<()> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let before = self.used(proof)?;
            std::thread::sleep(Duration::from_millis(100));
            if self.used(proof)? - before < IDLE {
                return Ok(());
            }
        }
        bail!("something is busy {} s after everybody has left", PATIENCE.as_secs())
    }

    /// Ends fedge as an administrator would.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        self.daemon.terminate(PATIENCE)?;
        Ok(())
    }
}
