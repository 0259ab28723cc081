//! What breaks in a run, whom it hits, and how it is made good again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::random::Random;
use crate::lab::CONTOSO;
use crate::lab::split::{GATEWAYS, POOLS, Split, TRUNK, edges};
use crate::place;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are their own names")]
pub enum Deed {
    Move,
    Drain,
    Kill,
    Freeze,
    /// Packets to and from it are refused.
    Reject,
    /// Packets to and from it vanish.
    Drop,
}

/// To whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are their own names")]
pub enum Victim {
    Route,
    /// The one by which the pair's messages go out, or the one by which they come in.
    Edge,
    /// All edge servers that carry the route.
    Pool,
    /// The one that has the pair's messages.
    Gateway,
    /// Between that edge server and all gateways.
    Trunk,
    /// Between that edge server and the partner.
    Outside,
    /// The internal server.
    NextHop,
    Partner,
}

/// A deed and its victim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What is done.
    pub deed: Deed,
    /// To whom.
    pub victim: Victim,
}

/// A fault that stands, until it is undone.
#[derive(Debug, Default)]
pub(super) struct Standing {
    cuts: Vec<place::Fault>,
    frozen: Vec<&'static str>,
    frozen_server: Option<String>,
    /// What went otherwise than it should.
    pub(super) notes: Vec<String>,
}

/// What chance decides about a fault.
#[derive(Debug)]
pub(super) struct Chances {
    /// Hit who carries what goes out, or else what comes in.
    outward: bool,
    /// How long it lasts, where it can be undone.
    pub(super) lasts: Duration,
    /// What was frozen is killed in the end, and doesn't thaw.
    killed_frozen: bool,
    /// How long a killed server is away.
    away: Duration,
}

impl Chances {
    pub(super) fn draw(random: &mut Random, inward: bool) -> Chances {
        Chances {
            // Drawn in any case, so that all else is the same.
            outward: random.between(0, 1) == 0 && !inward,
            lasts: Duration::from_millis(random.between(4000, 8000)),
            killed_frozen: random.between(0, 1) == 0,
            away: Duration::from_millis(random.between(100, 2000)),
        }
    }
}

impl Fault {
    /// All that there are.
    pub fn all() -> Vec<Fault> {
        let (edge, gateway) = (Victim::Edge, Victim::Gateway);
        let fault = |deed, victim| Fault { deed, victim };
        let mut all = vec![fault(Deed::Move, Victim::Route), fault(Deed::Drain, edge), fault(Deed::Drain, gateway)];
        for victim in [edge, Victim::Pool, gateway, Victim::NextHop, Victim::Partner] {
            all.extend([Deed::Kill, Deed::Freeze, Deed::Reject, Deed::Drop].map(|deed| fault(deed, victim)));
        }
        for victim in [Victim::Trunk, Victim::Outside] {
            all.extend([Deed::Reject, Deed::Drop].map(|deed| fault(deed, victim)));
        }
        all
    }

    /// Whether it can be done to a rival: to what stands where an edge server does.
    pub fn fits_rivals(self) -> bool {
        self.victim == Victim::Edge
    }

    /// Whether what comes from the partner comes by one of these edge servers.
    pub(super) fn hits_inbound(split: &Split, partner: &str, victims: &[&'static str]) -> anyhow::Result<bool> {
        if split.rival().is_some() {
            return Ok(true);
        }
        let pair = format!(" {partner} -> {CONTOSO} (");
        for edge in victims.iter().filter(|victim| edges().any(|edge| edge == **victim)) {
            let streams = split.ask(edge, &["streams"])?;
            if streams.lines().any(|line| line.contains("accepted") && line.contains(&pair)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whom it hits in this laboratory, as it is now.
    pub(super) fn victims(self, split: &Split, partner: &str, chances: &Chances) -> anyhow::Result<Vec<&'static str>> {
        if split.rival().is_some() {
            // Where the partner's first SRV target is.
            return Ok(vec![POOLS[0].1[0]]);
        }
        // Between its separators, so that no pair of a room is taken for it.
        let (out, back) = (format!(" {CONTOSO} -> {partner} ("), format!(" {partner} -> {CONTOSO} ("));
        let having = |members: Vec<&'static str>, outward: (&str, &str), inward: (&str, &str)| {
            let (direction, pair) = if chances.outward { outward } else { inward };
            for member in members {
                let streams = split.ask(member, &["streams"])?;
                if streams.lines().any(|line| line.contains(direction) && line.contains(pair)) {
                    return Ok(member);
                }
            }
            anyhow::bail!("nobody has a {direction} stream for {pair}")
        };
        Ok(match self.victim {
            Victim::Edge | Victim::Trunk | Victim::Outside => {
                vec![having(edges().collect(), ("dialed", &out), ("accepted", &back))?]
            }
            Victim::Gateway => vec![having(GATEWAYS.to_vec(), ("accepted", &out), ("dialed", &back))?],
            Victim::Pool => POOLS[0].1.to_vec(),
            Victim::Route | Victim::NextHop | Victim::Partner => Vec::new(),
        })
    }

    /// Does it.
    pub(super) fn strike(
        self,
        split: &mut Split,
        partner: &str,
        victims: &[&'static str],
        chances: &Chances,
    ) -> anyhow::Result<Standing> {
        let mut standing = Standing::default();
        let server = match self.victim {
            Victim::NextHop => Some(CONTOSO),
            Victim::Partner => Some(partner),
            _ => None,
        };
        match (self.deed, server) {
            (Deed::Move, _) => split.route(POOLS[1].0)?,
            (Deed::Drain, _) => {
                for member in victims.iter().filter_map(|victim| split.members.remove(victim)) {
                    if let Err(error) = member.terminate(Duration::from_secs(60)) {
                        standing.notes.push(format!("it didn't end by itself: {error:#}"));
                    }
                }
            }
            (Deed::Kill, None) => victims.iter().for_each(|victim| split.kill(victim)),
            (Deed::Kill, Some(server)) => split.replace_server(server, chances.away)?,
            (Deed::Freeze, None) => {
                signal(split, victims, Signal::SIGSTOP)?;
                standing.frozen = victims.to_vec();
            }
            (Deed::Freeze, Some(server)) => {
                signal_server(split, server, Signal::SIGSTOP)?;
                standing.frozen_server = Some(server.to_owned());
            }
            (Deed::Reject | Deed::Drop, _) => {
                let spots = match server {
                    Some(server) => vec![split.layout.server(server)],
                    None => victims.iter().map(|victim| split.sites.member(victim)).collect(),
                };
                let other = split.layout.server(partner).address;
                for spot in spots {
                    let rule = self.rule(&spot.address.to_string(), &other.to_string());
                    standing.cuts.push(spot.place.filter(split.debian(), &rule)?);
                }
            }
        }
        Ok(standing)
    }

    /// What the packet filter at `own` does.
    fn rule(self, own: &str, partner: &str) -> String {
        let [one, other] = match self.victim {
            Victim::Trunk => [format!("tcp dport {TRUNK}"), format!("tcp sport {TRUNK}")],
            Victim::Outside => [format!("ip saddr {partner}"), format!("ip daddr {partner}")],
            // Not what it says to itself.
            _ => [format!("ip saddr {own} ip daddr != {own}"), format!("ip daddr {own} ip saddr != {own}")],
        };
        match self.deed {
            Deed::Reject => {
                // The refusals themselves have to get out.
                let what = "meta l4proto tcp reject with tcp reset";
                format!("tcp flags & rst == rst accept; {one} {what}; {other} {what}")
            }
            _ => format!("{one} drop; {other} drop"),
        }
    }

    /// Whether it stands until it is undone; what is moved, drained or killed is done with at once.
    pub(super) fn stands(self) -> bool {
        matches!(self.deed, Deed::Freeze | Deed::Reject | Deed::Drop)
    }

    /// Whether clients lose their sessions with it.
    pub(super) fn ends_sessions(self) -> bool {
        self.deed == Deed::Kill && matches!(self.victim, Victim::NextHop | Victim::Partner)
    }
}

impl Standing {
    /// Makes good what can be made good at once; what was killed stays dead.
    pub(super) fn undo(&mut self, split: &mut Split, chances: &Chances) -> anyhow::Result<()> {
        self.cuts.clear();
        let frozen = std::mem::take(&mut self.frozen);
        if chances.killed_frozen {
            frozen.iter().for_each(|member| split.kill(member));
        } else {
            signal(split, &frozen, Signal::SIGCONT)?;
        }
        if let Some(server) = self.frozen_server.take() {
            signal_server(split, &server, Signal::SIGCONT)?;
        }
        Ok(())
    }
}

fn signal(split: &mut Split, members: &[&'static str], signal: Signal) -> anyhow::Result<()> {
    for member in members {
        if let Some(daemon) = split.members.get_mut(member) {
            daemon.signal(signal)?;
        }
    }
    Ok(())
}

fn signal_server(split: &mut Split, domain: &str, signal: Signal) -> anyhow::Result<()> {
    let servers = split.servers.iter_mut().filter(|server| server.plan.domain == domain);
    servers.flat_map(|server| &mut server.daemons).try_for_each(|daemon| daemon.signal(signal))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deed = format!("{:?}", self.deed).to_lowercase();
        let victim = match self.victim {
            Victim::NextHop => "next-hop".to_owned(),
            victim => format!("{victim:?}").to_lowercase(),
        };
        write!(f, "{deed}-{victim}")
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Fault, String> {
        let all = Fault::all();
        let names = || all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        all.iter()
            .find(|fault| fault.to_string() == name)
            .copied()
            .ok_or_else(|| format!("there is no such fault; these there are: {}", names()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_found_by_its_name() {
        for fault in Fault::all() {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
        assert_eq!("drop-next-hop".parse(), Ok(Fault { deed: Deed::Drop, victim: Victim::NextHop }));
        assert!("drop-dead".parse::<Fault>().is_err());
    }
}
