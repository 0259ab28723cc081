//! The command `enrol`: makes this machine's key, says its fingerprint, and waits for the controller.

use std::path::{Path, PathBuf};

use agent::disk;
use agent::enrol::{EnrolError, Waiting};
use api::agent::{Digest, Role};
use clap::Args;
use serde::Deserialize;
use topology::faults::Faults;

use crate::control::{Control, Section};
use crate::life::{self, Ending, ListenError};
use crate::settings::{self, ConfigError};

/// What it is told.
#[derive(Debug, Args)]
pub struct Enrol {
    /// The configuration, for its [control].
    file: PathBuf,
    /// This machine's name, as the topology has it.
    fqdn: String,
    /// The fingerprint of the controllers' CA.
    ca: Digest,
}

impl Enrol {
    /// The configuration.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// Why nobody was enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolFailure {
    /// The configuration.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// There is nothing in it for controllers.
    #[error("{}: there is no [control], so no controller could come; add it, with `listen` and `state`", .0.display())]
    NoControl(PathBuf),
    /// Nobody can come there.
    #[error("{0}; is the daemon stopped?")]
    Listen(#[from] ListenError),
    /// The state folder, the key or the name.
    #[error("{0}")]
    Enrol(#[from] EnrolError),
    /// Somebody ended it.
    #[error("ended before a controller came; run the same command again, the key stays the same")]
    Ended,
    /// The system.
    #[error("the system does not let fedge run: {0}")]
    System(#[from] std::io::Error),
}

impl EnrolFailure {
    /// Whether the configuration is at fault.
    pub fn is_configuration(&self) -> bool {
        matches!(self, EnrolFailure::Config(ConfigError::Faulty(_)) | EnrolFailure::NoControl(_))
    }
}

/// Does it, and returns when a controller has enrolled this machine.
///
/// # Errors
/// When that can't be.
pub fn enrol(told: &Enrol, role: Role, program: (&'static str, &'static str)) -> Result<(), EnrolFailure> {
    let control = control(&told.file)?.ok_or_else(|| EnrolFailure::NoControl(told.file.clone()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(wait(told, &control, role, program))
}

async fn wait(
    told: &Enrol,
    control: &Control,
    role: Role,
    program: (&'static str, &'static str),
) -> Result<(), EnrolFailure> {
    let mut ending = Ending::new()?;
    // As the topology writes names.
    let fqdn = told.fqdn.trim_end_matches('.').to_ascii_lowercase();
    let listeners = life::listen(&control.listen, &[])?;
    let waiting = Waiting::open(&control.state, &fqdn, role, told.ca, program)?;
    let at: Vec<String> =
        listeners.iter().filter_map(|listener| Some(listener.local_addr().ok()?.to_string())).collect();
    println!("The key of the {role} {fqdn} has the fingerprint");
    println!("  {}", waiting.fingerprint());
    println!("Where `fedge` reaches the controllers, run now, and compare:");
    println!("  {}", waiting.command());
    println!("Waiting for a controller at {}", at.join(", "));
    let kept = tokio::select! {
        kept = waiting.enrolled(listeners) => kept.map_err(EnrolFailure::from),
        () = ending.wait() => Err(EnrolFailure::Ended),
    };
    // Root enrols, and whoever the folder belongs to is to use what is in it.
    let given = disk::give_to_owner(&control.state);
    let kept = kept?;
    given?;
    let (version, epoch) = (kept.head.version, kept.head.route.epoch);
    println!(
        "Enrolled, with version {version} of the topology and epoch {epoch} of the route. Start {} now.",
        program.0
    );
    Ok(())
}

/// `[control]` of any daemon's configuration. What else is in the file may be made ready later.
fn control(file: &Path) -> Result<Option<Control>, ConfigError> {
    #[derive(Deserialize)]
    struct File {
        control: Option<Section>,
    }
    settings::read(file, |file: File, folder, faults: &mut Faults| {
        file.control.map(|control| control.read(folder, faults))
    })
}
