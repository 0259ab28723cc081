//! Sockets, TLS and the certificate rule, resolver, dialer, streams over sockets, links, trunk.
//!
//! In the order in which a stanza passes: it is [`accept`]ed on one face, kept by the [`holder`]
//! until its outcome is known, crosses the [`trunk`], arrives at the other face's [`bridge`], and
//! leaves on a [`link`] over a stream that [`dial`] opened.

mod clock;

mod alarm;

mod tables;

pub mod crypto;

pub mod certificates;

pub mod judge;

pub mod turns;

pub mod tls;

pub mod socket;

pub mod transport;

pub mod streams;

pub mod trunk;

pub mod fate;

pub mod hold;

pub mod arrivals;

pub mod holder;

pub mod resolve;

pub mod dead;

pub mod race;

pub mod network;

pub mod face;

pub mod dial;

pub mod probe;

pub mod links;

mod link;

pub mod accept;

pub mod bridge;

pub mod serve;

#[cfg(test)]
mod simulation;
