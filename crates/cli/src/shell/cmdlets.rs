//! The cmdlets: one table that lines are read by, that help is written from, and that completion goes by.

mod table;

pub(super) use table::{CMDLETS, FORMATS};

/// Which one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    SetSite,
    GetSite,
    StopService,
    StartService,
    GetService,
    GetTopology,
    GetReplication,
    TestIm,
    GetHelp,
    Exit,
    FormatTable,
    FormatList,
}

/// A cmdlet.
#[derive(Debug)]
pub(super) struct Cmdlet {
    pub(super) verb: Verb,
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    /// What it does, in a sentence.
    pub(super) synopsis: &'static str,
    /// What is well to know, a paragraph each.
    pub(super) description: &'static [&'static str],
    /// Its own; [`Cmdlet::parameters`] has those of many, too.
    pub(super) own: &'static [Parameter],
    /// The properties of what it gives.
    pub(super) gives: &'static [&'static str],
    /// It changes something, and can be asked what, and before it does.
    pub(super) changes: bool,
    /// Each with what it does.
    pub(super) examples: &'static [(&'static str, &'static str)],
}

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    pub(super) takes: Takes,
    /// The place at which it needs no name, from 0.
    pub(super) position: Option<usize>,
    pub(super) mandatory: bool,
    /// What it means, in a sentence.
    pub(super) what: &'static str,
}

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing: it is there or isn't.
    Nothing,
    /// One of these.
    One(Of),
    /// Some of these.
    Many(Of),
}

/// What values are, as far as they can be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Sites,
    /// Pools and edge servers.
    Machines,
    /// All that controllers lead.
    Members,
    Services,
    Cmdlets,
    Words(&'static [&'static str]),
    /// Anything.
    Text,
    Files,
    Properties,
}

impl Of {
    /// The word for it in a syntax.
    pub(super) fn word(self) -> &'static str {
        match self {
            Of::Sites => "site",
            Of::Machines => "fqdn",
            Of::Members => "fqdn",
            Of::Services => "service",
            Of::Cmdlets => "cmdlet",
            Of::Words(_) => "word",
            Of::Text => "text",
            Of::Files => "file",
            Of::Properties => "property",
        }
    }
}

const fn switch(name: &'static str, aliases: &'static [&'static str], what: &'static str) -> Parameter {
    Parameter { name, aliases, takes: Takes::Nothing, position: None, mandatory: false, what }
}

/// Of all that change something.
const OF_CHANGES: [Parameter; 2] = [
    switch("WhatIf", &["wi"], "Say what it would do, and do nothing."),
    switch("Confirm", &["cf"], "Ask before it does anything."),
];

/// Of all.
const OF_ALL: [Parameter; 2] = [
    switch("Verbose", &["vb"], "Say more of what is looked at and done."),
    Parameter {
        name: "ErrorAction",
        aliases: &["ea"],
        takes: Takes::One(Of::Words(&["Stop", "Continue", "SilentlyContinue"])),
        position: None,
        mandatory: false,
        what: "What an error does: Stop ends a script, as without it; Continue goes on after it; SilentlyContinue also says \
               nothing.",
    },
];

impl Cmdlet {
    /// All that it takes.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &'static Parameter> {
        let of_changes: &'static [Parameter] = if self.changes { &OF_CHANGES } else { &[] };
        self.own.iter().chain(of_changes).chain(self.common())
    }

    /// What all cmdlets take.
    pub(super) fn common(&self) -> &'static [Parameter] {
        if self.is_plain() { &[] } else { &OF_ALL }
    }

    /// It asks no controller.
    fn is_plain(&self) -> bool {
        matches!(self.verb, Verb::GetHelp | Verb::Exit | Verb::FormatTable | Verb::FormatList)
    }

    /// Whether this is its name, or another one of its names.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name) || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
    }
}

/// The cmdlet of that name.
pub(super) fn named(name: &str) -> Option<&'static Cmdlet> {
    CMDLETS.iter().find(|cmdlet| cmdlet.is_called(name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::shell::{bind, line};

    #[test]
    fn nothing_is_called_twice() {
        let mut names = BTreeSet::new();
        for cmdlet in CMDLETS.iter().chain(&FORMATS) {
            for name in [cmdlet.name].iter().chain(cmdlet.aliases) {
                assert!(names.insert(name.to_ascii_lowercase()), "{name}");
            }
            let mut parameters = BTreeSet::new();
            for parameter in cmdlet.parameters() {
                for name in [parameter.name].iter().chain(parameter.aliases) {
                    assert!(parameters.insert(name.to_ascii_lowercase()), "{} -{name}", cmdlet.name);
                }
            }
            let mut places: Vec<usize> = cmdlet.parameters().filter_map(|parameter| parameter.position).collect();
            places.sort_unstable();
            assert_eq!(places, (0..places.len()).collect::<Vec<_>>(), "{}", cmdlet.name);
        }
    }

    #[test]
    fn every_example_is_understood() {
        for cmdlet in &CMDLETS {
            assert!(!cmdlet.examples.is_empty(), "{} has none", cmdlet.name);
            for (example, _) in cmdlet.examples {
                let pipelines = line::read(example).unwrap_or_else(|fault| panic!("{example}: {fault}"));
                for pipeline in &pipelines {
                    bind::pipeline(pipeline).unwrap_or_else(|fault| panic!("{example}: {fault}"));
                }
                assert!(pipelines.iter().any(|pipeline| cmdlet.is_called(&pipeline.commands[0].name)), "{example}");
            }
        }
    }
}
