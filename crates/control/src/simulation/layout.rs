//! Which pools, edge servers, gateways and controllers a simulated installation has, and its topology as a document.

use super::random::Random;

/// Who looks from a site of its own, where somebody does.
pub(super) const WITNESS: &str = "witness1.contoso.test";

/// Where the name servers of a zone are that isn't our own dns server's; the first is its primary.
pub(super) const NAME_SERVERS: [&str; 2] = ["192.0.2.253", "192.0.2.254"];

/// Who publishes in the zone, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zoned {
    /// DNS is somebody else's business.
    Nobody,
    Updated,
    ByHand,
    Embedded,
}

/// How many of each there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Edge servers of each pool.
    pub(super) pools: Vec<u64>,
    /// How many of the pools are declared, from the first on; each version may have another number.
    pub(super) declared: usize,
    pub(super) gateways: u64,
    pub(super) controllers: usize,
    /// Whether somebody looks from a site of its own.
    pub(super) witness: bool,
    /// Partners that are declared; each version may have another number.
    pub(super) partners: u64,
    /// The zone contoso.test.
    pub(super) zone: Zoned,
}

impl Layout {
    /// Two pools with two edge servers each, two gateways, two controllers.
    pub(super) fn usual() -> Layout {
        let (controllers, witness, zone) = (2, false, Zoned::Nobody);
        Layout { pools: vec![2, 2], declared: 2, gateways: 2, controllers, witness, partners: 1, zone }
    }

    pub(super) fn random(random: &Random) -> Layout {
        let pools: Vec<u64> = (0..random.between(2, 3)).map(|_| random.between(1, 2)).collect();
        let controllers = if random.percent(50) { 2 } else { 3 };
        let (gateways, witness) = (random.between(1, 2), random.percent(50));
        let zone = match random.below(10) {
            0..2 => Zoned::Nobody,
            2..4 => Zoned::ByHand,
            4..6 => Zoned::Embedded,
            _ => Zoned::Updated,
        };
        Layout { declared: pools.len(), pools, gateways, controllers, witness, partners: 1, zone }
    }

    pub(super) fn pool(number: usize) -> String {
        format!("pool{}.contoso.test", number + 1)
    }

    pub(super) fn all_pools(&self) -> Vec<String> {
        (0..self.pools.len()).map(Layout::pool).collect()
    }

    /// The edge servers of a pool.
    pub(super) fn edges(&self, pool: usize) -> Vec<String> {
        let letters = ["a", "b"].iter().zip(0..self.pools[pool]);
        letters.map(|(letter, _)| format!("edge{}{letter}.contoso.test", pool + 1)).collect()
    }

    pub(super) fn gateways(&self) -> Vec<String> {
        (1..=self.gateways).map(|number| format!("gateway{number}.contoso.test")).collect()
    }

    pub(super) fn controller(number: usize) -> String {
        format!("ctl{}.contoso.test", number + 1)
    }

    pub(super) fn all_controllers(&self) -> Vec<String> {
        (0..self.controllers).map(Layout::controller).collect()
    }

    /// As it is published.
    pub(super) fn document(&self) -> String {
        let mut text = "[installation]\nname = \"Contoso\"\n".to_owned();
        for (number, pool) in self.all_pools().iter().take(self.declared).enumerate() {
            let site = number + 1;
            text.push_str(&format!("[[site]]\nname = \"Site{site}\"\n"));
            text.push_str(&format!("[[pool]]\nfqdn = \"{pool}\"\nsite = \"Site{site}\"\n"));
            for (index, edge) in self.edges(number).iter().enumerate() {
                text.push_str(&format!(
                    "[[edge]]\nfqdn = \"{edge}\"\npool = \"{pool}\"\nexternal = [\"192.0.2.{site}{index}\"]\n\
                     internal = [\"10.{site}.0.1{index}\"]\n"
                ));
            }
        }
        for (kind, first, names) in [
            ("gateway", 10, self.gateways()),
            ("dns", 30, vec!["dns1.contoso.test".to_owned()]),
            ("controller", 50, self.all_controllers()),
        ] {
            for (index, fqdn) in names.iter().enumerate() {
                let address = first + index;
                text.push_str(&format!(
                    "[[{kind}]]\nfqdn = \"{fqdn}\"\nsite = \"Site1\"\ninternal = [\"10.0.0.{address}\"]\n"
                ));
                if kind == "dns" {
                    text.push_str("external = [\"192.0.2.252\"]\n");
                }
            }
        }
        if self.witness {
            text.push_str(&format!(
                "[[site]]\nname = \"Site9\"\n[[witness]]\nfqdn = \"{WITNESS}\"\nsite = \"Site9\"\ninternal = [\"10.9.0.1\"]\n"
            ));
        }
        let pools: Vec<String> =
            self.all_pools().iter().take(self.declared).map(|pool| format!("\"{pool}\"")).collect();
        text.push_str(&format!("[route]\npools = [{}]\n", pools.join(", ")));
        text.push_str(
            "[federation]\nopen = false\n[[local]]\ndomains = [\"contoso.test\"]\nnext_hop = \"10.0.0.90\"\n",
        );
        let zone = "[[zone]]\nname = \"contoso.test\"\npublisher = ";
        let servers = format!("servers = {NAME_SERVERS:?}\n");
        match self.zone {
            Zoned::Nobody => {}
            Zoned::Updated => text.push_str(&format!("{zone}\"rfc2136\"\n{servers}key = \"fedge-key.\"\n")),
            Zoned::ByHand => text.push_str(&format!("{zone}\"manual\"\n{servers}")),
            Zoned::Embedded => text.push_str(&format!("{zone}\"embedded\"\n")),
        }
        for partner in 1..=self.partners {
            text.push_str(&format!("[[partner]]\ndomains = [\"partner{partner}.test\"]\n"));
        }
        text
    }
}
