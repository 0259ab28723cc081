//! Each thing that can be wrong with our names, and nothing where nothing is.

use api::dns::{Shown, TlsaPlace};
use topology::document::Topology;
use topology::records::Mark;
use topology::tlsa::Tlsa;
use topology::zone::Publisher;

use super::*;
use crate::zones::heard::DNSKEY;
use crate::zones::look::{Seen, Told};

const DOCUMENT: &str = include_str!("../../../../../docs/examples/topology.toml");
const SERVICE: &str = "_xmpp-server._tcp.contoso.test.";

/// What is judged, and may be made worse.
struct Case {
    published: Published,
    ca: Vec<String>,
    wildcards: Vec<String>,
    keys: BTreeMap<String, ZoneKey>,
    looks: Vec<Look>,
    heard: Vec<Heard>,
    reached: BTreeMap<SocketAddr, Reached>,
    shown: Vec<PoolTlsa>,
}

fn server() -> SocketAddr {
    "192.0.2.53:53".parse().expect("an address")
}

impl Case {
    /// All is well, at one name server.
    fn new() -> Case {
        let zone = "\n[[zone]]\nname = 'contoso.test'\npublisher = 'rfc2136'\nservers = ['192.0.2.53']\nkey = 'k'\n";
        let topology = Topology::read("topology.toml", &format!("{DOCUMENT}{zone}")).expect("it is good");
        let published = Published::of(&topology);
        let mark = Mark { owner: "a1".to_owned(), epoch: 1, topology: 1 };
        let contents = published.contents("pool1.contoso.test", &mark).expect("a pool").remove(0);
        let sets = contents.sets.clone();
        let heard = super::super::heard::names(&published).into_iter().map(|(name, kind)| {
            let said = sets.iter().filter(|set| set.name == name && set.kind == kind).cloned().collect();
            Heard { server: server(), manner: Manner::Authority, name, kind, said: Ok(said) }
        });
        let heard = heard.collect();
        let seen = Seen { mark: Some(Ok(mark)), sets };
        let mut look = Look::unseen(contents);
        look.told.insert(server(), Told { said: Ok(seen), age: Duration::ZERO });
        Case {
            published,
            ca: Vec::new(),
            wildcards: Vec::new(),
            keys: BTreeMap::new(),
            looks: vec![look],
            heard,
            reached: BTreeMap::new(),
            shown: Vec::new(),
        }
    }

    fn lint(&self) -> Vec<Finding> {
        lint(&Ground {
            published: &self.published,
            routed: "pool1.contoso.test",
            ca: &self.ca,
            wildcards: &self.wildcards,
            keys: &self.keys,
            looks: &self.looks,
            heard: &self.heard,
            reached: &self.reached,
            shown: &self.shown,
        })
    }

    /// Says something else at a name.
    fn says(mut self, name: &str, kind: &str, sets: Vec<RecordSet>) -> Case {
        let heard = self.heard.iter_mut().find(|heard| heard.name == name && heard.kind == kind);
        heard.expect("it is asked for").said = Ok(sets);
        self
    }

    fn is(&self, severity: Severity, code: &str) -> Finding {
        let findings = self.lint();
        let found = findings.iter().find(|finding| finding.code == code && finding.severity == severity);
        let found = found.unwrap_or_else(|| panic!("no {severity:?} {code} in {findings:?}")).clone();
        assert!(!found.fix.is_empty() && !found.seen.is_empty());
        found
    }
}

fn srv(values: &[&str]) -> Vec<RecordSet> {
    vec![set(SERVICE, "SRV", values)]
}

fn set(name: &str, kind: &str, values: &[&str]) -> RecordSet {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    RecordSet { name: name.to_owned(), kind: kind.to_owned(), ttl: 30, values }
}

#[test]
fn where_all_is_well_nothing_is_found() {
    assert_eq!(Case::new().lint(), []);
}

#[test]
fn a_domain_that_partners_do_not_find() {
    let case = Case::new().says(SERVICE, "SRV", Vec::new());
    assert!(case.is(Severity::Fault, "missing").seen.contains(SERVICE));
    let alias = vec![set(SERVICE, "CNAME", &["nowhere.test."])];
    Case::new().says(SERVICE, "SRV", alias).is(Severity::Fault, "alias");
    Case::new().says(SERVICE, "SRV", srv(&["0 0 0 ."])).is(Severity::Fault, "dot");
}

#[test]
fn a_domain_that_leads_to_the_wrong_place() {
    let (one, two) = ("pool1.contoso.test.", "pool2.contoso.test.");
    for (code, values) in [
        ("port", [format!("10 0 5222 {one}"), format!("20 0 5269 {two}")]),
        ("equal-priorities", [format!("10 0 5269 {one}"), format!("10 0 5269 {two}")]),
        ("order", [format!("10 0 5269 {two}"), format!("20 0 5269 {one}")]),
        ("elsewhere", [format!("10 0 5269 {one}"), "20 0 5269 old.contoso.test.".to_owned()]),
    ] {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        Case::new().says(SERVICE, "SRV", srv(&values)).is(Severity::Fault, code);
    }
    let alone = srv(&["10 0 5269 pool1.contoso.test."]);
    Case::new().says(SERVICE, "SRV", alone).is(Severity::Warning, "pool-missing");
}

#[test]
fn direct_tls_that_nobody_speaks() {
    let name = "_xmpps-server._tcp.contoso.test.";
    let case = Case::new().says(name, "SRV", vec![set(name, "SRV", &["5 0 5270 pool1.contoso.test."])]);
    case.is(Severity::Fault, "direct-tls");
    let mut case = Case::new();
    case.published.names.direct_tls_port = Some(5270);
    case.is(Severity::Fault, "missing");
    case.reached.insert("192.0.2.10:5270".parse().expect("one"), Reached::Nowhere("it speaks no TLS".to_owned()));
    assert!(case.is(Severity::Fault, "unreachable").seen.contains("192.0.2.10:5270"));
}

#[test]
fn targets_that_are_aliases_or_lack_addresses() {
    let (one, two) = ("pool1.contoso.test.", "pool2.contoso.test.");
    Case::new().says(one, "A", vec![set(one, "CNAME", &["edge1.contoso.test."])]).is(Severity::Fault, "alias-target");
    Case::new().says(two, "A", Vec::new()).is(Severity::Fault, "no-address");
    Case::new().says(one, "A", vec![set(one, "A", &["192.0.2.10"])]).is(Severity::Warning, "address");
    Case::new().says(one, "AAAA", Vec::new()).is(Severity::Warning, "no-aaaa");
}

#[test]
fn addresses_at_which_partners_get_in_from_some_places_or_nobody_looks() {
    let at: SocketAddr = "192.0.2.10:5269".parse().expect("an address");
    let case = |reached| Case { reached: [(at, reached)].into(), ..Case::new() };
    assert_eq!(case(Reached::Well).lint(), []);
    let some = Reached::FromSome { from: "edge3".to_owned(), fault: "witness1 sees: closed".to_owned() };
    assert!(case(some).is(Severity::Warning, "reached-from-some").seen.contains("witness1 sees"));
    assert!(case(Reached::Unseen("no witness".to_owned())).is(Severity::Warning, "unseen").seen.contains("192.0.2.10"));
}

fn record(byte: u8) -> Tlsa {
    Tlsa::new(3, 1, 1, &[byte; 32]).expect("a record")
}

/// What an edge server shows for two domains, where this is declared.
fn with_tlsa(declared: &[u8], shown: [&[u8]; 2]) -> Case {
    let records = |bytes: &[u8]| bytes.iter().map(|byte| record(*byte)).collect::<Vec<Tlsa>>();
    let shown = ["contoso.test", "chat.contoso.test"].into_iter().zip(shown);
    let shown = shown.map(|(domain, bytes)| Shown { domain: domain.to_owned(), records: records(bytes) });
    let place = TlsaPlace {
        server: "edge1".to_owned(),
        address: "192.0.2.10:5269".to_owned(),
        by: Some("witness1".to_owned()),
        shown: shown.collect(),
        why: None,
    };
    let pool = PoolTlsa { pool: "pool1".to_owned(), declared: records(declared), places: vec![place] };
    Case { shown: vec![pool], ..Case::new() }
}

#[test]
fn a_certificate_that_fits_no_tlsa_record() {
    assert_eq!(with_tlsa(&[1, 2], [&[1, 7], &[2]]).lint(), []);
    assert_eq!(with_tlsa(&[], [&[1], &[2]]).lint(), [], "nothing is declared");
    let found = with_tlsa(&[1, 3], [&[1], &[2, 4]]).is(Severity::Fault, "tlsa-unfit");
    assert_eq!(found.place, "192.0.2.10:5269");
    assert!(found.seen.contains("for chat.contoso.test that fits none") && found.seen.contains("as witness1 sees it"));
    assert!(found.fix.contains("`fedge dns tlsa pool1`"), "{found:?}");
    assert!(with_tlsa(&[3], [&[1], &[2]]).is(Severity::Fault, "tlsa-unfit").seen.contains("contoso.test and 1 more"));
}

#[test]
fn tlsa_records_in_a_zone_that_is_not_signed() {
    let said = |said: Result<&[&str], &str>| {
        let mut case = Case::new();
        case.published.pools[0].tlsa = vec![record(1)];
        let sets =
            |values: &[&str]| if values.is_empty() { Vec::new() } else { vec![set("contoso.test.", DNSKEY, values)] };
        for (name, kind) in super::super::heard::signed(&case.published) {
            let said = said.map(sets).map_err(str::to_owned);
            case.heard.push(Heard { server: server(), manner: Manner::Authority, name, kind, said });
        }
        case
    };
    assert_eq!(said(Ok(&[])).is(Severity::Warning, "tlsa-unsigned").place, "contoso.test.");
    assert_eq!(said(Ok(&["257 3 13 abc"])).lint(), []);
    // Who doesn't answer may be signed; and without a record nobody cares.
    assert_eq!(said(Err("nothing came")).lint(), []);
    let mut case = said(Ok(&[]));
    case.published.pools[0].tlsa.clear();
    assert_eq!(case.lint(), []);
}

/// Where certificates are of one CA, what a server says of each name on the way up.
fn with_caa(manner: Manner, said: &[(&str, Result<&[&str], &str>)]) -> Vec<Finding> {
    let mut case = Case { ca: vec!["letsencrypt.org".to_owned()], ..Case::new() };
    case.published.locals = vec!["im.contoso.test".to_owned()];
    case.heard = said
        .iter()
        .map(|(name, values)| {
            let sets = |values: &[&str]| if values.is_empty() { Vec::new() } else { vec![set(name, "CAA", values)] };
            let said = values.map(sets).map_err(str::to_owned);
            Heard { server: server(), manner, name: (*name).to_owned(), kind: "CAA", said }
        })
        .collect();
    case.lint()
}

#[test]
fn the_closest_caa_set_lets_our_ca_issue_or_it_is_told() {
    const NONE: Result<&[&str], &str> = Ok(&[]);
    const OTHER: Result<&[&str], &str> = Ok(&["0 issue \"ca.example\""]);
    let (own, zone, top) = ("im.contoso.test.", "contoso.test.", "test.");
    let resolver =
        |own_set, zone_set, top_set| with_caa(Manner::Resolver, &[(own, own_set), (zone, zone_set), (top, top_set)]);
    assert_eq!(resolver(NONE, NONE, NONE), []);
    for good in [
        &["0 issue \"letsencrypt.org\""][..],
        &["0 issue \";\"", "128 issue \"LetsEncrypt.org; validationmethods=dns-01\""],
        &["0 iodef \"mailto:root@contoso.test\""],
        &["0 issuewild \";\""],
    ] {
        assert_eq!(resolver(NONE, Ok(good), OTHER), [], "{good:?}");
    }
    let told = |findings: Vec<Finding>, seen: &str| {
        let [found] = &findings[..] else { panic!("{findings:?}") };
        assert!(found.code == "caa" && found.place == "im.contoso.test" && found.seen.contains(seen), "{found:?}");
        assert!(found.fix.contains("IN CAA 0 issue \"letsencrypt.org\""), "{found:?}");
    };
    told(resolver(NONE, OTHER, NONE), "the CAA records of contoso.test. let only ca.example issue");
    told(resolver(NONE, NONE, OTHER), "the CAA records of test. let only");
    told(
        resolver(Ok(&["0 issue \";\""]), Ok(&["0 issue \"letsencrypt.org\""]), NONE),
        "of im.contoso.test. forbid every CA",
    );
    // What isn't known of a name on the way may be what holds; and a name server doesn't know what is above its zone.
    assert_eq!(resolver(Err("nothing came"), OTHER, NONE), []);
    assert_eq!(with_caa(Manner::Authority, &[(own, NONE), (zone, NONE)]), []);
    told(with_caa(Manner::Authority, &[(own, NONE), (zone, OTHER)]), "contoso.test. let only ca.example");
}

#[test]
fn nobody_asks_for_caa_records_where_the_ca_is_not_known() {
    let mut case = Case::new();
    let said = Ok(vec![set("contoso.test.", "CAA", &["0 issue \";\""])]);
    let name = "contoso.test.".to_owned();
    case.heard.push(Heard { server: server(), manner: Manner::Authority, name, kind: "CAA", said });
    assert_eq!(case.lint(), []);
    case.ca.push("letsencrypt.org".to_owned());
    case.is(Severity::Warning, "caa");
}

#[test]
fn answers_that_are_kept_for_long() {
    let mut long = set("pool2.contoso.test.", "A", &["198.51.100.10"]);
    long.ttl = 3600;
    let mut case = Case::new().says("pool2.contoso.test.", "A", vec![long]);
    assert!(case.is(Severity::Warning, "ttl").seen.contains("3600 s"));
    // A resolver counts down from whatever it was told.
    case.heard.iter_mut().for_each(|heard| heard.manner = Manner::Resolver);
    assert_eq!(case.lint(), []);
}

#[test]
fn zones_with_other_marks_silent_servers_and_left_overs() {
    let told = |said: Result<Seen, String>| {
        let mut case = Case::new();
        case.looks[0].told.insert(server(), Told { said, age: Duration::ZERO });
        case
    };
    let seen = |mark: Option<Result<Mark, String>>| Seen { mark, sets: Case::new().looks[0].contents.sets.clone() };
    let mark = |owner: &str, epoch| Some(Ok(Mark { owner: owner.to_owned(), epoch, topology: 1 }));
    for (code, said) in [
        ("silent", Err("nothing came".to_owned())),
        ("no-mark", Ok(seen(None))),
        ("foreign-mark", Ok(seen(Some(Err("v=spf1".to_owned()))))),
        ("foreign-mark", Ok(seen(mark("f00", 1)))),
        ("behind", Ok(seen(mark("a1", 0)))),
        ("ahead", Ok(seen(mark("a1", 2)))),
    ] {
        told(said).is(Severity::Fault, code);
    }
    let mut left = seen(mark("a1", 1));
    left.sets.push(set("_xmpp-server._tcp.gone.contoso.test.", "SRV", &["10 0 5269 pool1.contoso.test."]));
    let mut case = told(Ok(left));
    assert_eq!(case.lint(), [], "it isn't ours");
    case.looks[0].owned.push("_xmpp-server._tcp.gone.contoso.test.".to_owned());
    case.is(Severity::Warning, "left-over");
}

#[test]
fn name_servers_that_answer_something_else_or_have_left_overs_alone() {
    let case = |change: &dyn Fn(&mut Seen)| {
        let mut case = Case::new();
        let Publisher::Rfc2136 { servers, .. } = &mut case.looks[0].contents.zone.publisher else { panic!() };
        let secondary = "192.0.2.54:53".parse().expect("an address");
        servers.push(secondary);
        case.looks[0].owned.push("pool3.contoso.test.".to_owned());
        let mut seen = case.looks[0].told[&server()].said.clone().expect("it answers");
        change(&mut seen);
        case.looks[0].told.insert(secondary, Told { said: Ok(seen), age: Duration::ZERO });
        case
    };
    assert_eq!(case(&|_| ()).lint(), []);
    let other = case(&|seen| seen.sets[0].values.truncate(1));
    let found = other.is(Severity::Warning, "different");
    assert!(found.seen.starts_with("192.0.2.54:53 ") && found.seen.contains(SERVICE), "{found:?}");
    let left = |seen: &mut Seen| seen.sets.push(set("pool3.contoso.test.", "A", &["192.0.2.30"]));
    let found = case(&left).lint();
    assert!(
        matches!(&found[..], [one] if one.code == "left-over" && one.seen.ends_with(": 192.0.2.54:53")),
        "{found:?}"
    );
    let both = case(&|seen| {
        seen.sets[0].values.truncate(1);
        left(seen);
    });
    assert_eq!(both.lint().iter().map(|found| found.code.as_str()).collect::<Vec<_>>(), ["different", "left-over"]);
}

#[test]
fn domains_that_no_zone_can_have_and_servers_that_say_nothing() {
    let mut case = Case::new();
    case.wildcards.push("*.im.contoso.test".to_owned());
    case.is(Severity::Warning, "wildcard");
    let mut case = Case::new();
    case.heard[0].said = Err("nothing came".to_owned());
    case.is(Severity::Warning, "unanswered");
}

#[test]
fn what_is_worst_comes_first() {
    let mut case = Case::new().says(SERVICE, "SRV", Vec::new());
    case.wildcards.push("*.im.contoso.test".to_owned());
    let severities: Vec<Severity> = case.lint().iter().map(|finding| finding.severity).collect();
    assert!(severities.is_sorted() && severities.len() == 2, "{severities:?}");
}

/// The zone as one of ours, and what a resolver says that its parent says of it.
fn with_parent(key: Option<ZoneKey>, says: &[&str]) -> Case {
    let mut case = Case::new();
    case.published.zones[0].publisher = Publisher::Embedded { servers: Vec::new(), signed: key.is_some() };
    case.keys.extend(key.map(|key| ("contoso.test.".to_owned(), key)));
    let sets = if says.is_empty() { Vec::new() } else { vec![set("contoso.test.", "DS", says)] };
    let server = "9.9.9.9:53".parse().expect("an address");
    let name = "contoso.test.".to_owned();
    case.heard.push(Heard { server, manner: Manner::Resolver, name, kind: "DS", said: Ok(sets) });
    case
}

#[test]
fn a_parent_that_says_of_a_key_what_is_not_so() {
    let drawn = ZoneKey::draw().expect("randomness");
    let key = || Some(ZoneKey::read(&drawn).expect("a key"));
    let ours = key().expect("it is there").parents("contoso.test.");
    let (of_another, tag) = (format!("{}00", &ours[..ours.len() - 2]), key().expect("it is there").tag());
    let of_another = if of_another == ours { ours.replace("00", "01") } else { of_another };
    with_parent(key(), &[]).is(Severity::Warning, "ds-missing");
    with_parent(key(), &[&of_another]).is(Severity::Fault, "ds-wrong");
    with_parent(key(), &[&format!("{tag} 8 4 {}", "AB".repeat(48))]).is(Severity::Fault, "ds-wrong");
    with_parent(None, &[&ours]).is(Severity::Fault, "ds-wrong");
    let sha384 = format!("{tag} 13 4 {}", "AB".repeat(48));
    for says in [&[ours.as_str()][..], &[&ours.to_ascii_lowercase()], &[&of_another, &ours], &[&sha384]] {
        assert_eq!(with_parent(key(), says).lint(), [], "{says:?}");
    }
    assert_eq!(with_parent(None, &[]).lint(), []);
}
