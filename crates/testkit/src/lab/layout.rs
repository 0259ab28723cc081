//! Where everything in a laboratory is: all on one loopback, or each on a host of its own.

use std::net::{IpAddr, SocketAddr};

use super::{CONTOSO, FABRIKAM, TAILSPIN, WOODGROVE};
use crate::place::{Host, Place};

/// A place and an address there.
#[derive(Debug, Clone)]
pub struct Spot {
    /// Where it runs.
    pub place: Place,
    /// Its address.
    pub address: IpAddr,
}

/// Where everything is.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Contoso's server.
    pub inside: Spot,
    /// Where fedge runs.
    pub fedge: Place,
    /// fedge's internal face.
    pub internal_face: IpAddr,
    /// fedge's external face.
    pub external_face: IpAddr,
    /// fedge-dns, which the internal server asks.
    pub internal_dns: SocketAddr,
    /// The DNS that everybody outside asks.
    pub public_dns: Spot,
    /// The partners' servers, by domain.
    pub partners: Vec<(&'static str, Spot)>,
}

/// Where DNS servers listen.
const DNS: u16 = 53;

impl Layout {
    /// All at loopback addresses of one place.
    pub fn loopback(place: Place) -> Layout {
        let address = |number| IpAddr::from([127, 0, number, 1]);
        let spot = |number| Spot { place: place.clone(), address: address(number) };
        Layout {
            inside: spot(1),
            internal_face: address(2),
            external_face: address(3),
            internal_dns: SocketAddr::new([127, 0, 9, 2].into(), DNS),
            public_dns: spot(9),
            partners: vec![(FABRIKAM, spot(4)), (TAILSPIN, spot(5)), (WOODGROVE, spot(6))],
            fedge: place,
        }
    }

    /// Each on a host of its own. `fedge` has its internal face and its DNS at its own address, and its
    /// external face at `external`, which it is given, and from where it speaks to the partner.
    ///
    /// # Errors
    /// With what `ip` says when it fails.
    pub fn hosts(
        inside: &Host,
        fedge: &Host,
        external: IpAddr,
        public_dns: &Host,
        partner: (&'static str, &Host),
    ) -> anyhow::Result<Layout> {
        fedge.ip(&format!("address add {external}/24 dev eth0"))?;
        fedge.ip(&format!("route add {}/32 dev eth0 src {external}", partner.1.ipv4()))?;
        let spot = |host: &Host| Spot { place: Place::clone(host), address: host.ipv4().into() };
        Ok(Layout {
            inside: spot(inside),
            fedge: Place::clone(fedge),
            internal_face: fedge.ipv4().into(),
            external_face: external,
            internal_dns: SocketAddr::new(fedge.ipv4().into(), DNS),
            public_dns: spot(public_dns),
            partners: vec![(partner.0, spot(partner.1))],
        })
    }

    /// Where that domain's server is.
    ///
    /// # Panics
    /// When there is no such domain in it, which is a mistake in a test.
    pub fn server(&self, domain: &str) -> &Spot {
        let partner = self.partners.iter().find(|(other, _)| *other == domain).map(|(_, spot)| spot);
        let own = (domain == CONTOSO).then_some(&self.inside);
        own.or(partner).unwrap_or_else(|| panic!("{domain} is nowhere in this laboratory"))
    }

    /// Where the public DNS answers.
    pub fn public_dns(&self) -> SocketAddr {
        SocketAddr::new(self.public_dns.address, DNS)
    }
}
