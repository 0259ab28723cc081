//! Sockets, TLS and the certificate rule, resolver, dialer, streams over sockets, links, trunk.

pub mod crypto;

pub mod certificates;

pub mod judge;

pub mod tls;
