//! `fedge test im` and Test-CsXmppIM between accounts on a Prosody inside and an ejabberd outside, and what is said where
//! something is wrong.

use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use testkit::lab::{CONTOSO, FABRIKAM, Kind, Lab, LabPlan, Peer, TAILSPIN};
use testkit::pki::LabCa;
use testkit::place::Place;
use testkit::server::Authentication::External;

const ALICE: &str = "alice@contoso.test";
const BOB: &str = "bob@fabrikam.test";
/// At a partner that nobody finds.
const TESS: &str = "alice@tailspin.test";

/// Where servers of the laboratory take clients.
const INSIDE: &str = "127.0.1.1:5222";
const OUTSIDE: &str = "127.0.4.1:5222";

/// A laboratory, and files of accounts beside it.
struct Bench {
    lab: Lab,
    /// Where DNS is that of the laboratory.
    place: Place,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(partners: &[&'static str]) -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::isolated().expect("a namespace");
        let peer = |kind| Peer { kind, authentication: External };
        let partners: Vec<_> = partners.iter().map(|domain| (*domain, peer(Kind::Ejabberd))).collect();
        let plan = LabPlan::new(peer(Kind::Prosody), &partners);
        let lab = Lab::start(place.clone(), &plan, folder.path(), &mut |_| {}).expect("a laboratory");
        let place = place.with_resolvers(&[lab.layout.public_dns.address]).expect("a file");
        let bench = Bench { lab, place, folder };
        bench.write("secret", "secret\n");
        bench.write("wrong", "another-one\n");
        bench
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that nobody else may read.
    fn write(&self, name: &str, text: &str) {
        let file = self.file(name);
        std::fs::write(&file, text).expect("written");
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("ours");
    }

    /// Writes a file of accounts: JID, file of the password, and more lines of each.
    fn accounts(&self, trusted: &str, accounts: &[(&str, &str, &str)]) {
        let mut text = format!("trusted = \"{trusted}\"\n");
        for (jid, password, more) in accounts {
            text += &format!("[[account]]\njid = \"{jid}\"\npassword_file = \"{password}\"\n{more}\n");
        }
        self.write("accounts.toml", &text);
    }

    /// `fedge`, with that file.
    fn fedge(&self, arguments: &[&str]) -> Told {
        let mut command = self.place.command(self.lab.programs.path("fedge"));
        command.env("FEDGE_TEST_ACCOUNTS", self.file("accounts.toml"));
        for variable in ["FEDGE_CONTROLLER", "FEDGE_CONTROL_CA", "FEDGE_TOKEN_FILE"] {
            command.env_remove(variable);
        }
        Told::of(command.args(arguments).output().expect("it can be run"))
    }
}

#[derive(Debug)]
struct Told {
    status: Option<i32>,
    printed: String,
    said: String,
}

impl Told {
    fn of(output: Output) -> Told {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let told = Told { status: output.status.code(), printed: text(output.stdout), said: text(output.stderr) };
        for secret in ["another-one", "AGFsaWNlAHNlY3JldA"] {
            assert!(!format!("{told:?}").contains(secret), "a password is told: {told:?}");
        }
        told
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.printed).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn at(server: &str) -> String {
    format!("server = \"{server}\"")
}

#[test]
fn messages_arrive_both_ways_and_troubles_are_told() {
    let mut bench = Bench::new(&[FABRIKAM]);
    arrive(&bench);
    found_by_dns(&bench);
    cmdlet(&bench);
    refused_logins(&bench);
    certificates(&bench);
    without_tls(&bench);
    let outside = bench.lab.servers.remove(1);
    outside.stop().expect("it ends");
    down(&bench);
}

fn arrive(bench: &Bench) {
    bench.accounts("trusted.crt", &[(ALICE, "secret", &at(INSIDE)), (BOB, "secret", &at(OUTSIDE))]);
    let told = bench.fedge(&["test", "im", ALICE, BOB]);
    assert_eq!((told.status, told.said.as_str()), (Some(0), ""), "{told:?}");
    let lines: Vec<&str> = told.printed.lines().collect();
    assert_eq!(lines.len(), 4, "{told:?}");
    for (line, begin) in lines.iter().zip([
        "alice@contoso.test: logged in at 127.0.1.1:5222 with TLSv1.3 and SCRAM-SHA-",
        "bob@fabrikam.test: logged in at 127.0.4.1:5222 with TLSv1.3 and SCRAM-SHA-",
        "alice@contoso.test -> bob@fabrikam.test: sent, arrived after ",
        "bob@fabrikam.test -> alice@contoso.test: sent, arrived after ",
    ]) {
        assert!(line.starts_with(begin), "{told:?}");
    }
    let told = bench.fedge(&["--json", "test", "im", BOB, ALICE]);
    let json = told.json();
    assert_eq!((told.status, &json["good"]), (Some(0), &true.into()), "{told:?}");
    assert_eq!((&json["ways"][0]["from"], &json["ways"][0]["outcome"]), (&BOB.into(), &"arrived".into()));
    // By the border, and not around it: fedge has counted them.
    let status = bench.lab.ask(&["status"]).expect("it says it");
    assert_eq!(status.matches("stanzas that came in: 2 = ").count(), 2, "{status}");
}

fn found_by_dns(bench: &Bench) {
    let dns = &bench.lab.dns;
    dns.addresses("clients.contoso.test", &["127.0.1.1".parse().expect("good")]);
    dns.client_direct_tls_srv(CONTOSO, &[(10, 0, 5223, "clients.contoso.test")]);
    dns.client_srv(FABRIKAM, &[(10, 0, 5222, "xmpp.fabrikam.test")]);
    bench.accounts("trusted.crt", &[(ALICE, "secret", ""), (BOB, "secret", "")]);
    let told = bench.fedge(&["test", "im", ALICE, BOB]);
    assert_eq!(told.status, Some(0), "{told:?}");
    assert!(told.printed.contains("alice@contoso.test: logged in at 127.0.1.1:5223 with TLS"), "{told:?}");
    assert!(told.printed.contains("bob@fabrikam.test: logged in at 127.0.4.1:5222 with TLS"), "{told:?}");
    dns.client_srv(FABRIKAM, &[(0, 0, 0, ".")]);
    let told = bench.fedge(&["test", "im", ALICE, BOB]);
    assert_eq!(told.status, Some(2), "{told:?}");
    assert!(told.printed.contains("it isn't known where the server for clients of fabrikam.test is"), "{told:?}");
}

fn cmdlet(bench: &Bench) {
    bench.accounts("trusted.crt", &[(ALICE, "secret", &at(INSIDE)), (BOB, "wrong", &at(OUTSIDE))]);
    let told = bench.fedge(&["shell", "-c", &format!("Test-CsXmppIM {ALICE} {BOB}")]);
    assert_eq!(told.status, Some(1), "{told:?}");
    assert!(told.printed.contains("From      : bob@fabrikam.test\n"), "{told:?}");
    assert!(told.printed.contains("Result    : Failure\n") && told.printed.contains("not-authorized"), "{told:?}");
    assert!(told.said.contains("Test-CsXmppIM: it can't be told whether messages arrive"), "{told:?}");

    bench.accounts("trusted.crt", &[(ALICE, "secret", &at(INSIDE)), (BOB, "secret", &at(OUTSIDE))]);
    let typed =
        format!("Test-CsXmppIM -SenderSipAddress sip:{ALICE} -Receiver {BOB} -Verbose | ft From,Result,Latency");
    let told = bench.fedge(&["shell", "-c", &typed]);
    assert_eq!(told.status, Some(0), "{told:?}");
    assert!(told.printed.starts_with("From               Result  Latency\n"), "{told:?}");
    assert_eq!(told.printed.matches("Success 00:00:").count(), 2, "{told:?}");
    assert!(told.said.contains("VERBOSE: alice@contoso.test: logged in at "), "{told:?}");
    let told = bench.fedge(&["shell", "-c", &format!("Test-CsXmppIM {ALICE} eve@fabrikam.test")]);
    assert_eq!(told.status, Some(2), "{told:?}");
    let told = bench.fedge(&["shell", "-c", &format!("Test-CsXmppIM {ALICE} {BOB} -Within 0")]);
    assert_eq!(told.status, Some(64), "{told:?}");
}

fn refused_logins(bench: &Bench) {
    let nobody = ("nobody@fabrikam.test", "secret", at(OUTSIDE));
    let good = (ALICE, "secret", at(INSIDE));
    for (one, other) in [
        ((ALICE, "wrong", at(INSIDE)), (BOB, "secret", at(OUTSIDE))),
        (good.clone(), (BOB, "wrong", at(OUTSIDE))),
        (good.clone(), nobody),
    ] {
        let accounts = [&one, &other].map(|(jid, password, more)| (*jid, *password, more.as_str()));
        bench.accounts("trusted.crt", &accounts);
        let told = bench.fedge(&["test", "im", one.0, other.0]);
        assert_eq!(told.status, Some(2), "{told:?}");
        assert_eq!(told.printed.matches("not logged in: the server refuses the login with not-authorized").count(), 1);
        assert!(told.printed.contains("  cause: the password is wrong, or there is no such user"), "{told:?}");
        assert!(told.printed.contains("  fix: ") && !told.printed.contains("->"), "{told:?}");
    }
    // A server that doesn't serve the domain.
    bench.accounts("trusted.crt", &[(ALICE, "secret", &at(OUTSIDE)), (BOB, "secret", &at(OUTSIDE))]);
    let told = bench.fedge(&["test", "im", ALICE, BOB]);
    assert!(told.status == Some(2) && told.printed.contains("with host-unknown"), "{told:?}");
    assert!(told.printed.contains("cause: that server doesn't serve the domain"), "{told:?}");
    // Nobody who isn't in the file, and none whose password others can read.
    let told = bench.fedge(&["test", "im", ALICE, "eve@fabrikam.test"]);
    assert!(told.status == Some(2) && told.printed.is_empty(), "{told:?}");
    assert!(told.said.contains("eve@fabrikam.test is no test account"), "{told:?}");
    std::fs::set_permissions(bench.file("secret"), Permissions::from_mode(0o644)).expect("ours");
    let told = bench.fedge(&["test", "im", ALICE, BOB]);
    assert!(told.status == Some(2) && told.said.contains("chmod 600"), "{told:?}");
    std::fs::set_permissions(bench.file("secret"), Permissions::from_mode(0o600)).expect("ours");
}

fn certificates(bench: &Bench) {
    let other = LabCa::new().expect("a CA");
    std::fs::write(bench.file("other.crt"), other.pem()).expect("written");
    bench.accounts("other.crt", &[(ALICE, "secret", &at(INSIDE)), (BOB, "secret", &at(OUTSIDE))]);
    let told = bench.fedge(&["test", "im", ALICE, BOB]);
    assert_eq!(told.status, Some(2), "{told:?}");
    assert_eq!(
        told.printed.matches("cause: its certificate is by a CA that isn't trusted here").count(),
        2,
        "{told:?}"
    );
    bench.accounts("nowhere.crt", &[(ALICE, "secret", &at(INSIDE)), (BOB, "secret", &at(OUTSIDE))]);
    let told = bench.fedge(&["test", "im", ALICE, BOB]);
    assert!(told.status == Some(2) && told.printed.contains("nowhere.crt: it can't be read"), "{told:?}");
    // Direct TLS where STARTTLS is spoken, and the port of servers.
    let direct = format!("{}\ntls = \"direct\"", at(INSIDE));
    bench.accounts("trusted.crt", &[(ALICE, "secret", &direct), (BOB, "secret", &at("127.0.4.1:5269"))]);
    let told = bench.fedge(&["test", "im", ALICE, BOB]);
    assert_eq!(told.status, Some(2), "{told:?}");
    assert!(told.printed.contains("TLS with 127.0.1.1:5222 fails: "), "{told:?}");
    assert!(told.printed.contains("bob@fabrikam.test: not logged in: "), "{told:?}");
}

/// A server that offers clients no TLS is told nothing of the account.
fn without_tls(bench: &Bench) {
    let address: SocketAddr = "127.0.8.1:5222".parse().expect("good");
    let listener = bench.place.enter(move || TcpListener::bind(address)).expect("it is free");
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("somebody comes");
        let mut heard = vec![0; 4096];
        let mut length = client.read(&mut heard).expect("a header");
        let answer = "<stream:stream from='fabrikam.test' id='1' version='1.0' xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams'><stream:features>\
                      <mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>\
                      </stream:features>";
        client.write_all(answer.as_bytes()).expect("said");
        while let Ok(more @ 1..) = client.read(&mut heard[length..]) {
            length += more;
        }
        String::from_utf8_lossy(&heard[..length]).into_owned()
    });
    bench.accounts("trusted.crt", &[(ALICE, "secret", &at(INSIDE)), (BOB, "secret", &at("127.0.8.1"))]);
    let told = bench.fedge(&["test", "im", ALICE, BOB]);
    assert_eq!(told.status, Some(2), "{told:?}");
    assert!(
        told.printed.contains("bob@fabrikam.test: not logged in: 127.0.8.1:5222 offers clients no TLS"),
        "{told:?}"
    );
    let heard = server.join().expect("no panic");
    assert!(heard.contains("<stream:stream") && !heard.contains("auth") && !heard.contains("bob"), "{heard}");
}

fn down(bench: &Bench) {
    bench.accounts("trusted.crt", &[(ALICE, "secret", &at(INSIDE)), (BOB, "secret", &at(OUTSIDE))]);
    let told = bench.fedge(&["test", "im", ALICE, BOB]);
    assert_eq!(told.status, Some(2), "{told:?}");
    assert!(
        told.printed.contains("bob@fabrikam.test: not logged in: 127.0.4.1:5222 takes no connection ("),
        "{told:?}"
    );
    assert!(told.printed.contains("cause: the server is down, or a firewall lies between"), "{told:?}");
    let json = bench.fedge(&["test", "im", ALICE, BOB, "--json"]).json();
    assert_eq!((&json["good"], &json["ways"]), (&false.into(), &Value::Array(Vec::new())));
    assert!(json["accounts"][1]["trouble"]["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{json}");
}

#[test]
fn where_a_partner_is_not_found_one_direction_is_told_from_the_other() {
    let bench = Bench::new(&[TAILSPIN]);
    // Who is found nowhere can still find us.
    bench.lab.dns.srv(TAILSPIN, &[(10, 0, 5299, "xmpp.tailspin.test")]);
    bench.accounts("trusted.crt", &[(ALICE, "secret", &at(INSIDE)), (TESS, "secret", &at("127.0.5.1"))]);
    let told = bench.fedge(&["test", "im", ALICE, TESS, "--within", "5", "--json"]);
    let json = told.json();
    assert_eq!(told.status, Some(1), "{told:?}");
    assert_eq!(json["ways"][1]["outcome"], "arrived", "{told:?}");
    assert_eq!((&json["ways"][0]["outcome"], &json["ways"][0]["seconds"]), (&"nothing".into(), &5.into()), "{told:?}");
    let cause = json["ways"][0]["cause"].as_str().expect("there is one");
    assert!(cause.starts_with("the other direction works: "), "{told:?}");
    // fedge holds for 20 s what it can't deliver.
    let told = bench.fedge(&["test", "im", ALICE, TESS, "--within", "120"]);
    assert_eq!(told.status, Some(1), "{told:?}");
    assert!(told.printed.contains("alice@contoso.test -> alice@tailspin.test: sent, came back after "), "{told:?}");
    assert!(told.printed.contains("alice@tailspin.test -> alice@contoso.test: sent, arrived after "), "{told:?}");
    assert!(told.printed.contains("  fix: ") && told.printed.contains("`fedge probe tailspin.test`"), "{told:?}");
}

#[test]
fn the_document_shows_a_file_of_accounts_that_is_good() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/testing-im.md"));
    let text = text.expect("it is there");
    let block = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a file of accounts");
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("written");
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("ours");
    };
    write("accounts.toml", block);
    for line in block.lines().filter_map(|line| line.strip_prefix("password_file = \"")) {
        write(line.split('"').next().expect("a name"), "secret\n");
    }
    // In a network where nobody is, the accounts are as far as it comes.
    let place = Place::isolated().expect("a namespace");
    let mut command = place.command(env!("CARGO_BIN_EXE_fedge"));
    let accounts: Vec<&str> =
        block.lines().filter_map(|line| line.strip_prefix("jid = \"")?.strip_suffix('"')).collect();
    assert_eq!(accounts.len(), 2, "{block}");
    command.args(["test", "im"]).args(accounts).arg("--accounts").arg(folder.path().join("accounts.toml"));
    let told = Told::of(command.output().expect("it can be run"));
    assert!(told.status == Some(2) && told.said.is_empty(), "{told:?}");
    assert_eq!(told.printed.matches("not logged in: ").count(), 2, "{told:?}");
}

#[test]
fn every_key_of_the_file_of_accounts_is_documented_and_no_other() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/testing-im.md"));
    let text = text.expect("it is there");
    let table = text.split("| key | meaning |").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a table");
    let documented: Vec<&str> = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("accounts.toml");
    let mut known = Vec::new();
    // A key that there isn't is refused with all that there are.
    for wrong in ["nokey = 1", "[[account]]\nnokey = 1"] {
        std::fs::write(&file, wrong).expect("written");
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("ours");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fedge"));
        let told =
            Told::of(command.args(["test", "im", ALICE, BOB, "--accounts"]).arg(&file).output().expect("it runs"));
        let (_, all) = told.said.split_once("expected ").unwrap_or_else(|| panic!("{told:?}"));
        known.extend(all.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    known.retain(|key| key != "account");
    assert_eq!(known, documented);
}
