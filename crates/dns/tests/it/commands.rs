//! The command line: what it prints and its exit codes.

use std::process::{Command, Output};

const GOOD: &str = r#"
[view]
listen = ["127.0.0.1:0"]
forward = ["127.0.9.1"]
[[gateway]]
name = "gateway1.contoso.test"
addresses = ["127.0.2.1"]
"#;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fedge-dns")).args(arguments).output().expect("the binary runs")
}

/// Runs a command on a configuration: its exit code, and what it says.
fn on(command: &str, config: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("dns.toml");
    std::fs::write(&file, config).expect("written");
    let file = file.to_str().expect("a path in UTF-8");
    let done = run(&[command, file]);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text").replace(file, "dns.toml");
    (done.status.code(), text(&done.stdout), text(&done.stderr))
}

#[test]
fn a_good_configuration_is_called_good() {
    assert_eq!(on("check", GOOD), (Some(0), "dns.toml: good\n".to_owned(), String::new()));
}

#[test]
fn a_bad_configuration_is_drawn_and_not_run() {
    let bad = GOOD.replace("127.0.9.1", "ns.contoso.test").replace("127.0.2.1", "0.0.0.0");
    let drawn = "\
dns.toml:4:12: `ns.contoso.test` is no address
  |
4 | forward = [\"ns.contoso.test\"]
  |            ^^^^^^^^^^^^^^^^^
  = write `address`, `address:port` or `[address]:port`
dns.toml:7:14: no gateway can be reached at 0.0.0.0
  |
7 | addresses = [\"0.0.0.0\"]
  |              ^^^^^^^^^
  = write the IP address of the gateway's internal face
";
    for command in ["check", "run"] {
        assert_eq!(on(command, &bad), (Some(78), String::new(), drawn.to_owned()), "{command}");
    }
}

#[test]
fn other_failures_have_other_codes() {
    let (code, _, said) = on("run", &GOOD.replace("127.0.0.1:0", "192.0.2.1:53"));
    assert_eq!(code, Some(1));
    assert!(said.contains("192.0.2.1:53"), "{said}");
    let missing = run(&["check", "/nonexistent/dns.toml"]);
    assert_eq!(missing.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/nonexistent/dns.toml: it can't be read"));
    assert_eq!(run(&["serve"]).status.code(), Some(64));
    assert_eq!(run(&["--help"]).status.code(), Some(0));
    assert_eq!(run(&["--version"]).status.code(), Some(0));
}
