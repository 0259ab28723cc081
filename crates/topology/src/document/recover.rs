//! Reading on after a fault, so that whoever mends a document is told all of them at once.

use std::ops::Range;

use serde::de::{DeserializeOwned, IntoDeserializer as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::faults::Faults;

/// The value of a table, as far as it can be read: a key whose value can't be, or that nobody knows, is told and left out.
/// Types that are read so have no required keys; what must be there is looked for afterwards.
pub(super) fn table<T: DeserializeOwned + Default>(
    span: Range<usize>,
    mut table: DeTable<'_>,
    faults: &mut Faults,
) -> Spanned<T> {
    loop {
        let error = match T::deserialize(Spanned::new(span.clone(), table.clone()).into_deserializer()) {
            Ok(value) => return Spanned::new(span, value),
            Err(error) => error,
        };
        let place = error.span().unwrap_or(span.clone());
        let guilty = table
            .iter()
            .find(|(key, value)| overlap(&key.span(), &place) || overlap(&value.span(), &place))
            .map(|(key, _)| key.clone());
        faults.add(wide(place), error.message(), "docs/topology.md names every key and its values");
        let Some(guilty) = guilty else { return Spanned::new(span, T::default()) };
        table.remove(&guilty);
    }
}

/// The section of that name, taken out of the document: a table, or nothing with a fault.
pub(super) fn section<T: DeserializeOwned + Default>(
    document: &mut DeTable<'_>,
    name: &str,
    faults: &mut Faults,
) -> Option<Spanned<T>> {
    let (_, value) = document.remove_entry(name)?;
    let span = value.span();
    match value.into_inner() {
        DeValue::Table(found) => Some(table(span, found, faults)),
        other => {
            let what = format!("`{name}` is of the type {}, and should be a table", other.type_str());
            faults.add(wide(span), what, format!("write it as `[{name}]`"));
            None
        }
    }
}

/// All sections of that name, taken out of the document.
pub(super) fn sections<T: DeserializeOwned + Default>(
    document: &mut DeTable<'_>,
    name: &str,
    faults: &mut Faults,
) -> Vec<Spanned<T>> {
    let Some((_, value)) = document.remove_entry(name) else { return Vec::new() };
    let span = value.span();
    let DeValue::Array(entries) = value.into_inner() else {
        faults.add(wide(span), format!("there may be several `{name}`"), format!("write each as `[[{name}]]`"));
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries {
        let span = entry.span();
        match entry.into_inner() {
            DeValue::Table(entry) => found.push(table(span, entry, faults)),
            other => {
                let what = format!("this is of the type {}, and each `{name}` should be a table", other.type_str());
                faults.add(wide(span), what, format!("write each as `[[{name}]]`"));
            }
        }
    }
    found
}

/// What is left of the document when everything known was taken out.
pub(super) fn nothing_else(document: &DeTable<'_>, known: &[&str], faults: &mut Faults) {
    for (key, _) in document {
        let what = format!("nobody knows `{}`", key.get_ref());
        faults.add(wide(key.span()), what, format!("there are {}", known.join(", ")));
    }
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}

/// Where something is missing, the place has no width; one that isn't empty is drawn.
pub(super) fn wide(place: Range<usize>) -> Range<usize> {
    place.start..place.end.max(place.start + 1)
}
