//! What stands between a controller and a member: snapshots on disk, credentials, enrolment, both ends of their connection.

pub mod disk;

pub use disk::sha256;

pub mod succession;

pub mod state;

pub mod zone_key;

pub mod certificate;

pub mod authority;

pub mod credentials;

pub mod tls;

mod lines;

pub use lines::LineError;

mod door;

pub mod serve;

pub mod enrol;

pub mod dial;

pub mod keep;
