//! Asks name servers that have authority what a zone holds of ours, and updates it (RFC 2136, RFC 8945).

pub mod records;

pub mod ask;

pub mod observe;

pub mod key;

mod message;

pub mod refusal;

pub mod update;
