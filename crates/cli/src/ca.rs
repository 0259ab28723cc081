//! `fedge ca`: makes and renews the internal CA in a folder.

use gateway::ca::{CaError, InternalCa};

use crate::args::{Ca, CaFiles};

/// Does it, and says where each part belongs.
pub(crate) fn run(command: Ca) -> Result<(), CaError> {
    let partners = |files: &CaFiles| (!files.partner.is_empty()).then(|| files.partner.clone());
    let made = match command {
        Ca::Init(files) => InternalCa::init(&files.folder, &files.local, partners(&files).as_deref())?,
        Ca::Renew(files) => InternalCa::renew(&files.folder, &files.local, partners(&files).as_deref())?,
    };
    println!("{made}");
    Ok(())
}
