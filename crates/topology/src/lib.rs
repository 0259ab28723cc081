//! What is declared (partners, local domains, next hops) and every decision made from it.

pub mod address;

pub mod face;

pub mod faults;

pub mod partner;

pub mod policy;

pub mod entries;
pub mod fqdn;
pub mod tlsa;
pub mod written;
pub mod zone;

pub mod document;

pub mod records;
