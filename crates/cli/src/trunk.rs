//! `fedge trunk`: makes the trunk's CA and its members' files.

use gateway::trunk_ca::{self, TrunkCaError};

use crate::args::{Role, Trunk};

/// Does it, and says where each part belongs.
pub(crate) fn run(command: Trunk) -> Result<(), TrunkCaError> {
    match command {
        Trunk::Init { folder } => {
            let certificate = trunk_ca::init(&folder)?;
            println!("{}", certificate.display());
            println!("  Every gateway and every edge server gets a copy of it. The key beside it stays here.");
        }
        Trunk::Member { folder, name, role } => {
            let role = match role {
                Role::Edge => trunk_ca::Role::Edge,
                Role::Gateway => trunk_ca::Role::Gateway,
            };
            let [certificate, key] = trunk_ca::member(&folder, &name, role)?;
            println!("{}\n{}", certificate.display(), key.display());
            println!("  Bring them to {name}, for its [trunk], and keep no copy of the key.");
        }
    }
    Ok(())
}
