//! Debian's packages without installing them: unpacked into a folder of ours and run from there.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::place::Place;

mod apt;
mod stamp;
#[cfg(test)]
mod tests;

use apt::Apt;
pub use apt::Package;
use stamp::Stamp;

/// Packages and what they depend on, unpacked below a folder as they would be below `/`. What the
/// machine has installed already is used where it is. No maintainer script ever runs, nothing of
/// the system changes, and no service of it is started; all of it works without root's rights.
#[derive(Debug, Clone)]
pub struct Debian {
    folder: PathBuf,
}

impl Debian {
    /// Where this workspace unpacks packages: `fedge-lab/debian` below cargo's target folder.
    pub fn usual_folder() -> PathBuf {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"));
        target.join("fedge-lab/debian")
    }

    /// What [`Debian::unpack`] would fetch: nothing when all is in `folder` already. It may have to
    /// fetch Debian's package lists to know, and tells `say` so.
    ///
    /// # Errors
    /// When apt-get isn't there, can't fetch its lists, or knows no such packages.
    pub fn missing(folder: &Path, packages: &[&str], say: &mut dyn FnMut(&str)) -> anyhow::Result<Vec<Package>> {
        let _lock = lock(folder)?;
        let stamp = Stamp::read(folder)?;
        if stamp.satisfies(packages) {
            return Ok(Vec::new());
        }
        let mut apt = Apt::new(&folder.join(".apt"))?;
        let needed = apt.needed(&stamp.with(packages), say)?;
        Ok(needed.into_iter().filter(|package| !stamp.has(package)).collect())
    }

    /// Unpacks `packages` and all that they need and the machine lacks into `folder`, in addition to
    /// what is there. The first time it fetches them from the machine's usual package sources, which
    /// it tells `say`; afterwards it is quick. Processes may do this at the same time.
    ///
    /// # Errors
    /// When apt-get or dpkg-deb isn't there, packages are unknown or can't be fetched, or the folder
    /// can't be written.
    pub fn unpack(folder: &Path, packages: &[&str], say: &mut dyn FnMut(&str)) -> anyhow::Result<Debian> {
        let _lock = lock(folder)?;
        let folder = folder.canonicalize().with_context(|| format!("no folder {}", folder.display()))?;
        let mut stamp = Stamp::read(&folder)?;
        if !stamp.satisfies(packages) {
            let mut apt = Apt::new(&folder.join(".apt"))?;
            let wanted = stamp.with(packages);
            let mut files = apt.fetch(&wanted, say)?;
            files.retain(|(package, _)| !stamp.has(package));
            say(&format!("unpacking {} packages", files.len()));
            for (package, file) in files {
                run(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(&folder))?;
                stamp.add(&package);
            }
            stamp.done(&wanted).write(&folder)?;
        }
        Ok(Debian { folder })
    }

    /// Where `file`, given relative to `/`, is: below the folder, or else installed.
    pub fn path(&self, file: &str) -> PathBuf {
        let unpacked = self.folder.join(file);
        if unpacked.exists() { unpacked } else { Path::new("/").join(file) }
    }

    /// Where the libraries of `package` are that only it uses.
    pub fn libraries(&self, package: &str) -> PathBuf {
        self.path(&format!("usr/lib/{}/{package}", triplet()))
    }

    /// Runs a program, given relative to `/`, in `place`; its libraries are found.
    pub fn command(&self, place: &Place, program: &str) -> Command {
        self.command_with(place, program, &[])
    }

    /// The same for a program that looks for libraries in the folders `also`, too.
    pub fn command_with(&self, place: &Place, program: &str, also: &[PathBuf]) -> Command {
        let mut command = place.command(self.path(program));
        command.env("LD_LIBRARY_PATH", self.library_path(also));
        command
    }

    /// Runs a Lua 5.4 script in `place`; Lua's modules are found.
    pub fn lua(&self, place: &Place, script: &Path) -> Command {
        let mut command = self.command(place, "usr/bin/lua5.4");
        let (modules, compiled) = ("usr/share/lua/5.4", format!("usr/lib/{}/lua/5.4", triplet()));
        // Two semicolons stand for Lua's own folders.
        let search = |folder: &str, file: &str| format!("{}/{file};;", self.folder.join(folder).display());
        command.env("LUA_PATH", search(modules, "?.lua")).env("LUA_CPATH", search(&compiled, "?.so"));
        command.env_remove("LUA_PATH_5_4").env_remove("LUA_CPATH_5_4").arg(script);
        command
    }

    /// Runs Erlang's virtual machine in `place`: not as a distributed node, so that no `epmd` is
    /// started or asked; applications that Debian keeps outside of Erlang's own folder are found.
    ///
    /// # Errors
    /// When there is no Erlang.
    pub fn erlang(&self, place: &Place) -> anyhow::Result<Command> {
        let root = self.path("usr/lib/erlang");
        let parts = fs::read_dir(&root).with_context(|| format!("no Erlang in {}", root.display()))?;
        let binaries = parts.filter_map(|part| Some(part.ok()?.path().join("bin")));
        let newest = binaries.filter(|binaries| binaries.join("erlexec").exists()).max();
        let binaries = newest.with_context(|| format!("no erts-… in {}", root.display()))?;
        let mut command = place.command(binaries.join("erlexec"));
        command.env("LD_LIBRARY_PATH", self.library_path(&[]));
        command.env("ROOTDIR", &root).env("BINDIR", &binaries).env("EMU", "beam").env("PROGNAME", "erl");
        command.env_remove("ERL_FLAGS").env_remove("ERL_AFLAGS").env_remove("ERL_ZFLAGS");
        let applications = ["usr/lib/erlang/lib", &format!("usr/lib/{}", triplet())].map(|lib| self.folder.join(lib));
        command.env("ERL_LIBS", joined(applications.into_iter().chain([installed_libraries()])));
        Ok(command)
    }

    /// Where the libraries of everything unpacked are, for the dynamic linker.
    pub(crate) fn library_path(&self, also: &[PathBuf]) -> OsString {
        let folders = ["usr/lib", "lib"].map(|lib| self.folder.join(lib).join(triplet()));
        let given = std::env::var_os("LD_LIBRARY_PATH");
        let given = given.iter().flat_map(std::env::split_paths).collect::<Vec<_>>();
        joined(folders.into_iter().chain(also.iter().cloned()).chain(given))
    }
}

/// The name of the folders in which Debian keeps this architecture's libraries.
fn triplet() -> String {
    format!("{}-linux-gnu", std::env::consts::ARCH)
}

fn installed_libraries() -> PathBuf {
    Path::new("/usr/lib").join(triplet())
}

/// Folders in the way of `PATH`; one with a colon in its name, which no such list can hold, is left out.
fn joined(folders: impl Iterator<Item = PathBuf>) -> OsString {
    let folders = folders.filter(|folder| !folder.as_os_str().as_encoded_bytes().contains(&b':'));
    std::env::join_paths(folders).unwrap_or_default()
}

/// One process at a time changes a folder; the lock goes with the file.
fn lock(folder: &Path) -> anyhow::Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    let path = folder.join(".lock");
    let file = File::create(&path).with_context(|| format!("can't write {}", path.display()))?;
    file.lock().with_context(|| format!("can't lock {}", path.display()))?;
    Ok(file)
}

/// Runs a command to its end and gives its output.
fn run(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .env("LC_ALL", "C")
        .output()
        .with_context(|| format!("can't start {program}: this needs Debian or a system made from it"))?;
    anyhow::ensure!(
        output.status.success(),
        "{program}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
