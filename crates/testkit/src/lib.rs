//! What fedge's tests are made of: fake wire, scripted peers, real peers in network namespaces, clients.

pub mod client;
pub mod clock;
pub mod disk;
pub mod document;
pub mod ejabberd;
pub mod etcd;
pub mod fedge;
pub mod jabberd2;
pub mod lab;
pub mod lab_dns;
pub mod name_server;
pub mod packages;
pub mod pki;
pub mod place;
pub mod process;
pub mod prosody;
pub mod relay;
pub mod rig;
pub mod scrape;
pub mod scripted;
pub mod server;

/// Whether this process may do everything, which laboratories need.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
