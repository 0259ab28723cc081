//! docs/probe.md in an installation: each of its commands, from wherever it probes; and what is said when edge servers stop.

use std::net::SocketAddr;
use std::process::Output;

use api::probe::{ProbedBy, Verdict};
use testkit::document::text;
use testkit::lab::installation::{Installation, fqdn};

use crate::load::installation;

const DOCUMENT: &str = "docs/probe.md";
/// What the document calls an edge server's external address.
const ADDRESS: &str = "192.0.2.10:5269";

/// The commands in the document's prose and blocks.
fn commands() -> Vec<Vec<String>> {
    let text = text(DOCUMENT).expect("it is there");
    let inline = text.split('`').filter(|code| !code.contains('\n'));
    let lines = text.lines();
    let probes = |line: &&str| {
        ["fedge probe ", "fedge-edge probe ", "fedge-gateway probe "].iter().any(|begin| line.starts_with(begin))
    };
    let found = inline.chain(lines).filter(probes);
    found.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

fn run(lab: &Installation, words: &[String]) -> Output {
    let at = SocketAddr::new(lab.ground.machine("edge1").external, 5269).to_string();
    let words: Vec<&str> = words.iter().map(|word| if word == ADDRESS { at.as_str() } else { word }).collect();
    let member = match words[0] {
        "fedge" => return lab.try_fedge(&words[1..]).expect("it can be run"),
        "fedge-edge" => "edge1",
        _ => "gateway1",
    };
    let socket = lab.folder().join(member).join("socket");
    let mut command = lab.ground.machine(member).place.command(lab.programs.path(words[0]));
    command.args(&words[1..]).arg("--socket").arg(socket).output().expect("it can be run")
}

fn fedge(lab: &Installation, arguments: &[&str]) -> (Option<i32>, String) {
    let words: Vec<String> = ["fedge", "probe"].iter().chain(arguments).map(ToString::to_string).collect();
    let output = run(lab, &words);
    (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
}

#[test]
fn each_command_of_the_document_probes_and_stopped_servers_are_told() {
    let (mut lab, _folder) = installation();
    lab.add_witness().expect("it is well");
    let commands = commands();
    assert!(commands.len() >= 12, "only {} were found", commands.len());
    for words in &commands {
        let output = run(&lab, words);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {}\n{told}{said}", output.status);
        assert!(told.contains(" face: good, reached"), "{words:?}:\n{told}{said}");
    }

    // Each edge server of the routed pool, for programs.
    let (status, told) = fedge(&lab, &["fabrikam.test", "--json"]);
    let all: Vec<ProbedBy> = serde_json::from_str(&told).expect("JSON");
    let servers: Vec<&str> = all.iter().map(|by| by.server.as_str()).collect();
    assert_eq!((status, servers), (Some(0), vec!["edge1.contoso.test", "edge2.contoso.test"]));
    assert!(all.iter().all(|by| by.probed.as_ref().is_some_and(|probed| probed.verdict == Verdict::Good)), "{told}");
    // By DNS, all pools.
    let (_, told) = fedge(&lab, &["contoso.test", "--via", "edge1.contoso.test"]);
    assert!(told.contains("reached at 4 of 4 targets"), "{told}");

    let into_itself = ["fedge-gateway", "probe", "contoso.test", "--at", "127.0.0.1:22"].map(str::to_owned);
    let output = run(&lab, &into_itself);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(1) && told.contains("no address of another machine"), "{told}");

    // As a switchover's preflight would see it.
    lab.fedge(&["service", "stop", "--server", &fqdn("edge1")]).expect("it is stopped");
    let (status, told) = fedge(&lab, &["contoso.test", "--via", "pool2.contoso.test", "--at", ADDRESS]);
    assert_eq!(status, Some(1), "{told}");
    assert_eq!(told.matches("refuses connections").count(), 2, "{told}");
    assert!(told.contains("its federation service is stopped") && told.contains("`fedge-edge status`"), "{told}");
    // It still probes, and one that is gone is told.
    lab.kill("edge2");
    let (status, told) = fedge(&lab, &["fabrikam.test"]);
    assert_eq!(status, Some(2), "{told}");
    assert!(told.contains("edge1.contoso.test: fabrikam.test as contoso.test, from the external face: good"), "{told}");
    assert!(told.contains("edge2.contoso.test: edge2.contoso.test doesn't answer"), "{told}");
    let (status, _) = fedge(&lab, &["nobody.test", "--via", "edge3.contoso.test"]);
    assert_eq!(status, Some(1), "it is no partner");
}
