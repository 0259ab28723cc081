//! Works out and fetches what is needed, with apt-get's own solver on lists and a cache of ours.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::run;

const SETTINGS: &str = "apt.conf";

/// Read after the machine's own settings. Its hooks would tidy caches of the system; the locks are
/// those of its package management; apt's unprivileged user couldn't write into our folder.
const TEXT: &str = r#"#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State::status "/var/lib/dpkg/status";
Debug::NoLocking "true";
APT::Sandbox::User "";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
"#;

/// One Debian package in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, as Debian writes it.
    pub version: String,
    /// How much there is to fetch.
    pub bytes: u64,
    /// The name of its file, unique for package, version and architecture.
    pub(super) file: String,
}

/// apt-get, reading the machine's sources and what is installed, writing only below its folder.
pub(super) struct Apt {
    folder: PathBuf,
    /// Whether the lists were fetched by this very process, so that doing it again wouldn't help.
    fresh: bool,
}

impl Apt {
    pub(super) fn new(folder: &Path) -> anyhow::Result<Apt> {
        let folder = std::path::absolute(folder)?;
        // apt-get doesn't make these itself.
        for part in ["state/lists/partial", "cache/archives/partial", "none/partial"] {
            let part = folder.join(part);
            fs::create_dir_all(&part).with_context(|| format!("can't make {}", part.display()))?;
        }
        let settings = folder.join(SETTINGS);
        fs::write(&settings, TEXT).with_context(|| format!("can't write {}", settings.display()))?;
        Ok(Apt { folder, fresh: false })
    }

    /// What installing `packages` would install, at the versions that are current.
    pub(super) fn needed(&mut self, packages: &[String], say: &mut dyn FnMut(&str)) -> anyhow::Result<Vec<Package>> {
        if !self.has_lists()? {
            self.update(say)?;
        }
        self.solve(packages)
    }

    /// Fetches what [`Apt::needed`] names and gives the files.
    pub(super) fn fetch(
        &mut self,
        packages: &[String],
        say: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Vec<(Package, PathBuf)>> {
        let needed = self.needed(packages, say)?;
        match self.download(packages, &needed, say) {
            // Lists that were fetched long ago name versions that are gone.
            Err(_) if !self.fresh => {
                self.update(say)?;
                let needed = self.solve(packages)?;
                self.download(packages, &needed, say)
            }
            result => result,
        }
    }

    fn has_lists(&self) -> anyhow::Result<bool> {
        let lists = fs::read_dir(self.folder.join("state/lists"))?;
        Ok(lists.filter_map(Result::ok).any(|list| list.file_name().to_string_lossy().contains("_Packages")))
    }

    fn update(&mut self, say: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        say("fetching Debian's package lists");
        // One source of several may be out of order; whether the rest is enough, the solver finds out.
        let result = run(self.apt_get().arg("update"));
        self.fresh = true;
        if !self.has_lists()? {
            result.context("can't fetch package lists")?;
            bail!("this machine's apt has no package sources");
        }
        Ok(())
    }

    fn solve(&self, packages: &[String]) -> anyhow::Result<Vec<Package>> {
        // In an empty cache: what is fetched already would not be named.
        let mut archives = OsString::from("Dir::Cache::archives=");
        archives.push(self.folder.join("none"));
        let lines = run(self.apt_get().arg("-o").arg(archives).args(["--print-uris", "install"]).args(packages))?;
        lines.lines().filter(|line| line.starts_with('\'')).map(package).collect()
    }

    fn download(
        &self,
        packages: &[String],
        needed: &[Package],
        say: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Vec<(Package, PathBuf)>> {
        let archives = self.folder.join("cache/archives");
        let absent = needed.iter().filter(|package| !archives.join(&package.file).exists());
        let (count, bytes) = absent.fold((0, 0), |(count, bytes), package| (count + 1, bytes + package.bytes));
        if count > 0 {
            say(&format!("fetching {count} packages, {} MB", bytes.div_ceil(1_000_000)));
            run(self.apt_get().args(["--download-only", "install"]).args(packages))?;
        }
        let files = needed.iter().map(|package| (package.clone(), archives.join(&package.file)));
        Ok(files.collect())
    }

    fn apt_get(&self) -> Command {
        let mut command = Command::new("apt-get");
        command.arg("-c").arg(self.folder.join(SETTINGS)).args(["--yes", "-qq"]);
        for (option, part) in [("Dir::State", "state"), ("Dir::Cache", "cache")] {
            let mut setting = OsString::from(format!("{option}="));
            setting.push(self.folder.join(part));
            command.arg("-o").arg(setting);
        }
        command
    }
}

/// Reads a line such as `'http://…/lua5.4_5.4.4-3_amd64.deb' lua5.4_5.4.4-3_amd64.deb 127780 SHA256:…`.
pub(super) fn package(line: &str) -> anyhow::Result<Package> {
    let read = || {
        let mut words = line.split(' ').skip(1);
        let (file, bytes) = (words.next()?, words.next()?);
        let mut parts = file.split('_');
        let (name, version) = (parts.next()?, parts.next()?);
        let version = version.replace("%3a", ":");
        Some(Package { name: name.to_owned(), version, bytes: bytes.parse().ok()?, file: file.to_owned() })
    };
    read().with_context(|| format!("apt-get names a package in a way that isn't understood: {line}"))
}
