//! What the looks at an edge server come to together: whether partners get in there, or that it can't be told.

use std::time::Duration;

use super::super::sight::{Found, Probe};
use super::{Look, Looker, Vantage};

/// A look, or why it couldn't be taken.
pub type Taken = (Looker, Result<Look, String>);

/// What these looks come to, each with who took it, the best first; nothing where another should be taken.
///
/// Who gets in from anywhere outside the pool shows that partners can. That nobody gets in is believed of an edge server of
/// another pool, and of witnesses in two sites. A witness alone may have lost its own way out, and it has no traffic by which
/// anybody would notice.
pub fn settled(looks: &[Taken]) -> Option<Probe> {
    let outside = || seen(looks).filter(|(looker, _)| looker.from != Vantage::OwnPool);
    if let Some((looker, good)) = outside().find(|(_, look)| look.good) {
        let mut what = good.seen.clone();
        for (other, bad) in outside().filter(|(_, look)| !look.good) {
            what.push_str(&format!("; {} sees it otherwise: {}", other.by.fqdn, bad.seen));
        }
        return Some(probe(looker, Found::Good, what, (&[], &good.unfit)));
    }
    let another_pool = outside().find(|(looker, _)| looker.from == Vantage::OtherPool);
    let first = outside().next();
    let site = |looker: &Looker| looker.by.site.clone();
    let witnesses = first.filter(|(one, _)| outside().any(|(other, _)| site(other) != site(one)));
    another_pool.or(witnesses).map(|(looker, look)| bad(looker, look))
}

/// The same where nobody is left who could look.
pub fn settled_at_last(looks: &[Taken]) -> Probe {
    if let Some(probe) = settled(looks) {
        return probe;
    }
    let of = |from| seen(looks).find(move |(looker, _)| looker.from == from);
    match (of(Vantage::Witness), of(Vantage::OwnPool)) {
        (Some((witness, look)), Some((_, own))) if !own.good => bad(witness, look),
        (Some((witness, look)), _) => {
            let what = format!("{}; but a witness alone may have lost its own way out", look.seen);
            probe(witness, Found::Unsure, what, (&[], &[]))
        }
        (None, Some((own, look))) if look.good => probe(own, Found::Good, look.seen.clone(), (&[], &look.unfit)),
        (None, Some((own, look))) => bad(own, look),
        (None, None) => {
            let failed = looks.iter().rev().find_map(|(looker, look)| Some((looker, look.as_ref().err()?)));
            let (by, why) = failed.map(|(looker, why)| (looker.by.fqdn.to_string(), why.as_str())).unwrap_or_default();
            let seen = format!("it couldn't be asked to look: {why}");
            let (uncovered, unfit) = (Vec::new(), Vec::new());
            Probe { by, found: Found::Unsure, seen, uncovered, unfit, age: Duration::ZERO }
        }
    }
}

fn seen(looks: &[Taken]) -> impl Iterator<Item = (&Looker, &Look)> {
    looks.iter().filter_map(|(looker, look)| Some((looker, look.as_ref().ok()?)))
}

fn bad(looker: &Looker, look: &Look) -> Probe {
    probe(looker, Found::Bad, look.seen.clone(), (&look.uncovered, &look.unfit))
}

/// With the domains for which the certificate isn't good, and those for which it isn't the one that is declared.
fn probe(looker: &Looker, found: Found, seen: String, (uncovered, unfit): (&[String], &[String])) -> Probe {
    let (uncovered, unfit) = (uncovered.to_vec(), unfit.to_vec());
    Probe { by: looker.by.fqdn.to_string(), found, seen, uncovered, unfit, age: Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use topology::document::{Member, Role};

    use super::*;

    fn by(from: Vantage, name: &str, site: &str) -> Looker {
        let role = Role::Edge;
        let fqdn = format!("{name}.contoso.test").parse().expect("an FQDN");
        let by = Member { fqdn, role, site: site.to_owned(), internal: Vec::new(), agent_port: 5271 };
        Looker {
            by,
            from,
            at: None,
            domain: "contoso.test".to_owned(),
            also: Vec::new(),
            left_out: 0,
            tlsa: Vec::new(),
        }
    }

    fn witness(number: u8) -> Looker {
        by(Vantage::Witness, &format!("witness{number}"), &format!("Site{number}"))
    }

    fn other() -> Looker {
        by(Vantage::OtherPool, "edge3", "Site2")
    }

    fn own() -> Looker {
        by(Vantage::OwnPool, "edge2", "Site1")
    }

    fn good() -> Result<Look, String> {
        Ok(Look::of(true, "a stream"))
    }

    fn closed() -> Result<Look, String> {
        let uncovered = vec!["contoso.test".to_owned()];
        Ok(Look { uncovered, ..Look::of(false, "no answer") })
    }

    fn unable() -> Result<Look, String> {
        Err("it is gone".to_owned())
    }

    #[test]
    fn what_is_shown_to_who_gets_in_may_not_be_what_is_declared() {
        let unfit = vec!["contoso.test".to_owned()];
        let odd = Ok(Look { unfit: unfit.clone(), ..Look::of(true, "a stream") });
        for looks in
            [vec![(witness(3), odd.clone())], vec![(witness(3), closed()), (other(), odd.clone())], vec![(own(), odd)]]
        {
            let told = settled_at_last(&looks);
            assert_eq!((told.found, &told.unfit, told.uncovered.len()), (Found::Good, &unfit, 0), "{looks:?}");
        }
    }

    /// What is settled at once, if anything, and what at last.
    fn verdict(looks: &[Taken]) -> (Option<Found>, Found) {
        (settled(looks).map(|probe| probe.found), settled_at_last(looks).found)
    }

    #[test]
    fn who_gets_in_from_outside_the_pool_shows_that_partners_can() {
        for looks in [
            vec![(witness(3), good())],
            vec![(other(), good())],
            vec![(witness(3), closed()), (other(), good())],
            vec![(witness(3), good()), (other(), closed())],
            vec![(witness(3), unable()), (other(), unable()), (witness(4), good())],
        ] {
            assert_eq!(verdict(&looks), (Some(Found::Good), Found::Good), "{looks:?}");
        }
        let told = settled_at_last(&[(witness(3), closed()), (other(), good())]);
        assert_eq!(told.by, "edge3.contoso.test");
        assert_eq!(told.seen, "a stream; witness3.contoso.test sees it otherwise: no answer");
        assert_eq!(told.uncovered, [""; 0]);
    }

    #[test]
    fn nobody_gets_in_where_another_pool_says_so_or_witnesses_of_two_sites() {
        for looks in [
            vec![(other(), closed())],
            vec![(witness(3), closed()), (other(), closed())],
            vec![(witness(3), closed()), (witness(4), closed())],
        ] {
            assert_eq!(verdict(&looks), (Some(Found::Bad), Found::Bad), "{looks:?}");
            assert_eq!(settled_at_last(&looks).uncovered, ["contoso.test"]);
        }
    }

    #[test]
    fn a_witness_alone_refuses_nothing() {
        let twice = by(Vantage::Witness, "witness9", "Site3");
        for looks in [
            vec![(witness(3), closed())],
            vec![(witness(3), closed()), (twice, closed())],
            vec![(witness(3), closed()), (other(), unable())],
            // Its own pool gets there on another way than partners.
            vec![(witness(3), closed()), (own(), good())],
        ] {
            assert_eq!(verdict(&looks), (None, Found::Unsure), "{looks:?}");
            let told = settled_at_last(&looks);
            assert!(told.by == "witness3.contoso.test" && told.seen.contains("no answer; but"), "{told:?}");
        }
        assert_eq!(verdict(&[(witness(3), closed()), (own(), closed())]), (None, Found::Bad));
    }

    #[test]
    fn its_own_pool_is_heard_where_nobody_else_is_and_who_could_not_look_has_seen_nothing() {
        assert_eq!(verdict(&[(own(), good())]), (None, Found::Good));
        assert_eq!(verdict(&[(other(), unable()), (own(), closed())]), (None, Found::Bad));
        let nobody = settled_at_last(&[(witness(3), unable()), (other(), unable())]);
        assert_eq!((nobody.found, nobody.by.as_str()), (Found::Unsure, "edge3.contoso.test"));
        assert!(nobody.seen.contains("couldn't be asked to look: it is gone"), "{nobody:?}");
        assert_eq!(verdict(&[]), (None, Found::Unsure));
    }
}
