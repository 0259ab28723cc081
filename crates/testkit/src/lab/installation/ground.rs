//! Where an installation's machines are: at loopback addresses of one place, or each on a host of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;

use super::{CONTROLLERS, DNS, GATEWAYS, NAMESERVERS, Program, StoreKind, WITNESS, edges, program};
use crate::etcd;
use crate::lab::{FABRIKAM, LabPlan, Layout, Spot, TAILSPIN, check_free, of_servers};
use crate::place::{Host, Network, Place};

/// A machine of the installation's.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its network.
    pub place: Place,
    /// Where partners reach it, if it is an edge server.
    pub external: IpAddr,
    /// Where everybody inside reaches it.
    pub internal: IpAddr,
}

/// Where everything is.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The XMPP servers and the DNS.
    pub layout: Layout,
    machines: BTreeMap<&'static str, Machine>,
    /// etcd's members.
    pub(super) etcd: Vec<Spot>,
    network: Option<Arc<Network>>,
}

impl Ground {
    /// All at loopback addresses of one place.
    pub fn loopback(place: Place) -> Ground {
        let machine = |name: &'static str| {
            let number = name.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(1);
            let at = |net| IpAddr::from([127, 0, net, number]);
            let (external, internal) = match name {
                DNS => (at(9), [127, 0, 9, 2].into()),
                WITNESS => (at(13), at(13)),
                _ if NAMESERVERS.contains(&name) => {
                    let address = IpAddr::from([127, 0, 12, number]);
                    (address, address)
                }
                _ if CONTROLLERS.contains(&name) => (at(10), at(10)),
                _ if GATEWAYS.contains(&name) => (at(2), at(2)),
                _ => (at(3), at(7)),
            };
            (name, Machine { place: place.clone(), external, internal })
        };
        let etcd = (1..=etcd::MEMBERS as u8).map(|number| [127, 0, 11, number].into());
        let etcd = etcd.map(|address| Spot { place: place.clone(), address }).collect();
        let machines = everybody().map(machine).collect();
        Ground { layout: Layout::loopback(place), machines, etcd, network: None }
    }

    /// Each on a host of its own, all on one network; the second controller beside the first, at an address of its own.
    ///
    /// # Errors
    /// As [`Network::new`] and [`Network::host`].
    pub fn hosts() -> anyhow::Result<Ground> {
        let network = Network::new()?;
        let spot = || network.host().map(|host| Spot { place: Place::clone(&host), address: host.ipv4().into() });
        let (inside, public_dns) = (spot()?, spot()?);
        let partners = vec![(FABRIKAM, spot()?), (TAILSPIN, spot()?)];
        let mut machines = BTreeMap::new();
        for name in everybody().filter(|name| *name != CONTROLLERS[1]) {
            machines.insert(name, machine(&network.host()?));
        }
        let etcd = (0..etcd::MEMBERS).map(|_| spot()).collect::<anyhow::Result<Vec<_>>>()?;
        let first = machines.get(CONTROLLERS[0]).context("a controller")?.clone();
        let beside = IpAddr::from([10, 77, 0, 250]);
        first.place.ip(&format!("address add {beside}/24 dev eth0"))?;
        machines.insert(CONTROLLERS[1], Machine { external: beside, internal: beside, ..first });
        let layout = Layout {
            inside,
            fedge: machines[DNS].place.clone(),
            internal_face: machines[GATEWAYS[0]].internal,
            external_face: machines["edge1"].external,
            internal_dns: SocketAddr::new(machines[DNS].internal, 53),
            public_dns,
            partners,
        };
        Ok(Ground { layout, machines, etcd, network: Some(Arc::new(network)) })
    }

    /// Checks that nobody listens where everything will, which only matters on the machine's own loopback.
    ///
    /// # Errors
    /// The first address that is taken.
    pub fn check_free(&self, plan: &LabPlan, store: StoreKind) -> anyhow::Result<()> {
        let mut addresses = vec![self.layout.public_dns(), self.layout.internal_dns];
        for (name, Machine { external, internal, .. }) in &self.machines {
            let inside = |ports: &[u16]| ports.iter().map(|port| SocketAddr::new(*internal, *port)).collect::<Vec<_>>();
            addresses.extend(match program(name) {
                Program::Control => inside(&[5272]),
                Program::Gateway => inside(&[5269, 5271]),
                Program::Witness => inside(&[5271]),
                Program::Dns if name == &DNS => inside(&[5271]),
                Program::Dns => inside(&[5271, 53]),
                Program::Edge => [inside(&[5270, 5271]), vec![SocketAddr::new(*external, 5269)]].concat(),
            });
        }
        if store == StoreKind::Etcd {
            addresses
                .extend(self.etcd.iter().flat_map(|spot| etcd::PORTS.map(|port| SocketAddr::new(spot.address, port))));
        }
        addresses.extend(of_servers(plan, &self.layout));
        check_free(&self.layout.public_dns.place, addresses)
    }

    /// Plugs a machine in, or pulls its plug: nothing reaches it any more, and it doesn't know. Only where each has a host of
    /// its own.
    ///
    /// # Errors
    /// With what `ip` says when it fails.
    pub fn plug(&self, name: &str, plugged: bool) -> anyhow::Result<()> {
        match (&self.network, self.machine(name).internal) {
            (Some(network), IpAddr::V4(address)) => network.part(address, !plugged),
            _ => anyhow::bail!("{name} has no host of its own here"),
        }
    }

    /// Where a machine is.
    ///
    /// # Panics
    /// When there is no such machine, which is a mistake in a test.
    pub fn machine(&self, name: &str) -> &Machine {
        self.machines.get(name).unwrap_or_else(|| panic!("{name} is nowhere in this laboratory"))
    }
}

fn machine(host: &Host) -> Machine {
    Machine { place: Place::clone(host), external: host.ipv4().into(), internal: host.ipv4().into() }
}

fn everybody() -> impl Iterator<Item = &'static str> {
    edges().chain(GATEWAYS).chain([DNS, WITNESS]).chain(NAMESERVERS).chain(CONTROLLERS)
}
