//! The help as it is printed, for one cmdlet word by word, and for all as far as it must hold something.

use super::super::bind;
use super::super::cmdlets::CMDLETS;
use super::super::line::read;
use super::*;

fn help(typed: &str) -> Result<String, String> {
    let read = read(typed).expect("it is good");
    asked(&bind::pipeline(&read[0]).expect("it is good").call)
}

#[test]
fn the_full_help_is_this() {
    assert_eq!(help("Get-Help Set-CsSite -Full").expect("there is one"), include_str!("set-cssite.txt"));
    assert_eq!(help("Get-Help").expect("there is one"), include_str!("all.txt"));
}

#[test]
fn every_cmdlet_has_help_and_each_kind_shows_its_part() {
    for cmdlet in &CMDLETS {
        let name = cmdlet.name;
        let brief = help(&format!("{name} -?")).expect("there is one");
        assert!(brief.contains("SYNOPSIS") && brief.contains("SYNTAX") && !brief.contains("PARAMETERS"), "{brief}");
        assert_eq!(brief, help(&format!("get-help {}", name.to_lowercase())).expect("there is one"));
        let examples = help(&format!("help {name} -Examples")).expect("there is one");
        assert!(examples.starts_with("EXAMPLES\n") && examples.contains(cmdlet.examples[0].0), "{examples}");
        let full = help(&format!("? {name} -Detailed")).expect("there is one");
        assert!(full.contains(&examples), "{full}");
        assert!(cmdlet.parameters().all(|parameter| full.contains(&format!("    -{}", parameter.name))), "{full}");
        assert!(full.lines().all(|line| line.len() <= WIDTH || line.starts_with("    Get-")), "{full}");
    }
}

#[test]
fn names_may_be_parts_and_what_is_not_there_is_said() {
    let services = help("Get-Help *service").expect("there are some");
    assert_eq!(services.lines().count(), 3, "{services}");
    assert!(help("Get-Help Format-Table").expect("there is one").contains("(ft)"));
    for name in ["Move-CsUser", "x*"] {
        let fault = help(&format!("Get-Help {name}")).expect_err("there is none");
        assert!(fault.contains(name) && fault.contains("Set-CsSite, "), "{fault}");
    }
}
