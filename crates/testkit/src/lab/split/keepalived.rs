//! Debian's keepalived beside each gateway: it moves the addresses that the gateways share, by the configuration that we hand out.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::{GATEWAYS, Split};
use crate::process::Daemon;

/// The packages that it takes.
pub const PACKAGES: &[&str] = &["keepalived"];

/// The configuration that administrators get, for the first gateway.
const CONFIGURATION: &str = "packaging/keepalived/gateways.conf";
/// What goes with it: the kernel's settings, and who resets connections to an address that has gone.
const KERNEL: &str = "packaging/keepalived/60-fedge-shared.conf";
const RESET: &str = "packaging/keepalived/fedge-reset";

impl Split {
    /// Starts a keepalived on the host of a gateway. It ends when it is dropped, and leaves addresses where they are.
    ///
    /// # Errors
    /// When no addresses are shared here, or it doesn't start; with its log.
    pub fn keepalived(&self, gateway: &str) -> anyhow::Result<Daemon> {
        let file = |part: &str| self.folder.join(format!("{gateway}.keepalived.{part}"));
        fs::write(file("conf"), self.configuration(gateway)?)?;
        let spot = self.sites.member(gateway);
        let set = spot.place.command("sysctl").arg("--load").arg(workspace()?.join(KERNEL)).output()?;
        ensure!(set.status.success(), "{KERNEL}: {}", String::from_utf8_lossy(&set.stderr));
        let mut command = self.debian.command(&spot.place, "usr/sbin/keepalived");
        // In the foreground, VRRP only, its log to us, and nothing of it where others look for theirs.
        command.args(["--dont-fork", "--log-console", "--log-detail", "--vrrp"]);
        command.arg("--use-file").arg(file("conf"));
        command.arg("--pid").arg(file("pid")).arg("--vrrp_pid").arg(file("vrrp.pid"));
        Daemon::start(&format!("keepalived of {gateway}"), command, &file("log"))
    }

    /// That of [`CONFIGURATION`] with this laboratory's addresses.
    fn configuration(&self, gateway: &str) -> anyhow::Result<String> {
        let workspace = workspace()?;
        let path = workspace.join(CONFIGURATION);
        let mut text = fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
        let other = GATEWAYS.iter().find(|other| **other != gateway).context("there is no other gateway")?;
        let shared = GATEWAYS.map(|gateway| self.sites.shared(gateway));
        let [Some(first), Some(second)] = shared else { anyhow::bail!("no addresses are shared here") };
        let socket = self.folder.join(format!("{gateway}.sock"));
        let program = self.programs.path("fedge-gateway");
        let mut replaced = vec![
            ("script_user fedge-gateway".to_owned(), "script_user root".to_owned()),
            (
                "/usr/local/bin/fedge-gateway health".to_owned(),
                format!("{} health --socket {}", program.display(), socket.display()),
            ),
            ("/usr/local/libexec/fedge-reset".to_owned(), workspace.join(RESET).display().to_string()),
            ("10.0.0.10".to_owned(), self.sites.member(gateway).address.to_string()),
            ("10.0.0.12".to_owned(), self.sites.member(other).address.to_string()),
            ("10.0.0.13".to_owned(), first.to_string()),
            ("10.0.0.14".to_owned(), second.to_string()),
        ];
        if gateway != GATEWAYS[0] {
            let swapped = [("254 #", "X #"), ("253 #", "254 #"), ("X #", "253 #")];
            replaced.extend(swapped.map(|(from, to)| (format!("priority {from}"), format!("priority {to}"))));
        }
        for (from, to) in replaced {
            ensure!(text.contains(&from), "{CONFIGURATION} says nowhere `{from}`");
            text = text.replace(&from, &to);
        }
        Ok(text)
    }
}

fn workspace() -> anyhow::Result<PathBuf> {
    Ok(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?)
}
