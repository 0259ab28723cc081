//! What fedge's tests are made of: fake wire, scripted peers, real peers in network namespaces, clients.

pub mod lab_dns;
pub mod place;
