//! What is declared (partners, local domains, next hops) and every decision made from it.

pub mod face;

pub mod partner;

pub mod policy;
