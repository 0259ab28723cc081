//! Which servers of a domain are tried, and in which order: RFC 2782, RFC 6120 §3.2 and XEP-0368 as one pure decision.

use std::cmp::Reverse;

/// What DNS said of one of the two services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Service {
    /// These records.
    Records(Vec<Srv>),
    /// There are none.
    Absent,
    /// The domain says that it doesn't have it: the one target `.` (RFC 2782).
    Refused,
    /// There are some, which name port 0 only.
    NoPort,
    /// It couldn't be asked; why.
    Failed(String),
}

/// An SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Srv {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    pub(super) host: String,
    pub(super) direct_tls: bool,
}

/// What follows from both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// These hosts, in this order.
    Hosts(Vec<Srv>),
    /// The domain's own address records, port 5269, STARTTLS.
    OwnAddress,
    /// The domain says that it doesn't federate.
    NotOffered,
    /// There are records, but not one that can be used.
    NoPort,
    /// DNS couldn't say; why.
    Failed(String),
}

/// Decides from both answers. `random` gives a number below its argument, which is never 0.
pub(super) fn choose(starttls: Service, direct: Service, random: impl FnMut(u32) -> u32) -> Choice {
    use Service::{Absent, Failed, NoPort, Records, Refused};
    match (starttls, direct) {
        (Records(mut records), Records(more)) => {
            records.extend(more);
            Choice::Hosts(in_order(records, random))
        }
        // XEP-0368 §3: whatever becomes of one service, the other's records count.
        (Records(records), _) | (_, Records(records)) => Choice::Hosts(in_order(records, random)),
        // The address would be a guess while a service may well have records.
        (Failed(why), _) | (_, Failed(why)) => Choice::Failed(why),
        (NoPort, _) | (_, NoPort) => Choice::NoPort,
        // No STARTTLS here, and for direct TLS there is no such fallback.
        (Refused, _) => Choice::NotOffered,
        (Absent, Absent | Refused) => Choice::OwnAddress,
    }
}

/// Lower priorities first; among equal ones by weighted chance (RFC 2782, "Weight").
fn in_order(mut records: Vec<Srv>, mut random: impl FnMut(u32) -> u32) -> Vec<Srv> {
    // Those of weight 0 go first, so that they have their small chance.
    records.sort_by_key(|record| (record.priority, Reverse(record.weight == 0)));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let same = records.iter().take_while(|record| record.priority == first.priority).count();
        let total: u32 = records[..same].iter().map(|record| u32::from(record.weight)).sum();
        let mut left = random(total + 1);
        let chosen = records[..same].iter().position(|record| {
            let weight = u32::from(record.weight);
            let chosen = weight >= left;
            left = left.saturating_sub(weight);
            chosen
        });
        ordered.push(records.remove(chosen.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn srv(priority: u16, weight: u16, host: &str) -> Srv {
        Srv { priority, weight, port: 5269, host: host.into(), direct_tls: false }
    }

    fn hosts(choice: Choice) -> Vec<String> {
        let Choice::Hosts(records) = choice else { panic!("hosts, not {choice:?}") };
        records.into_iter().map(|record| record.host).collect()
    }

    #[test]
    fn both_services_are_mixed_by_priority() {
        let starttls = Service::Records(vec![srv(20, 0, "c"), srv(5, 0, "a")]);
        let direct = Service::Records(vec![srv(10, 0, "b")]);
        assert_eq!(hosts(choose(starttls, direct, |_| 0)), ["a", "b", "c"]);
    }

    #[test]
    fn the_table_of_answers() {
        let records = || Service::Records(vec![srv(1, 1, "a")]);
        let failed = || Service::Failed("late".into());
        use Service::{Absent, Refused};
        for (starttls, direct) in
            [(records(), Absent), (Absent, records()), (Refused, records()), (records(), failed())]
        {
            assert_eq!(hosts(choose(starttls, direct, |_| 0)), ["a"]);
        }
        assert_eq!(choose(Absent, Absent, |_| 0), Choice::OwnAddress);
        assert_eq!(choose(Absent, Refused, |_| 0), Choice::OwnAddress);
        assert_eq!(choose(Refused, Absent, |_| 0), Choice::NotOffered);
        assert_eq!(choose(Refused, Refused, |_| 0), Choice::NotOffered);
        for (starttls, direct) in [(Service::NoPort, Absent), (Absent, Service::NoPort), (Refused, Service::NoPort)] {
            assert_eq!(choose(starttls, direct, |_| 0), Choice::NoPort);
        }
        for (starttls, direct) in [(failed(), Absent), (Absent, failed()), (failed(), failed())] {
            assert_eq!(choose(starttls, direct, |_| 0), Choice::Failed("late".into()));
        }
    }

    #[test]
    fn weights_are_chances() {
        let mut state = 1_u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u32::try_from((u64::from(state) * u64::from(below)) >> 32).expect("below a u32")
        };
        let mut first = [0_u32; 3];
        for _ in 0..10_000 {
            let records = Service::Records(vec![srv(1, 0, "0"), srv(1, 10, "1"), srv(1, 30, "2")]);
            let order = hosts(choose(records, Service::Absent, &mut random));
            assert_eq!(order.len(), 3);
            first[order[0].parse::<usize>().expect("a number")] += 1;
        }
        assert!((100..500).contains(&first[0]), "{first:?}");
        assert!((2100..2800).contains(&first[1]), "{first:?}");
        assert!((6900..7700).contains(&first[2]), "{first:?}");
    }
}
