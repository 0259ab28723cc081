//! The whole way: from the bytes of an accepted stream to those of a dialed one and back to the acknowledgement, through
//! both faces as one process has them. Only sockets and TLS are left out.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, ensure};
use arc_swap::ArcSwap;
use net::accept::{Opened, run_opened};
use net::bridge::join;
use net::certificates::NoCertificates;
use net::crypto::Sha2;
use net::dead::Dead;
use net::dial::AttemptError;
use net::face::{FaceState, Settings};
use net::fate::Fates;
use net::holder::Holder;
use net::judge::{Judge, Roots};
use net::network::{Connected, Connecting, Network};
use net::race::Milestone;
use net::resolve::{Resolver, Target};
use net::serve::{Served, serve};
use net::streams::Streams;
use net::tls::{Established, Tls};
use net::transport::Transport;
use net::turns::Turns;
use rustls_pki_types::CertificateDer;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use topology::face::Face;
use topology::partner::{Local, NextHop, Partner, Pattern};
use topology::policy::Policy;
use xmpp::dialback::Secrets;
use xmpp::domain::DomainPair;

use crate::parts::{TERMS, domain};
use crate::stanzas::{FROM, Stanzas, TO};
use crate::{Left, Work};

mod played;

use played::{Receiver, Sender, Wire};

/// What is remembered of fates, as daemons do.
const FATES: usize = 10_000;
/// Where everybody is; nobody really dials it.
const SOMEWHERE: &str = "192.0.2.1:5269";

/// A certificate for each of the two domains, and a judge who knows them.
struct Shown {
    chains: [Vec<CertificateDer<'static>>; 2],
    judge: Arc<ArcSwap<Judge>>,
}

impl Shown {
    fn make() -> anyhow::Result<Shown> {
        let mut pem = String::new();
        let mut make = |name: &str| {
            let rcgen::CertifiedKey { cert, .. } = rcgen::generate_simple_self_signed(vec![name.to_owned()])?;
            pem.push_str(&cert.pem());
            anyhow::Ok(vec![cert.der().clone()])
        };
        let chains = [make(FROM)?, make(TO)?];
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), &pem)?;
        let judge = Judge::new(Roots::File(file.path().to_owned()), Vec::new())?;
        Ok(Shown { chains, judge: Arc::new(ArcSwap::from_pointee(judge)) })
    }
}

/// By which the external face reaches the partner: it answers at once.
struct Partners {
    chain: Vec<CertificateDer<'static>>,
    receiver: Mutex<Option<Wire<Receiver>>>,
}

impl Network for Partners {
    fn connect<'a>(
        &'a self,
        _: &'a FaceState,
        _: &'a DomainPair,
        _: &'a Target,
        milestone: &'a Milestone,
    ) -> Connecting<'a> {
        Box::pin(async move {
            let wire = self.receiver.lock().ok().and_then(|mut receiver| receiver.take());
            let wire = wire.ok_or_else(|| AttemptError::Io(io::ErrorKind::ConnectionRefused.into()))?;
            milestone.connected();
            let (chain, cipher) = (self.chain.clone(), "a wire".to_owned());
            let secured = Established { chain, own_certificate: true, version: "no TLS", cipher };
            Ok(Connected { transport: Transport::Other(Box::new(wire)), secured: Some(secured) })
        })
    }
}

fn policy() -> anyhow::Result<Policy> {
    let hop: Option<NextHop> = Some(SOMEWHERE.parse()?);
    let pattern = |name| anyhow::Ok(Pattern::exactly(domain(name)?));
    let local = Local { pattern: pattern(FROM)?, next_hop: hop.clone(), terms: TERMS, resend: false };
    let partner = Partner { pattern: Some(pattern(TO)?), next_hop: hop, terms: TERMS, resend: false };
    Ok(Policy::new(vec![local], vec![partner], None))
}

/// One face at work.
fn face(which: Face, shown: &Shown, network: Arc<dyn Network>) -> anyhow::Result<(Arc<FaceState>, Served)> {
    let settings = Settings::default();
    let (holder, returns) = Holder::new(settings.hold.clone(), &Fates::new(FATES));
    let face = Arc::new(FaceState {
        face: which,
        settings,
        policy: Arc::new(ArcSwap::from_pointee(policy()?)),
        judge: shown.judge.clone(),
        secrets: Arc::new(ArcSwap::from_pointee(Secrets::new(&Sha2, b"nobody is asked", &[]))),
        tls: Tls::new(Arc::new(NoCertificates)),
        turns: Turns::for_this_machine(),
        resolver: Resolver::new(&[SOMEWHERE.parse()?])?,
        network,
        own_addresses: Vec::new(),
        private_targets: true,
        streams: Arc::new(Streams::default()),
        holder,
        dead: Mutex::new(Dead::default()),
    });
    let served = serve(&face, returns);
    Ok((face, served))
}

/// From the bytes of one stream to those of another, until the sender's server has every acknowledgement.
pub(crate) fn forward(stanzas: Stanzas) -> anyhow::Result<Work> {
    // Timers, but no sockets: nothing depends on what else the machine does.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let many = stanzas.len();
    let (receiver, received) = Receiver::new();
    let (sender, sent) = Sender::new(stanzas);
    let shown = Shown::make()?;
    let (served, tasks) = runtime.block_on(async {
        let partner = Wire::new(receiver);
        let partners = Partners { chain: shown.chains[1].clone(), receiver: Mutex::new(Some(partner)) };
        let nobody = Partners { chain: Vec::new(), receiver: Mutex::default() };
        let (_, external) = face(Face::External, &shown, Arc::new(partners))?;
        let (inside, internal) = face(Face::Internal, &shown, Arc::new(nobody))?;
        let mut tasks = JoinSet::new();
        join(&external.end, &internal.end, &mut tasks);
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().context("a place")?;
        let opened =
            Opened { transport: Transport::Other(Box::new(Wire::new(sender))), chain: shown.chains[0].clone() };
        let somewhere: SocketAddr = SOMEWHERE.parse()?;
        run_opened(opened, somewhere, place, inside, internal.end.links.clone());
        // Both streams are up once the first stanza is acknowledged.
        sent.until(1).await?;
        anyhow::Ok(((external, internal), tasks))
    })?;
    Ok(Box::new(move || {
        runtime.block_on(async {
            sent.all();
            sent.until(many as u64).await
        })?;
        let arrived = received.count();
        ensure!(arrived == many as u64, "{arrived} of {many} stanzas arrived");
        Ok(Box::new((tasks, served, runtime)) as Left)
    }))
}
