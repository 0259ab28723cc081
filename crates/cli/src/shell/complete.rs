//! What a word that is being typed may become.

use super::cmdlets::{self, CMDLETS, Cmdlet, FORMATS, Of, Parameter, Takes};
use super::names::{Names, without};
use super::services::NAMES as SERVICES;
use super::words::{Kind, Token, cut};

/// Where the word begins that ends at `at`, and what it may become.
pub(super) fn complete(typed: &str, at: usize, names: &Names) -> (usize, Vec<String>) {
    let Some(typed) = typed.get(..at) else { return (at, Vec::new()) };
    let ends = |letter: char| letter.is_whitespace() || matches!(letter, ',' | ';' | '|');
    let mut start = typed.rfind(ends).map_or(0, |last| last + typed[last..].chars().next().map_or(1, char::len_utf8));
    // -Name:value
    if typed[start..].starts_with('-')
        && let Some(colon) = typed[start..].find(':')
    {
        start += colon + 1;
    }
    let word = &typed[start..];
    let Ok(tokens) = cut(&typed[..start]) else { return (at, Vec::new()) };
    let last = tokens.iter().rposition(|token| matches!(token.kind, Kind::Semicolon | Kind::Line));
    let tokens = &tokens[last.map_or(0, |last| last + 1)..];
    let bar = tokens.iter().rposition(|token| token.kind == Kind::Pipe);
    let given = match tokens.first().map(|first| &first.kind) {
        Some(Kind::Word(word)) => word.text().and_then(cmdlets::named).map_or(&[] as &[&str], |cmdlet| cmdlet.gives),
        _ => &[],
    };
    let among: &'static [Cmdlet] = if bar.is_some() { &FORMATS } else { &CMDLETS };
    match tokens[bar.map_or(0, |bar| bar + 1)..].split_first() {
        None => (start, like(word, among.iter().map(|cmdlet| cmdlet.name.to_owned()))),
        Some((first, rest)) => {
            let named = |name: &str| among.iter().find(|cmdlet| cmdlet.is_called(name));
            let cmdlet = match &first.kind {
                Kind::Word(word) => word.text().and_then(named),
                _ => None,
            };
            cmdlet.map_or((at, Vec::new()), |cmdlet| {
                argument((start, word), cmdlet, rest, &|of| values(of, names, given))
            })
        }
    }
}

/// What an argument may become that begins at `start`, after those in `before`.
fn argument(
    (start, word): (usize, &str),
    cmdlet: &Cmdlet,
    before: &[Token],
    values: &dyn Fn(Of) -> Vec<String>,
) -> (usize, Vec<String>) {
    let (expected, given) = expected(cmdlet, before);
    if word.starts_with('-') {
        let left = cmdlet.parameters().filter(|parameter| !given.contains(&parameter.name));
        return (start, like(word, left.map(|parameter| format!("-{}", parameter.name))));
    }
    let Some(Takes::One(of) | Takes::Many(of)) = expected.map(|parameter| parameter.takes) else {
        return (start, Vec::new());
    };
    // What may stand before a pool's name stays.
    let bare = if of == Of::Machines { without(without(word, "EdgeServer:"), "pool:") } else { word };
    let quoted = bare.starts_with(['\'', '"']);
    let found = like(bare.trim_start_matches(['\'', '"']), values(of));
    let must =
        |value: &str| quoted || value.contains(|letter: char| !letter.is_alphanumeric() && !"-._".contains(letter));
    let written = |value: String| if must(&value) { format!("'{}'", value.replace('\'', "''")) } else { value };
    (start + word.len() - bare.len(), found.into_iter().map(written).collect())
}

/// The parameter whose value comes next, if one's does, and those that have theirs.
fn expected(cmdlet: &Cmdlet, before: &[Token]) -> (Option<&'static Parameter>, Vec<&'static str>) {
    let mut given: Vec<&'static str> = Vec::new();
    let (mut waiting, mut list) = (None, None);
    let next = |given: &[&str]| {
        let free =
            cmdlet.parameters().filter(|parameter| parameter.position.is_some() && !given.contains(&parameter.name));
        free.min_by_key(|parameter| parameter.position)
    };
    for token in before {
        match &token.kind {
            Kind::Parameter { name, .. } => {
                let begins =
                    |whole: &str| whole.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
                let is_meant =
                    |parameter: &&Parameter| begins(parameter.name) || parameter.aliases.iter().any(|a| begins(a));
                let found = cmdlet.parameters().find(is_meant);
                given.extend(found.map(|parameter| parameter.name));
                waiting = found.filter(|parameter| parameter.takes != Takes::Nothing);
            }
            Kind::Word(_) => {
                list = waiting.take().or_else(|| next(&given));
                given.extend(list.map(|parameter: &Parameter| parameter.name));
            }
            Kind::Comma => waiting = list,
            Kind::Pipe | Kind::Semicolon | Kind::Line => {}
        }
    }
    (waiting.or_else(|| next(&given)), given)
}

fn values(of: Of, names: &Names, given: &[&str]) -> Vec<String> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    match of {
        Of::Sites => names.sites.clone(),
        Of::Machines => names.pools.iter().chain(&names.edges).cloned().collect(),
        Of::Members => names.edges.iter().chain(&names.others).cloned().collect(),
        Of::Services => owned(&SERVICES),
        Of::Cmdlets => CMDLETS.iter().chain(&FORMATS).map(|cmdlet| cmdlet.name.to_owned()).collect(),
        Of::Words(words) => owned(words),
        Of::Properties => owned(given),
        Of::Text | Of::Files => Vec::new(),
    }
}

/// Those that begin so, capitals or not.
fn like(start: &str, all: impl IntoIterator<Item = String>) -> Vec<String> {
    let begins = |name: &String| name.to_lowercase().starts_with(&start.to_lowercase());
    let mut found: Vec<String> = all.into_iter().filter(begins).collect();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::names::tests::overview;

    fn completed(typed: &str) -> (String, Vec<String>) {
        let (start, found) = complete(typed, typed.len(), &Names::of(&overview()));
        (typed[start..].to_owned(), found)
    }

    #[test]
    fn what_comes_next_is_known_by_what_stands_before_it() {
        for (typed, word, expected) in [
            ("set", "set", vec!["Set-CsSite"]),
            ("Get-CsSite; sta", "sta", vec!["Start-CsWindowsService"]),
            ("Get-CsSite | f", "f", vec!["Format-Table", "Format-List"]),
            ("Get-CsSite | ft Identity,e", "e", vec!["EdgeServers", "Epoch"]),
            ("Set-CsSite ", "", vec!["Site1", "'Site 2'"]),
            ("Set-CsSite 'site", "'site", vec!["'Site1'", "'Site 2'"]),
            ("Set-CsSite Site1 -x", "-x", vec!["-XmppFederationRoute"]),
            ("Set-CsSite Site1 -XmppF p", "p", vec!["pool1.contoso.test", "pool2.contoso.test"]),
            ("Set-CsSite Site1 -XmppExternalF EdgeServer:edge3", "edge3", vec!["edge3.contoso.test"]),
            ("Set-CsSite -XmppFederationRoute:pool2", "pool2", vec!["pool2.contoso.test"]),
            ("Set-CsSite -XmppFederationRoute a.test si", "si", vec!["Site1", "'Site 2'"]),
            ("Set-CsSite -Force s", "s", vec!["Site1", "'Site 2'"]),
            ("Stop-CsWindowsService -Comp edge1.contoso.test,edge2", "edge2", vec!["edge2.contoso.test"]),
            ("Stop-CsWindowsService rtcs", "rtcs", vec!["RtcSrv"]),
            ("Get-CsManagementStoreReplicationStatus -R gate", "gate", vec!["gateway1.contoso.test"]),
            ("Get-CsSite -ErrorAction s", "s", vec!["Stop", "SilentlyContinue"]),
            ("help get-csw", "get-csw", vec!["Get-CsWindowsService"]),
            ("Get-CsSite Site1 ", "", vec![]),
            ("nonsense ", "", vec![]),
            ("Get-CsSite 'a b", "", vec![]),
        ] {
            let (found_word, found) = completed(typed);
            assert_eq!(found, expected, "{typed}");
            assert!(found.is_empty() || found_word == word, "{typed}: {found_word}");
        }
        let (_, left) = completed("Set-CsSite Site1 -XmppF a.test -");
        assert!(!left.contains(&"-Identity".to_owned()) && left.contains(&"-WhatIf".to_owned()), "{left:?}");
    }
}
