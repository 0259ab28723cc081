//! Signatures of what signed zones hold, and the chains of names by which they prove what they don't (RFC 4034, RFC 4035 §2).

use std::collections::BTreeMap;

use agent::zone_key::{ALGORITHM, TTL, ZoneKey, ZoneKeyError};

use super::NEGATIVE_TTL;
use super::chain::Chain;
use super::query::Kind;
use super::sets::{Held, Set, Sets};
use super::wire::{self, Data};

/// Seconds before it is made from which on a signature holds: clocks of others may be behind.
const BEFORE: u64 = 3600;
/// Seconds for which it holds.
const AFTER: u64 = 14 * 86400;
/// It is made anew when it is as old as this.
const RENEWED: u64 = 7 * 86400;

/// Whether signatures that were made at `made` are to be made anew: at half of their time, and where the clock went back so
/// far that they would soon not hold yet. Both in seconds since 1970.
pub(super) fn is_due(made: u64, now: u64) -> bool {
    now >= made.saturating_add(RENEWED) || now.saturating_add(BEFORE / 2) < made
}

/// Signs the zones that have a key, each by its own; `tops` are theirs, in wire form. `now` is in seconds since 1970.
///
/// # Errors
/// Where there is no randomness.
pub(super) fn sign(held: &mut Held, tops: &[(Vec<u8>, &ZoneKey)], now: u64) -> Result<(), ZoneKeyError> {
    for (top, key) in tops {
        let data = Data::plain(key.record().to_vec());
        held.names.entry(top.clone()).or_default().insert(Kind::DNSKEY, Set::of(TTL, vec![data]));
    }
    let mut names: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for name in held.names.keys() {
        if let Some(top) = held.top(name) {
            names.entry(top.to_vec()).or_default().push(name.clone());
        }
    }
    for (top, key) in tops {
        let chain = Chain::new(names.remove(top).unwrap_or_default());
        let signer = Signer { key, top, now };
        for (name, next) in chain.pairs() {
            let Some(sets) = held.names.get_mut(name) else { continue };
            let types = types(sets.keys().copied().chain([Kind::RRSIG, Kind::NSEC]));
            let proof = Data::plain([next, &types].concat());
            sets.insert(Kind::NSEC, Set::of(NEGATIVE_TTL, vec![proof]));
            signer.sets(name, sets)?;
        }
        held.chains.insert(top.clone(), chain);
    }
    Ok(())
}

struct Signer<'a> {
    key: &'a ZoneKey,
    top: &'a [u8],
    now: u64,
}

impl Signer<'_> {
    /// Signs every set at a name. Who asks for signatures alone gets one of them, as with all types at once.
    fn sets(&self, name: &[u8], sets: &mut Sets) -> Result<(), ZoneKeyError> {
        for (kind, set) in &mut *sets {
            set.signature = Some(self.signature(name, *kind, set)?);
        }
        let first = sets.values().next().and_then(|set| Some(Set::of(set.ttl, vec![set.signature.clone()?])));
        sets.extend(first.map(|first| (Kind::RRSIG, first)));
        Ok(())
    }

    /// The data of the RRSIG record of a set (RFC 4034 §3.1). Names in records are in small letters everywhere here, and so
    /// in their canonical form (§6.2).
    fn signature(&self, name: &[u8], kind: Kind, set: &Set) -> Result<Data, ZoneKeyError> {
        let seconds = |seconds: u64| u32::try_from(seconds & u64::from(u32::MAX)).unwrap_or_default().to_be_bytes();
        let labels = u8::try_from(wire::labels(name).count()).unwrap_or(u8::MAX);
        let mut data = Vec::with_capacity(18 + self.top.len() + 64);
        data.extend(kind.0.to_be_bytes());
        data.extend([ALGORITHM, labels]);
        data.extend(set.ttl.to_be_bytes());
        // In serial number arithmetic (RFC 1982), so that the year 2106 is one like others.
        data.extend(seconds(self.now.saturating_add(AFTER)));
        data.extend(seconds(self.now.saturating_sub(BEFORE)));
        data.extend(self.key.tag().to_be_bytes());
        data.extend(self.top);
        let mut signed = data.clone();
        let mut records: Vec<Vec<u8>> = set.data.iter().map(Data::bytes).collect();
        records.sort_unstable();
        for record in records {
            signed.extend(name);
            signed.extend(wire::behind_name(kind.0, set.ttl, &Data::plain(record)));
        }
        data.extend(self.key.sign(&signed)?);
        Ok(Data::plain(data))
    }
}

/// Types as NSEC records name them: a bit each, in windows of 256 (RFC 4034 §4.1.2).
fn types(kinds: impl Iterator<Item = Kind>) -> Vec<u8> {
    let mut windows: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for kind in kinds {
        let [window, low] = kind.0.to_be_bytes();
        let bits = windows.entry(window).or_default();
        let at = usize::from(low / 8);
        bits.resize(bits.len().max(at + 1), 0);
        bits[at] |= 0x80 >> (low % 8);
    }
    let window =
        |(window, bits): (u8, Vec<u8>)| [&[window, u8::try_from(bits.len()).unwrap_or(32)], &bits[..]].concat();
    windows.into_iter().flat_map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_bits_in_windows() {
        // RFC 4034 §4.3: A MX RRSIG NSEC TYPE1234.
        let kinds = [1, 15, 46, 47, 1234].map(Kind);
        let expected = [&[0, 6, 0x40, 1, 0, 0, 0, 3, 4, 0x1b][..], &[0; 26], &[0x20]];
        assert_eq!(types(kinds.into_iter()), expected.concat());
    }

    #[test]
    fn signatures_are_made_anew_at_half_of_their_time_and_where_the_clock_went_back() {
        let made = 1_800_000_000;
        for (now, due) in [
            (made, false),
            (made + RENEWED - 1, false),
            (made + RENEWED, true),
            (made + 10 * AFTER, true),
            (made - BEFORE / 2, false),
            (made - BEFORE / 2 - 1, true),
            (0, true),
        ] {
            assert_eq!(is_due(made, now), due, "{now}");
        }
    }
}
