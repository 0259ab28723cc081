//! `fedge dns tlsa`: what edge servers show outside, as TLSA records ready for the topology, and whether what is declared fits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use api::dns::{PoolTlsa, TlsaWish};
use topology::tlsa::Tlsa;

use super::{DIFFERS, PATIENCE};
use crate::args::Control;
use crate::remote::{RemoteError, ask, print};

/// Asks, prints, and gives the exit status.
pub(super) fn run(control: &Control, pool: Option<String>) -> Result<u8, RemoteError> {
    let wish = TlsaWish { pool };
    let all: Vec<PoolTlsa> =
        ask(control, |client| async move { Ok(client.post_within("/v1/dns/tlsa", &wish, PATIENCE).await?) })?;
    print(control, &all, |all| text(all))?;
    Ok(if all.iter().any(PoolTlsa::is_unfit) { DIFFERS } else { 0 })
}

fn text(all: &[PoolTlsa]) -> String {
    all.iter().map(of_pool).collect::<Vec<_>>().join("\n")
}

fn of_pool(pool: &PoolTlsa) -> String {
    let mut text = format!("pool {}\n", pool.pool);
    for place in &pool.places {
        let by = place.by.as_ref().map(|by| format!(", seen from {by}")).unwrap_or_default();
        let _ = writeln!(text, "  {} at {}{by}", place.server, place.address);
        if let Some(why) = &place.why {
            let _ = writeln!(text, "    it isn't known what is shown: {why}");
        }
        for shown in &place.shown {
            let fit = pool.declared.iter().find(|record| shown.records.contains(record));
            let _ = match (fit, pool.declared.is_empty()) {
                (Some(record), _) => writeln!(text, "    ok  for {}: `{record}` fits", shown.domain),
                (None, true) => writeln!(text, "        for {}", shown.domain),
                (None, false) => writeln!(text, "    NOT for {}: no declared record fits", shown.domain),
            };
        }
    }
    for record in idle(pool) {
        let _ = writeln!(text, "  declared, and fits nothing that is shown now: `{record}`");
    }
    if pool.places.is_empty() {
        text.push_str("  none of its edge servers serves, so nobody can look\n");
    }
    proposals(pool, &mut text);
    text
}

/// What is declared and fits nothing: it is for a certificate that is to come, or is left over.
fn idle(pool: &PoolTlsa) -> Vec<&Tlsa> {
    let is_idle = |record: &&Tlsa| pool.shown().all(|(_, shown)| !shown.records.contains(record));
    if pool.shown().next().is_none() { Vec::new() } else { pool.declared.iter().filter(is_idle).collect() }
}

/// Lines for the topology: by the certificates' own keys, and by a CA that is shown with each of them.
fn proposals(pool: &PoolTlsa, text: &mut String) {
    let mut keys: BTreeMap<&Tlsa, BTreeSet<&str>> = BTreeMap::new();
    for (place, shown) in pool.shown() {
        // The most usual comes first.
        if let Some(record) = shown.records.iter().find(|record| record.is_of_the_certificate()) {
            keys.entry(record).or_default().insert(&place.server);
        }
    }
    if keys.is_empty() {
        return;
    }
    text.push_str("  by the keys that are shown, in its [[pool]]:\n    tlsa = [\n");
    for (record, servers) in &keys {
        let servers: Vec<&str> = servers.iter().copied().collect();
        let _ = writeln!(text, "      \"{record}\", # {}", servers.join(", "));
    }
    text.push_str("    ]\n");
    if let Some(record) = common(pool) {
        let _ = write!(
            text,
            "  or by a CA that is shown with all of them, and stays where only keys are renewed:\n    tlsa = [\"{record}\"]\n"
        );
    }
}

/// The first record of a CA that fits everything that is shown.
fn common(pool: &PoolTlsa) -> Option<&Tlsa> {
    let (_, first) = pool.shown().next()?;
    let everywhere = |record: &&Tlsa| pool.shown().all(|(_, shown)| shown.records.contains(record));
    first.records.iter().filter(|record| !record.is_of_the_certificate()).find(everywhere)
}

#[cfg(test)]
mod tests {
    use api::dns::{Shown, TlsaPlace};

    use super::*;

    fn record(usage: u8, byte: u8) -> Tlsa {
        Tlsa::new(usage, 1, 1, &[byte; 32]).expect("a record")
    }

    fn place(server: &str, shown: &[(&str, &[Tlsa])]) -> TlsaPlace {
        let shown =
            shown.iter().map(|(domain, records)| Shown { domain: (*domain).to_owned(), records: records.to_vec() });
        TlsaPlace {
            server: server.to_owned(),
            address: "192.0.2.10:5269".to_owned(),
            by: Some("witness1".to_owned()),
            shown: shown.collect(),
            why: None,
        }
    }

    #[test]
    fn what_is_shown_is_ready_for_the_topology() {
        let (ca, one, two) = (record(2, 9), record(3, 1), record(3, 2));
        let places = vec![
            place("edge1", &[("a.test", &[one.clone(), ca.clone()]), ("b.test", &[two.clone(), ca.clone()])]),
            place("edge2", &[("a.test", &[one.clone(), record(2, 8), ca.clone()])]),
        ];
        let pool = PoolTlsa { pool: "pool1".to_owned(), declared: Vec::new(), places };
        assert!(!pool.is_unfit());
        let told = of_pool(&pool);
        // What is printed can be pasted as it is.
        let lines: Vec<&str> = told.lines().map(str::trim).collect();
        let at = lines.iter().position(|line| *line == "tlsa = [").expect("they are printed");
        let end = at + lines[at..].iter().position(|line| *line == "]").expect("it ends");
        let read: toml::Table = lines[at..=end].join("\n").parse().expect("TOML");
        let read: Vec<Tlsa> = read["tlsa"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one.as_str().expect("text").parse().expect("one"))
            .collect();
        assert_eq!(read, [one, two]);
        assert!(told.contains("# edge1, edge2\n") && told.contains(&format!("tlsa = [\"{ca}\"]\n")), "{told}");
    }

    #[test]
    fn what_is_declared_fits_or_not() {
        let (one, two, later) = (record(3, 1), record(3, 2), record(3, 3));
        let declared = vec![one.clone(), later.clone()];
        let places = vec![place("edge1", &[("a.test", std::slice::from_ref(&one)), ("b.test", &[two])])];
        let mut pool = PoolTlsa { pool: "pool1".to_owned(), declared, places };
        assert!(pool.is_unfit());
        let told = of_pool(&pool);
        for line in [
            format!("    ok  for a.test: `{one}` fits\n"),
            "    NOT for b.test: no declared record fits\n".to_owned(),
            format!("  declared, and fits nothing that is shown now: `{later}`\n"),
        ] {
            assert!(told.contains(&line), "{line}{told}");
        }
        pool.places[0].shown.pop();
        assert!(!pool.is_unfit());
        // Where nobody saw anything, nothing is said against what is declared.
        pool.places = vec![TlsaPlace { by: None, why: Some("it is closed".to_owned()), ..place("edge1", &[]) }];
        let told = of_pool(&pool);
        assert!(!pool.is_unfit() && told.contains("it isn't known what is shown: it is closed"), "{told}");
        assert!(!told.contains("tlsa = [") && !told.contains("fits nothing"), "{told}");
    }
}
