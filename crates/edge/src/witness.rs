//! The life of a witness: it looks at edge servers where controllers ask it to, as partners would, and carries nothing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime};

use agent::serve::Agent;
use agent::state::Kept;
use api::agent::Role;
use api::agent::content::{self, Content as _};
use api::local;
use daemon::control::{self, ControlledError};
use daemon::desk::{self, Certificate, Desk, Office};
use daemon::led::Led;
use daemon::life::{self, Ending};
use daemon::log::LogLevel;
use daemon::metrics;
use daemon::parts::{Parts, Shared};
use daemon::probe::Probes;
use net::certificates::NoCertificates;
use net::tls::Tls;
use tokio::signal::unix::{Signal, SignalKind, signal};
use topology::face::Face;
use topology::faults::Faults;
use topology::partner::{Local, Pattern};
use topology::policy::Policy;
use xmpp::domain::DomainError;
use xmpp::stream::{Need, Terms};

use crate::config::{Configured, Witness};
use crate::run::{Failure, PROGRAM};

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(5);

/// Reads the files that a configuration names; what is found of them, in lines.
///
/// # Errors
/// When the daemon would not start with it.
pub(crate) fn check(config: &Witness) -> Result<Vec<String>, Failure> {
    let parts = Parts::read(&config.face)?;
    let good = "a witness; for which domains it looks comes from controllers".to_owned();
    let warnings = parts.concerns(SystemTime::now()).into_iter().map(|concern| format!("warning: {concern}"));
    Ok([good].into_iter().chain(warnings).collect())
}

/// Which domains are our own, as a snapshot says. Nobody is a partner, so nobody is proven anything.
fn policy(snapshot: &Kept) -> Result<Policy, Faults> {
    let content = content::Witness::read(&snapshot.content)?;
    let mut faults = Faults::new("snapshot", &snapshot.content);
    let terms = Terms { tls: Need::Required, external: Need::Optional, dialback: true };
    let mut locals = Vec::new();
    for local in &content.local {
        match local.parse::<Pattern>() {
            Ok(pattern) => locals.push(Local { pattern, next_hop: None, terms, resend: false }),
            Err(error) => {
                let error: DomainError = error;
                faults.add(0..0, error.to_string(), "run the same fedge on the controllers");
            }
        }
    }
    faults.none_or(Policy::new(locals, Vec::new(), None))
}

/// Runs it until SIGTERM or SIGINT.
///
/// # Errors
/// When it can't start.
pub(crate) async fn work(file: &Path, config: &Witness, level: LogLevel) -> Result<(), Failure> {
    let began = Instant::now();
    let mut ending = Ending::new()?;
    // Before anybody knows that we run: until it is caught, this signal would end us.
    let hangup = signal(SignalKind::hangup())?;
    let check = |sent: &Kept| policy(sent).map(drop).map_err(|faults| faults.to_string());
    let led = tokio::select! {
        led = Led::begin(&config.control, (Role::Witness, PROGRAM), check) => led?,
        () = ending.wait() => return Ok(()),
    };
    let own = config.control.listen.iter().map(SocketAddr::ip).filter(|address| !address.is_unspecified());
    let known = policy(led.snapshot()).map_err(ControlledError::from)?;
    let shared = Shared::new(known, own.collect(), config.private_targets);
    let parts = Parts::read(&config.face)?;
    // What would be returned is for who carries.
    let (face, _) =
        parts.face(Face::External, &config.face, &config.settings, &shared, Tls::new(Arc::new(NoCertificates)))?;
    let metrics_listeners = life::listen(&config.metrics, &[])?;
    let socket = config.socket.as_deref().map(desk::bind).transpose()?;
    let agent = led.agent().clone();
    let desk = Arc::new(Desk {
        program: PROGRAM,
        began,
        level,
        streams: shared.streams.clone(),
        fates: shared.fates.clone(),
        draining: AtomicBool::new(false),
        probes: Probes::default(),
        faces: Vec::new(),
        looks_from: Some(face),
        office: Box::new(Observer { parts: parts.clone(), agent }),
    });
    let _metrics = metrics::serve(metrics_listeners, desk.clone());
    let _desk = socket.map(|socket| desk::open(socket, desk.clone()));
    let watching = tokio::spawn(watch(parts, file.to_owned(), hangup));
    life::ready(PROGRAM.0, PROGRAM.1);
    let follows = led.follow(&desk, |snapshot, _| {
        shared.policy.store(Arc::new(policy(snapshot).map_err(|faults| faults.to_string())?));
        Ok(())
    });
    tokio::select! {
        () = ending.wait() => {}
        never = follows => match never {},
    }
    life::stopping();
    watching.abort();
    Ok(())
}

/// Takes over changed roots and revocation lists: by themselves, and what names them on SIGHUP.
async fn watch(parts: Parts, file: PathBuf, mut hangup: Signal) {
    let mut look = tokio::time::interval(LOOK);
    let read_again = || match Configured::read(&file)? {
        Configured::Witness(config) => {
            parts.replace(&Parts::read(&config.face)?);
            Ok::<_, Failure>(())
        }
        Configured::Edge(_) => {
            tracing::warn!("whether this is a witness changes with the next start");
            Ok(())
        }
    };
    loop {
        tokio::select! {
            _ = hangup.recv() => match read_again() {
                Ok(()) => tracing::info!("roots were read again; other changes need a restart"),
                Err(error) => tracing::error!(%error, "the configuration can't be used; everything stays as it was"),
            },
            _ = look.tick() => parts.look(),
        }
    }
}

/// What a witness's desk answers that is a witness's alone.
struct Observer {
    parts: Parts,
    agent: Arc<Agent>,
}

impl Office for Observer {
    fn concerns(&self) -> Vec<String> {
        [self.parts.concerns(SystemTime::now()), self.agent.concerns()].concat()
    }

    fn certificates(&self) -> Vec<Certificate> {
        vec![control::certificate(&self.agent)]
    }

    fn led(&self) -> Option<local::Led> {
        control::led(&self.agent)
    }
}

#[cfg(test)]
mod tests {
    use api::agent::Route;
    use xmpp::domain::Domain;

    use super::*;

    fn known(content: &str) -> Result<Policy, Faults> {
        let route = Route { epoch: 1, pool: "pool1.contoso.test".to_owned() };
        policy(&Kept::new("contoso-1", "witness1.contoso.test", (1, "topology"), route, content.to_owned()))
    }

    #[test]
    fn it_knows_local_domains_and_no_partner() {
        let policy = known("local = ['contoso.test', '*.im.contoso.test']").expect("it is good");
        let domain = |text| Domain::parse(text).expect("a domain");
        assert!(
            policy.local(&domain("contoso.test")).is_some() && policy.local(&domain("a.im.contoso.test")).is_some()
        );
        assert!(policy.partner(&domain("fabrikam.test")).is_err());
        let faults = known("local = ['no domain', '*']").expect_err("two faults");
        assert_eq!(faults.list().len(), 2, "{faults}");
    }
}
