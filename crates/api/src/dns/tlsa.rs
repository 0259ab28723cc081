//! TLSA records of pools as the control plane tells them: what is declared, and what would fit what edge servers show.

use serde::{Deserialize, Serialize};
use topology::tlsa::Tlsa;
use utoipa::ToSchema;

/// Whose certificates are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TlsaWish)]
pub struct TlsaWish {
    /// A pool; all of them where none is given.
    #[serde(default)]
    pub pool: Option<String>,
}

/// A pool's TLSA records, and what its edge servers show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TlsaPool)]
pub struct PoolTlsa {
    /// Its name.
    pub pool: String,
    /// What the topology says.
    #[schema(value_type = Vec<String>)]
    pub declared: Vec<Tlsa>,
    /// What was seen at the external addresses of those edge servers that serve.
    pub places: Vec<Place>,
}

/// What was seen at an external address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TlsaPlace)]
pub struct Place {
    /// The edge server.
    pub server: String,
    /// The address, with its port.
    pub address: String,
    /// Who looked; nobody, where that is why nothing is known.
    pub by: Option<String>,
    /// What is shown for each local domain that it was looked for.
    pub shown: Vec<Shown>,
    /// Why nothing is known, in a sentence.
    pub why: Option<String>,
}

/// The certificate that is shown for a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TlsaShown)]
pub struct Shown {
    /// The local domain.
    pub domain: String,
    /// The records that fit: first those of the certificate itself, then those of CAs that are shown with it.
    #[schema(value_type = Vec<String>)]
    pub records: Vec<Tlsa>,
}

impl PoolTlsa {
    /// Whether something that is shown fits none of the records that are declared. Where none are, nothing has to.
    pub fn is_unfit(&self) -> bool {
        !self.declared.is_empty() && self.shown().any(|(_, shown)| !shown.fits(&self.declared))
    }

    /// All that is shown, and where.
    pub fn shown(&self) -> impl Iterator<Item = (&Place, &Shown)> {
        self.places.iter().flat_map(|place| place.shown.iter().map(move |shown| (place, shown)))
    }
}

impl Shown {
    /// Whether one of these records fits it.
    pub fn fits(&self, declared: &[Tlsa]) -> bool {
        declared.iter().any(|record| self.records.contains(record))
    }
}
