//! Packages come with what they need, once, and what is unpacked runs.

use super::stamp::Stamp;
use super::{Debian, Package, apt};
use crate::place::Place;

/// Small, with a library that hardly anybody has, and modules of two kinds.
const LUA: &[&str] = &["lua5.4", "lua-unbound", "lua-sec"];

#[test]
fn what_is_unpacked_runs_with_its_libraries() {
    let folder = Debian::usual_folder();
    let debian = Debian::unpack(&folder, LUA, &mut |_| ()).expect("Debian has these");
    let script = tempfile::NamedTempFile::new().expect("a file");
    let text = "print(require 'lunbound' ~= nil, require 'ssl'._VERSION, require 'ltn12'._VERSION)";
    std::fs::write(&script, text).expect("written");
    let output = debian.lua(&Place::here(), script.path()).output().expect("it starts");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("true\t1."), "{output:?}");
}

#[test]
fn programs_run_in_their_place() {
    let debian = Debian::unpack(&Debian::usual_folder(), &["nftables"], &mut |_| ()).expect("Debian has it");
    let place = Place::isolated().expect("this runs as root");
    let nft = |line: &str| {
        let output = debian.command(&place, "usr/sbin/nft").args(line.split(' ')).output().expect("it starts");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    nft("add table inet laboratory");
    assert_eq!(nft("list tables"), "table inet laboratory\n");
}

#[test]
fn a_second_time_nothing_is_missing_or_said() {
    let folder = Debian::usual_folder();
    Debian::unpack(&folder, LUA, &mut |_| ()).expect("Debian has these");
    let mut said = Vec::new();
    let mut say = |what: &str| said.push(what.to_owned());
    assert_eq!(Debian::missing(&folder, &["lua-sec"], &mut say).expect("known"), Vec::new());
    Debian::unpack(&folder, &["lua-sec", "lua5.4"], &mut say).expect("there");
    assert_eq!(said, Vec::<String>::new());
}

#[test]
fn an_unknown_package_is_an_error_that_names_it() {
    let error = Debian::missing(&Debian::usual_folder(), &["no-such-server"], &mut |_| ()).expect_err("none such");
    assert!(format!("{error:#}").contains("no-such-server"), "{error:#}");
}

#[test]
fn what_apt_get_prints_is_understood() {
    let line = "'http://deb.test/erl_1%3a25.2_amd64.deb' erl_1%3a25.2_amd64.deb 9697280 SHA256:00";
    let package = apt::package(line).expect("understood");
    let file = String::from("erl_1%3a25.2_amd64.deb");
    assert_eq!(package, Package { name: "erl".into(), version: "1:25.2".into(), bytes: 9_697_280, file });
    apt::package("'http://deb.test/odd.deb' odd.deb 5").expect_err("no version in it");
}

#[test]
fn a_stamp_remembers_what_was_wanted_and_unpacked() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut stamp = Stamp::read(folder.path()).expect("none is an empty one");
    assert!(!stamp.satisfies(&["one"]));
    let line = "'http://deb.test/one_1_all.deb' one_1_all.deb 5 SHA256:00";
    let package = apt::package(line).expect("understood");
    stamp.add(&package);
    stamp.done(&[String::from("one")]).write(folder.path()).expect("written");
    let stamp = Stamp::read(folder.path()).expect("readable");
    assert!(stamp.satisfies(&["one"]) && stamp.has(&package));
    assert!(!stamp.satisfies(&["one", "two"]));
    assert_eq!(stamp.with(&["two"]), ["one", "two"]);
}
