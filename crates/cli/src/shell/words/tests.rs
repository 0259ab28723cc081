//! Quotes, escapes, dashes and all that is refused; and that no text whatever stops the reader.

use super::super::bind;
use super::super::complete::complete;
use super::super::line::read;
use super::super::names::Names;
use super::*;

fn words(typed: &str) -> Vec<String> {
    let tokens = cut(typed).unwrap_or_else(|fault| panic!("{typed}: {fault}"));
    let shown = |token: &Token| match &token.kind {
        Kind::Word(Word::Text { text, bare }) => format!("{text}{}", if *bare { "" } else { "'" }),
        Kind::Word(Word::Flag(flag)) => format!("${flag}"),
        Kind::Word(Word::Null) => "$null".to_owned(),
        Kind::Parameter { name, colon } => format!("-{name}{}", if *colon { ":" } else { "" }),
        Kind::Comma => ",".to_owned(),
        Kind::Pipe => "|".to_owned(),
        Kind::Semicolon => ";".to_owned(),
        Kind::Line => "\n".to_owned(),
    };
    tokens.iter().map(shown).collect()
}

#[test]
fn lines_are_cut_as_powershell_cuts_them() {
    for (typed, expected) in [
        ("Set-CsSite Site2", vec!["Set-CsSite", "Site2"]),
        ("a 'b c' \"d e\"", vec!["a", "b c'", "d e'"]),
        ("'it''s' \"say \"\"no\"\"\"", vec!["it's'", "say \"no\"'"]),
        ("\"a`tb`\"c`$d\"", vec!["a\tb\"c$d'"]),
        ("'a`tb $x'", vec!["a`tb $x'"]),
        ("a` b a\"b c\"d", vec!["a b", "ab cd"]),
        ("'a'b", vec!["a'", "b"]),
        ("''", vec!["'"]),
        ("-Name:x -Switch:$FALSE -5 -- -", vec!["-Name:", "x", "-Switch:", "$false", "-5", "--", "-"]),
        ("a,b , c", vec!["a", ",", "b", ",", "c"]),
        ("a|b;c\nd", vec!["a", "|", "b", ";", "c", "\n", "d"]),
        ("a # b 'c\nd#e", vec!["a", "\n", "d#e"]),
        ("a `\n b `\r\n c", vec!["a", "b", "c"]),
        ("a`\n-b`\r\nc", vec!["a", "-b", "c"]),
        ("$true $False $NULL", vec!["$true", "$false", "$null"]),
        (
            "alice@contoso.test EdgeServer:edge2.contoso.test",
            vec!["alice@contoso.test", "EdgeServer:edge2.contoso.test"],
        ),
        // As a word processor leaves it.
        ("\u{2013}Identity \u{201C}Site 2\u{201D} \u{2018}x\u{2019}", vec!["-Identity", "Site 2'", "x'"]),
        ("Get-CsSite -?", vec!["Get-CsSite", "-?"]),
        (" \t\r\n", vec!["\n"]),
    ] {
        assert_eq!(words(typed), expected, "{typed}");
    }
}

#[test]
fn what_is_refused_is_said_with_its_place() {
    for (typed, at, word) in [
        ("Set-CsSite $site", 11, "no variables"),
        ("Set-CsSite a$site", 12, "no variables"),
        ("Set-CsSite \"a $b\"", 14, "no variables"),
        ("Get-CsSite (a)", 11, "brackets"),
        ("Get-CsSite | where { $_ }", 19, "script blocks"),
        ("& Get-CsSite", 0, "`&`"),
        ("Get-CsSite > file", 11, "fedge shell -c"),
        ("Get-CsSite || Get-CsSite", 11, "`||`"),
        ("Get-CsSite @{a=b}", 11, "`@`"),
        ("Get-CsSite 'a", 11, "no end"),
        ("Get-CsSite -a'b'", 13, "parameter's name"),
    ] {
        let fault = cut(typed).expect_err(typed);
        assert!(fault.at == at && fault.what.contains(word), "{typed}: {fault:?}");
    }
    let fault = cut("Get-CsSite\n  ä $x").expect_err("a variable");
    assert!(fault.placed("Get-CsSite\n  ä $x").starts_with("line 2, column 5: "), "{fault:?}");
}

/// A small generator of numbers: the same ones for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).expect("it fits")).expect("it is below the bound")
    }
}

#[test]
fn damaged_lines_are_read_or_refused_in_their_place() {
    let good = "Set-CsSite 'Site 2' -XmppFederationRoute:EdgeServer:edge2.contoso.test -Force:$false -Why \"a `\"b`\" é\" `\n | \
                Format-List a,b; # done\nGet-CsSite";
    let letters: Vec<char> = "'\"`$#,;|&<>(){}@:-\n\r\t aé\u{2013}\u{201C}\u{0}?".chars().collect();
    let (mut read_well, mut refused) = (0, 0);
    for seed in 1..20_000 {
        let mut numbers = Numbers(seed);
        let mut damaged: Vec<char> = good.chars().collect();
        for _ in 0..=numbers.below(6) {
            if damaged.is_empty() {
                break;
            }
            let at = numbers.below(damaged.len());
            match numbers.below(4) {
                0 => drop(damaged.remove(at)),
                1 => damaged.insert(at, letters[numbers.below(letters.len())]),
                2 => damaged[at] = letters[numbers.below(letters.len())],
                _ => damaged.truncate(at),
            }
        }
        let typed: String = damaged.iter().collect();
        match read(&typed) {
            Ok(pipelines) => {
                let faults = pipelines.iter().filter_map(|pipeline| bind::pipeline(pipeline).err());
                faults.for_each(|fault| assert!(typed.is_char_boundary(fault.at), "seed {seed}: {fault:?}"));
                read_well += 1;
            }
            Err(fault) => {
                assert!(typed.is_char_boundary(fault.at), "seed {seed}: {fault:?}");
                assert!(fault.placed(&typed).starts_with("line "));
                refused += 1;
            }
        }
        let at = numbers.below(typed.len() + 1);
        let (start, _) = complete(&typed, at, &Names::default());
        assert!(start <= at, "seed {seed}: {typed:?}");
        let ends = cut(&typed).unwrap_or_default();
        assert!(ends.iter().all(|token| token.start < token.end && token.end <= typed.len()), "seed {seed}: {typed:?}");
    }
    assert!(read_well > 100 && refused > 100, "{read_well} {refused}");
}
