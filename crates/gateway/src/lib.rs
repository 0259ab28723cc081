//! The internal face: internal CA, minted certificates, next hops.

pub mod ca;
