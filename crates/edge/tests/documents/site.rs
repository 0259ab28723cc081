//! A folder as the documents lay down `/etc/fedge`: certificates, secrets, the internal CA, both configurations.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use testkit::fedge::Programs;
use testkit::pki::{LabCa, Request};

use super::reading::read;

/// What the documents call it.
pub(crate) const ETC: &str = "/etc/fedge";

/// The complete configurations among the documents, and who runs by them.
pub(crate) const EXAMPLES: [(&str, &str); 11] = [
    ("fedge-edge", "edge.toml"),
    ("fedge-edge", "edge-trunk.toml"),
    ("fedge-edge", "edge-controlled.toml"),
    ("fedge-edge", "witness.toml"),
    ("fedge-gateway", "gateway.toml"),
    ("fedge-gateway", "gateway-controlled.toml"),
    ("fedge-dns", "dns.toml"),
    ("fedge-dns", "dns-controlled.toml"),
    ("fedge-dns", "dns-zones.toml"),
    ("fedge-control", "control.toml"),
    ("fedge topology", "topology.toml"),
];

/// Such a folder. It vanishes when it is dropped.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    programs: Programs,
}

impl Site {
    /// One in which nothing is yet.
    pub(crate) fn empty() -> Site {
        let programs = Programs::built().expect("fedge's programs can be built");
        Site { folder: tempfile::tempdir().expect("a folder"), programs }
    }

    /// One with all that the example configurations name.
    pub(crate) fn new() -> Site {
        let site = Site::empty();
        let public_ca = LabCa::new().expect("a key");
        let issue = |domains: &[&str]| public_ca.issue(&Request::new(domains)).expect("ASCII");
        let contoso = issue(&["contoso.test", "conference.contoso.test"]);
        contoso.write_apart(&site.path("certificates"), "contoso").expect("written");
        fs::write(site.path("internal-servers.crt"), &contoso.certificate).expect("written");
        fs::write(site.path("system.crt"), public_ca.pem()).expect("written");
        fs::create_dir(site.path("secrets")).expect("made");
        for face in ["external", "internal"] {
            fs::write(site.path("secrets").join(format!("dialback-{face}")), "a secret of some length\n")
                .expect("written");
        }
        for line in [
            "topology init /etc/fedge/first.toml",
            "ca init /etc/fedge/ca --local contoso.test",
            "trunk init /etc/fedge/trunk",
            "trunk member /etc/fedge/trunk edge1.contoso.test --as edge",
            "trunk member /etc/fedge/trunk gateway1.contoso.test --as gateway",
        ] {
            let made = site.run(&format!("fedge {line}"));
            assert!(made.status.success(), "{line}: {made:?}");
        }
        let made = site.run("fedge-control init /etc/fedge/control-ca");
        assert!(made.status.success(), "{made:?}");
        // As its administrator is told.
        fs::rename(site.path("ca/root.key"), site.path("offline-root.key")).expect("moved");
        for (_, name) in EXAMPLES {
            fs::write(site.path(name), read(format!("docs/examples/{name}"))).expect("written");
        }
        site
    }

    /// A file in it.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command of fedge's as the documents write it, with this folder for [`ETC`].
    pub(crate) fn run(&self, line: &str) -> Output {
        let here = self.folder.path().display().to_string();
        let words: Vec<String> = line.split_whitespace().map(|word| word.replace(ETC, &here)).collect();
        let (program, arguments) = words.split_first().expect("a command");
        let mut command = self.program(program);
        // The roots that "the system" trusts, whatever this machine has.
        command.env("SSL_CERT_FILE", self.path("system.crt")).env_remove("SSL_CERT_DIR");
        command.args(arguments).output().expect("it can be run")
    }

    /// One of fedge's programs, to be given arguments.
    pub(crate) fn program(&self, name: &str) -> Command {
        Command::new(self.programs.path(name))
    }

    /// What a command printed, with [`ETC`] for this folder.
    pub(crate) fn told(&self, output: &Output) -> String {
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        text.replace(&self.folder.path().display().to_string(), ETC)
    }
}
