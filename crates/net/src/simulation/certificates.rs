//! Certificates for the domains of the simulation, made once: nobody does TLS, but judges judge.

use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;
use xmpp::domain::Domain;

use crate::certificates::testing::{Ca, Few};
use crate::judge::{Judge, Roots};
use crate::resolve::Resolver;
use crate::tls::Tls;

/// Domains of ours, and of partners.
pub(super) const LOCALS: [&str; 2] = ["contoso.test", "woodgrove.test"];
pub(super) const PARTNERS: [&str; 3] = ["fabrikam.test", "tailspin.test", "proseware.test"];

/// What is costly to make, and the same in each simulation.
pub(super) struct Certificates {
    chains: Vec<(Domain, Vec<CertificateDer<'static>>)>,
    pub(super) judge: Arc<ArcSwap<Judge>>,
    pub(super) tls: Tls,
    pub(super) resolver: Resolver,
}

impl Certificates {
    pub(super) fn get() -> &'static Certificates {
        static ALL: LazyLock<Certificates> = LazyLock::new(Certificates::make);
        &ALL
    }

    fn make() -> Certificates {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("roots.pem");
        let ca = Ca::root("everybody's");
        let domains = LOCALS.iter().chain(&PARTNERS);
        let leaves: Vec<_> = domains.map(|name| (super::domain(name), ca.leaf(&[name]))).collect();
        // Each pinned, so that judging is no more than a comparison.
        let roots: String = leaves.iter().map(|(_, leaf)| leaf.pem.as_str()).collect();
        std::fs::write(&file, ca.pem + &roots).expect("written");
        let judge = Judge::new(Roots::File(file), Vec::new()).expect("good roots");
        Certificates {
            chains: leaves.into_iter().map(|(domain, leaf)| (domain, leaf.chain)).collect(),
            judge: Arc::new(ArcSwap::from_pointee(judge)),
            tls: Tls::new(Arc::new(Few::default())),
            // Next hops are addresses; nobody is asked.
            resolver: Resolver::new(&[super::network::address(0, 53)]).expect("nobody is asked"),
        }
    }

    /// What the owner of the domain shows.
    pub(super) fn chain(&self, domain: &Domain) -> Vec<CertificateDer<'static>> {
        self.chains.iter().find(|(of, _)| of == domain).map(|(_, chain)| chain.clone()).unwrap_or_default()
    }
}
