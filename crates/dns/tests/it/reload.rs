//! Signals, a changed configuration, and what systemd is told.

use std::os::unix::net::UnixDatagram;

use hickory_proto::rr::RecordType as T;
use nix::sys::signal::Signal;

use crate::rig::{Daemon, PATIENCE, Resolver, Say, address, ask, uninterrupted};

#[test]
fn a_changed_configuration_is_served_from_then_on() {
    let resolver = Resolver::that(|query, _| Say::This(address(query, 300, 7)));
    let daemon = Daemon::forwarding(&[&resolver]);
    let partner = "_xmpp-server._tcp.fabrikam.test.";
    assert_eq!(ask(daemon.address, partner, T::SRV).answers[0].ttl, 5);
    daemon.reload(|config| {
        let config = config.replace("[view]", "[view]\nttl = 9").replace("127.0.1.1:5269", "127.0.1.2:5269");
        config.replace("[\"127.0.0.1:0\"]", "[\"127.0.0.1:0\", \"127.0.0.2:0\"]")
    });
    let addresses = daemon.addresses("serves the internal view as configured now");
    assert_eq!(addresses.len(), 2);
    assert!(addresses.contains(&daemon.address), "what was open stays open");
    for address in addresses {
        assert_eq!(ask(address, partner, T::SRV).answers[0].ttl, 9);
        let local = ask(address, "_xmpp-server._tcp.contoso.test.", T::SRV);
        assert!(local.answers[0].data.to_string().contains("next-hop-127-0-1-2."));
    }
}

#[test]
fn an_address_that_is_taken_out_is_closed() {
    let resolver = Resolver::silent();
    let daemon = Daemon::forwarding(&[&resolver]);
    daemon.reload(|config| config.replace("127.0.0.1:0", "127.0.0.3:0"));
    let addresses = daemon.addresses("serves the internal view as configured now");
    assert!(!addresses.contains(&daemon.address));
    assert_eq!(ask(addresses[0], "gateway1.contoso.test.", T::A).answers.len(), 1);
    let refused = std::net::TcpStream::connect(daemon.address).expect_err("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_broken_configuration_changes_nothing() {
    let resolver = Resolver::silent();
    let daemon = Daemon::forwarding(&[&resolver]);
    daemon.reload(|config| config.replace("[view]", "[view]\nttl = 0"));
    let error = daemon.line("the configuration stays as it was")["error"].to_string();
    assert!(error.contains("dns.toml:6:7: 0 is out of range"), "{error}");
    assert_eq!(ask(daemon.address, "_xmpp-server._tcp.fabrikam.test.", T::SRV).answers[0].ttl, 5);
    // An address that isn't this machine's can't be listened on.
    daemon.reload(|config| config.replace("ttl = 0", "ttl = 9").replace("127.0.0.1:0", "192.0.2.1:0"));
    let refused = || daemon.log().iter().any(|line| line["error"].to_string().contains("192.0.2.1"));
    crate::rig::eventually("the second error", || refused().then_some(()));
    assert_eq!(ask(daemon.address, "_xmpp-server._tcp.fabrikam.test.", T::SRV).answers[0].ttl, 5);
}

const LEAST: &str = r#"
log = { format = "json" }
view = { listen = ["127.0.0.1:0"], forward = ["127.0.0.1:9"] }
gateway = [{ name = "gateway1.contoso.test", addresses = ["127.0.2.1"] }]
"#;

#[test]
fn the_level_of_the_log_changes_too() {
    let daemon = Daemon::start(LEAST, None);
    ask(daemon.address, "gateway1.contoso.test.", T::A);
    daemon.reload(|config| config.replace("{ format", "{ level = \"debug\", format"));
    daemon.line("serves the internal view as configured now");
    assert!(!daemon.log().iter().any(|line| line["level"] == "DEBUG"), "single queries are no news");
    ask(daemon.address, "gateway1.contoso.test.", T::A);
    daemon.line("answered");
}

#[test]
fn systemd_is_told_what_happens() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).expect("a socket");
    systemd.set_read_timeout(Some(PATIENCE)).expect("a time");
    let told = || {
        let mut buffer = [0; 500];
        let length = uninterrupted(|| systemd.recv(&mut buffer)).expect("told in time");
        String::from_utf8(buffer[..length].to_vec()).expect("text")
    };
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = Daemon::start(LEAST, Some(&path));
        assert!(told().contains("READY=1"));
        daemon.signal(Signal::SIGHUP);
        let reloading = told();
        assert!(reloading.contains("RELOADING=1") && reloading.contains("MONOTONIC_USEC="), "{reloading}");
        assert!(told().contains("READY=1"));
        daemon.signal(signal);
        assert!(told().contains("STOPPING=1"));
        assert!(daemon.ended().success());
    }
}
