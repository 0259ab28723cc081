//! What stands between a controller and a member: snapshots on disk, credentials, enrolment, both ends of their connection.

mod disk;

pub mod succession;

pub mod state;

pub mod certificate;

pub mod authority;

pub mod credentials;

pub mod tls;
