//! Which certificate is picked, how a folder is read again, and what is said about faults in it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CustomExtension, SanType};
use rustls::sign::CertifiedKey;

use super::testing::{Ca, Issued, domain, leaf_params, noon};
use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn shows(folder: &Folder, name: &str, issued: &Issued) -> bool {
    let shown: Option<Arc<CertifiedKey>> = folder.certificate(&domain(name));
    shown.is_some_and(|shown| shown.cert == issued.chain)
}

fn faults(path: &Path) -> String {
    Folder::open(path).expect_err("the folder is at fault").to_string()
}

#[test]
fn all_three_ways_of_laying_certificates_down_are_understood() {
    let (place, ca) = (folder(), Ca::root("a CA"));
    let (pair, combined, acme) = (ca.leaf(&["pair.test"]), ca.leaf(&["combined.test"]), ca.leaf(&["acme.test"]));
    pair.write(place.path(), "whatever");
    fs::write(place.path().join("one.pem"), combined.key.serialize_pem() + &combined.pem).expect("written");
    let acme_folder = place.path().join("acme.test");
    fs::create_dir(&acme_folder).expect("made");
    fs::write(acme_folder.join("fullchain.pem"), &acme.pem).expect("written");
    fs::write(acme_folder.join("cert.pem"), &acme.pem).expect("written");
    fs::write(acme_folder.join("privkey.pem"), acme.key.serialize_pem()).expect("written");
    fs::write(place.path().join("README"), "not a certificate").expect("written");
    fs::write(place.path().join(".hidden.pem"), "not a certificate").expect("written");
    let folder = Folder::open(place.path()).expect("in order");
    assert!(shows(&folder, "pair.test", &pair));
    assert!(shows(&folder, "combined.test", &combined));
    assert!(shows(&folder, "acme.test", &acme));
    assert!(folder.certificate(&domain("other.test")).is_none());
    assert_eq!(folder.list().len(), 3);
    assert!(folder.list().iter().all(|own| own.not_after > noon(2039)));
    assert!(Folder::open(&acme_folder).is_ok_and(|folder| shows(&folder, "acme.test", &acme)), "named directly");
}

#[test]
fn an_exact_name_beats_a_wildcard_and_then_the_latest_expiry_wins() {
    let (place, ca) = (folder(), Ca::root("a CA"));
    let until = |names: &[&str], year| {
        let mut params = leaf_params(names);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        ca.issue(&params)
    };
    let wildcard = until(&["*.contoso.test"], 2045);
    let (shorter, longer) = (until(&["im.contoso.test"], 2035), until(&["contoso.test", "im.contoso.test"], 2036));
    wildcard.write(place.path(), "a");
    longer.write(place.path(), "b");
    shorter.write(place.path(), "c");
    let folder = Folder::open(place.path()).expect("in order");
    assert!(shows(&folder, "im.contoso.test", &longer));
    assert!(shows(&folder, "contoso.test", &longer));
    assert!(shows(&folder, "conference.contoso.test", &wildcard));
    assert!(folder.certificate(&domain("a.b.contoso.test")).is_none(), "a wildcard stands for one label");
}

#[test]
fn a_reload_swaps_everything_at_once() {
    let (place, ca) = (folder(), Ca::root("a CA"));
    let first = ca.leaf(&["contoso.test"]);
    first.write(place.path(), "contoso");
    let folder = Folder::open(place.path()).expect("in order");
    assert!(!folder.changed());
    let (renewed, added) = (ca.leaf(&["contoso.test"]), ca.leaf(&["fabrikam.test"]));
    renewed.write(place.path(), "contoso");
    added.write(place.path(), "fabrikam");
    assert!(folder.changed());
    assert!(shows(&folder, "contoso.test", &first), "nothing happens before the reload");
    assert_eq!(folder.reload().expect("in order"), 2);
    assert!(shows(&folder, "contoso.test", &renewed) && shows(&folder, "fabrikam.test", &added));
    assert!(!folder.changed());
    fs::remove_file(place.path().join("fabrikam.crt")).expect("removed");
    assert!(folder.changed());
    assert_eq!(folder.reload().expect("in order"), 1);
    assert!(folder.certificate(&domain("fabrikam.test")).is_none());
}

#[test]
fn a_fault_in_a_reload_keeps_the_old_set_whole_and_is_not_reported_again_and_again() {
    let (place, ca) = (folder(), Ca::root("a CA"));
    let (one, two) = (ca.leaf(&["one.test"]), ca.leaf(&["two.test"]));
    one.write(place.path(), "one");
    two.write(place.path(), "two");
    let folder = Folder::open(place.path()).expect("in order");
    // Half of a renewal: the new certificate is there, its key isn't yet; and `two` was renewed well.
    let renewed = ca.leaf(&["one.test"]);
    fs::write(place.path().join("one.crt"), &renewed.pem).expect("written");
    ca.leaf(&["two.test"]).write(place.path(), "two");
    let faults = folder.reload().expect_err("key and certificate don't match");
    assert!(faults.to_string().contains("does not belong to"), "{faults}");
    assert!(shows(&folder, "one.test", &one) && shows(&folder, "two.test", &two));
    assert!(!folder.changed(), "it was read and told; nothing is new since");
    fs::write(place.path().join("one.key"), renewed.key.serialize_pem()).expect("written");
    assert!(folder.changed());
    assert_eq!(folder.reload().expect("in order"), 2);
    assert!(shows(&folder, "one.test", &renewed));
}

#[test]
fn every_fault_says_which_file_what_and_what_to_do() {
    let (place, ca) = (folder(), Ca::root("a CA"));
    let path = place.path();
    ca.leaf(&["fine.test"]).write(path, "fine");
    fs::write(path.join("keyless.crt"), &ca.leaf(&["keyless.test"]).pem).expect("written");
    fs::write(path.join("garbage.crt"), "no PEM at all").expect("written");
    let cut = ca.leaf(&["cut.test"]);
    cut.write(path, "cut");
    fs::write(path.join("cut.crt"), &cut.pem[..cut.pem.len() / 2]).expect("written");
    ca.leaf(&["mixed.test"]).write(path, "mixed");
    fs::write(path.join("mixed.key"), ca.leaf(&["mixed.test"]).key.serialize_pem()).expect("written");
    ca.leaf(&[]).write(path, "nameless");
    let locked = ca.leaf(&["locked.test"]);
    locked.write(path, "locked");
    let sealed = locked.key.serialize_pem().replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    fs::write(path.join("locked.key"), &sealed).expect("written");
    let told = faults(path);
    for (file, what) in [
        ("keyless.crt", "no private key"),
        ("garbage.crt", "no certificate in it"),
        ("cut.crt", "cut off"),
        ("mixed.key", "does not belong"),
        ("nameless.crt", "no name in its subjectAltName"),
        ("locked.key", "passphrase"),
    ] {
        assert!(told.lines().any(|line| line.contains(file) && line.contains(what)), "{file}, {what}:\n{told}");
    }
    assert_eq!(told.lines().count(), 6, "each fault once:\n{told}");
    assert!(!told.contains("MIG"), "no key material:\n{told}");
    assert!(faults(&path.join("nowhere")).contains("can't be read"));
}

#[test]
fn no_folder_means_no_certificates() {
    let folder = Folder::empty();
    assert!(folder.certificate(&domain("contoso.test")).is_none());
    assert!(!folder.changed());
    assert_eq!(folder.reload().expect("nothing to read"), 0);
}

#[test]
fn names_of_every_form_are_read_and_nothing_else() {
    let mut params = leaf_params(&["contoso.test"]);
    params.subject_alt_names.push(SanType::OtherName((vec![1, 3, 6, 1, 5, 5, 7, 8, 5], "bücher.test".into())));
    params
        .subject_alt_names
        .push(SanType::OtherName((vec![1, 3, 6, 1, 5, 5, 7, 8, 7], "_xmpp-server.srv.test".into())));
    params.subject_alt_names.push(SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], "user@upn.test".into())));
    params.subject_alt_names.push(SanType::IpAddress([192, 0, 2, 1].into()));
    let leaf = Leaf::parse(&Issued::self_signed(&params).chain[0]).expect("well-formed");
    assert_eq!(leaf.names.dns, ["contoso.test"]);
    assert_eq!(leaf.names.xmpp, ["bücher.test"]);
    assert_eq!(leaf.names.srv, ["_xmpp-server.srv.test"]);
    assert!(leaf.self_issued);
}

#[test]
fn an_srv_name_as_the_rfc_encodes_it_is_read() {
    // GeneralNames { otherName { id-on-dnsSRV, [0] IA5String } } (RFC 4985 §2)
    let name = b"_xmpp-server.srv.test";
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).expect("short");
    let text = [&[0x16, length(name)], &name[..]].concat();
    let explicit = [&[0xa0, length(&text)], &text[..]].concat();
    let other = [&[0x06, 8, 0x2b, 6, 1, 5, 5, 7, 8, 7], &explicit[..]].concat();
    let tagged = [&[0xa0, length(&other)], &other[..]].concat();
    let names = [&[0x30, length(&tagged)], &tagged[..]].concat();
    let mut params = leaf_params(&[]);
    params.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 17], names));
    let issued = Issued::self_signed(&params);
    assert_eq!(Leaf::parse(&issued.chain[0]).expect("well-formed").names.srv, ["_xmpp-server.srv.test"]);
    let place = folder();
    issued.write(place.path(), "srv");
    assert!(shows(&Folder::open(place.path()).expect("in order"), "srv.test", &issued));
}

#[test]
fn cut_or_mangled_certificates_are_told_and_never_panic() {
    let good = Ca::root("a CA").leaf(&["contoso.test"]).chain[0].to_vec();
    for end in 0..good.len() {
        assert!(Leaf::parse(&good[..end].into()).is_err(), "cut at {end}");
    }
    for at in 0..good.len() {
        let mut mangled = good.clone();
        mangled[at] ^= 0x55;
        let _ = Leaf::parse(&mangled.into());
    }
    assert!(Leaf::parse(&[&good[..], b"x"].concat().into()).is_err());
}

#[test]
fn moments_are_told_as_people_read_them() {
    assert_eq!(utc(noon(2027)), "2027-06-01 00:00:00 UTC");
}
