//! A daemon of a laboratory: started, awaited until it is ready, ended for certain, its log in every error.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

mod listeners;
#[cfg(test)]
mod tests;

/// How often a condition is looked at: soon at first, for what takes milliseconds.
const FIRST_LOOK: Duration = Duration::from_millis(2);
const NEXT_LOOKS: Duration = Duration::from_millis(50);
/// How long a stopped program may take to stand still.
const STANDSTILL: Duration = Duration::from_secs(20);
/// How much of a log an error shows.
const LINES_SHOWN: usize = 25;

/// Lets this process, and those that it starts from here on, have at least so many files open.
///
/// # Errors
/// When the machine doesn't allow it; says what to do.
pub fn allow_open_files(at_least: usize) -> anyhow::Result<()> {
    let at_least = at_least as u64;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= at_least {
        return Ok(());
    }
    setrlimit(Resource::RLIMIT_NOFILE, at_least, hard.max(at_least))
        .with_context(|| format!("{at_least} open files are needed: raise the hard limit (`ulimit -Hn`, {hard} now)"))
}

/// A program that runs until it is told to end. It leads a process group of its own, which no
/// Ctrl-C at the terminal reaches; dropping it kills the group.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Daemon {
    /// Starts `command`; what it prints goes to the end of the file `log`. `name` is what errors
    /// call it.
    ///
    /// # Errors
    /// When the program isn't there or can't be started, or the file can't be written.
    pub fn start(name: &str, mut command: Command, log: &Path) -> anyhow::Result<Daemon> {
        let output = File::options().create(true).append(true).open(log);
        let output = output.with_context(|| format!("can't write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let program = command.get_program().display().to_string();
        let child = command.spawn().with_context(|| format!("can't start {name} ({program})"))?;
        Ok(Daemon { name: name.to_owned(), child, log: log.to_owned(), ended: None })
    }

    /// Its process id, which is that of its process group, too.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file with what it printed.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until `log()` has a line with `needle` and gives the first one.
    ///
    /// # Errors
    /// With the log's last lines, when it ends before or there is none within `bound`.
    pub fn wait_for_line(&mut self, needle: &str, bound: Duration) -> anyhow::Result<String> {
        let log = self.log.clone();
        self.wait_for(&format!("the line “{needle}” in its log"), bound, || {
            let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
            // The last line may be half written.
            let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            Ok(lines.map(str::trim_end).find(|line| line.contains(needle)).map(str::to_owned))
        })
    }

    /// Waits until it listens on TCP at `address`, in whichever network it runs. No connection is made.
    ///
    /// # Errors
    /// With the log's last lines, when it ends before or doesn't listen within `bound`.
    pub fn wait_for_listener(&mut self, address: SocketAddr, bound: Duration) -> anyhow::Result<()> {
        let pid = self.pid();
        self.wait_for(&format!("a listener at {address}"), bound, || Ok(listeners::has(pid, address)?.then_some(())))
    }

    /// Waits until `look` gives something; errors call it `what`.
    ///
    /// # Errors
    /// Those of `look`; or with the log's last lines, when the daemon ends before or `bound` is over.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        bound: Duration,
        mut look: impl FnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let (began, mut pause) = (Instant::now(), FIRST_LOOK);
        loop {
            // In this order: what it did before it ended counts.
            let status = self.status()?;
            match look() {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(error) if self.is_running()? => {
                    return Err(error.context(self.told(&format!("waiting for {what}"))));
                }
                Err(_) => {}
            }
            if let Some(status) = status {
                bail!(self.told(&format!("ended ({status}) before there was {what}")));
            }
            if began.elapsed() >= bound {
                bail!(self.told(&format!("{} s passed without {what}", bound.as_secs_f32())));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(NEXT_LOOKS);
        }
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When the system won't say.
    pub fn is_running(&mut self) -> anyhow::Result<bool> {
        Ok(self.status()?.is_none())
    }

    /// Sends `signal` to its process group, for tests in which daemons freeze or die. After SIGSTOP it stands still: on
    /// a busy machine its threads go on for a while after the signal was sent, and this waits for them.
    ///
    /// # Errors
    /// When it has ended, or doesn't stand still.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        if let Some(status) = self.status()? {
            bail!(self.told(&format!("can't be sent {signal}, it has ended ({status})")));
        }
        killpg(self.group(), signal)?;
        if signal == Signal::SIGSTOP {
            let tasks = PathBuf::from(format!("/proc/{}/task", self.pid()));
            self.wait_for("a standstill", STANDSTILL, || Ok(stand_still(&tasks)?.then_some(())))?;
        }
        Ok(())
    }

    /// Asks it to end with SIGTERM, kills it when it hasn't ended within `bound`.
    ///
    /// # Errors
    /// With the log's last lines, when it had ended by itself or had to be killed.
    pub fn terminate(mut self, bound: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        let (began, mut pause) = (Instant::now(), FIRST_LOOK);
        loop {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            if began.elapsed() >= bound {
                // Drop kills it.
                bail!(self.told(&format!("still ran {} s after SIGTERM", bound.as_secs_f32())));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(NEXT_LOOKS);
        }
    }

    /// An error's text: what happened, then the last lines of the log.
    fn told(&self, what: &str) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n  ");
        format!("{}: {what}\n  log {}:\n  {last}", self.name, self.log.display())
    }

    /// How it ended, if it has.
    fn status(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().with_context(|| format!("no word of {}", self.name))?;
            if self.ended.is_some() {
                // Helpers that it started may be left. Not later: its number may be given away then.
                self.kill();
            }
        }
        Ok(self.ended)
    }

    fn kill(&self) {
        // An empty group is an error that changes nothing.
        let _ = killpg(self.group(), Signal::SIGKILL);
    }

    fn group(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

/// Whether all threads of a process are stopped.
fn stand_still(tasks: &Path) -> anyhow::Result<bool> {
    for task in fs::read_dir(tasks)? {
        match fs::read_to_string(task?.path().join("stat")) {
            // The state follows the name, which is in brackets.
            Ok(stat) if stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T')) => {}
            Ok(_) => return Ok(false),
            // One that just ended.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.kill();
            let _ = self.child.wait();
        }
    }
}
