//! Small disks, to be filled to the last byte: seen by one test and by what it starts, and by nobody else.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context as _, ensure};
use nix::sched::{CloneFlags, unshare};

/// What is written at once to fill a disk; a file takes no less.
const PAGE: [u8; 4096] = [0; 4096];

/// Does `work` on a thread, in which disks can be made; threads and programs that it starts see them, and nobody else does.
///
/// # Errors
/// When this process may not do that: it has to be root's.
///
/// # Panics
/// When `work` does.
pub fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).context("can't make a mount namespace: this has to run as root")?;
            run(Command::new("mount").args(["--make-rprivate", "/"]))?;
            Ok(work())
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A disk of its own for a folder. It vanishes, with all that is on it, when this is dropped.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
}

/// A disk without any room, until this is dropped.
#[derive(Debug)]
pub struct Full {
    file: PathBuf,
}

impl Disk {
    /// Puts what is in the folder, which must hold files only and be in nobody's use, on a disk of so many megabytes.
    ///
    /// # Errors
    /// Outside of [`apart`], or when files can't be moved.
    pub fn under(folder: &Path, megabytes: usize) -> anyhow::Result<Disk> {
        let own = |thread: &str| fs::read_link(format!("/proc/{thread}/ns/mnt"));
        ensure!(own("thread-self")? != own("self")?, "everybody would see this disk: make it in `apart`");
        let files: Vec<PathBuf> =
            fs::read_dir(folder)?.map(|entry| anyhow::Ok(entry?.path())).collect::<Result<_, _>>()?;
        let contents = files.iter().map(|file| anyhow::Ok((file, fs::read(file)?, fs::metadata(file)?.permissions())));
        let contents: Vec<_> = contents.collect::<Result<_, _>>()?;
        let permissions = fs::metadata(folder)?.permissions();
        let size = format!("size={megabytes}m");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder))?;
        let disk = Disk { folder: folder.to_owned() };
        fs::set_permissions(folder, permissions)?;
        for (file, content, permissions) in contents {
            fs::write(file, content)?;
            fs::set_permissions(file, permissions)?;
        }
        Ok(disk)
    }

    /// Fills it.
    ///
    /// # Errors
    /// When writing fails for another reason than that it is full.
    pub fn fill(&self) -> anyhow::Result<Full> {
        let full = Full { file: self.folder.join("what fills it") };
        let mut file = File::create(&full.file)?;
        loop {
            match file.write_all(&PAGE) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(full),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whatever still has files open there keeps them.
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.folder));
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("can't start {}", command.get_program().display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", command.get_program().display(), said.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Disk, apart};
    use std::fs;
    use std::io::ErrorKind;

    #[test]
    fn a_disk_is_full_until_there_is_room_again_and_others_do_not_see_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| folder.path().join(name);
        fs::write(file("before"), "there").expect("room");
        apart(|| {
            let disk = Disk::under(folder.path(), 1).expect("a disk");
            assert_eq!(fs::read_to_string(file("before")).expect("a file"), "there");
            let full = disk.fill().expect("it can be filled");
            let error = fs::write(file("more"), "of it").expect_err("no room");
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            drop(full);
            fs::write(file("after"), "of it").expect("room again");
        })
        .expect("root");
        assert!(!file("after").exists());
    }
}
