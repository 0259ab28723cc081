//! What the daemon tells Prometheus: as many as were asked, each by whom it was answered.

use std::net::SocketAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType as T;
use testkit::scrape::{Page, scrape};

use crate::rig::{Daemon, Resolver, Say, address, ask, denied, eventually};

const METRICS: &str = "[metrics]\nlisten = [\"127.0.0.1:0\"]";

fn page(at: SocketAddr) -> Page {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(scrape(at)).expect("a page")
}

#[test]
fn each_query_is_counted_once_by_who_answered_it() {
    let resolver = Resolver::that(|query, _| match query.queries[0].name().to_ascii().as_str() {
        "nobody.test." => Say::This(denied(query, 300)),
        _ => Say::This(address(query, 300, 7)),
    });
    let daemon = Daemon::with(&[resolver.address], METRICS);
    let at = daemon.line("telling metrics")["address"].as_str().expect("an address").parse().expect("an address");
    for _ in 0..3 {
        assert_eq!(ask(daemon.address, "fabrikam.test.", T::A).response_code, ResponseCode::NoError);
        assert_eq!(ask(daemon.address, "nobody.test.", T::A).response_code, ResponseCode::NXDomain);
        assert_eq!(ask(daemon.address, "_xmpp-server._tcp.fabrikam.test.", T::SRV).answers.len(), 2);
    }
    assert_eq!(ask(daemon.address, "contoso.test.", T::AXFR).response_code, ResponseCode::Refused);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.send_to(b"no query", daemon.address).expect("sent");
    let page = eventually("what was no query is counted", || {
        let page = page(at);
        (page.one("fedge_dns_ignored_total", "").ok() == Some(1)).then_some(page)
    });
    let answered = |labels: &str| page.one("fedge_dns_queries_total", labels).expect("it is told");
    assert_eq!(answered("by=\"resolvers\",rcode=\"NOERROR\""), 3);
    assert_eq!(answered("by=\"resolvers\",rcode=\"NXDOMAIN\""), 3);
    assert_eq!(answered("by=\"view\",rcode=\"NOERROR\""), 3);
    assert_eq!(answered("by=\"view\",rcode=\"REFUSED\""), 1);
    assert_eq!(answered("by=\"view\",rcode=\"SERVFAIL\""), 0, "told before there is one");
    let one = |name: &str| page.one(name, "").expect("it is told");
    assert_eq!((one("fedge_dns_asked_total"), one("fedge_dns_cache_hits_total")), (2, 4));
    assert_eq!((one("fedge_dns_unanswered_total"), one("fedge_dns_waiting")), (0, 0));
    assert_eq!(one("fedge_dns_waiting_limit"), 250);
    let version = format!("program=\"fedge-dns\",version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert_eq!(page.one("fedge_build_info", &version).expect("it is told"), 1);
    let known: Vec<String> = daemon::metrics::ALL.iter().map(|metric| metric.full_name()).collect();
    assert!(page.names().all(|name| known.iter().any(|known| known == name)));
}

#[test]
fn what_no_resolver_answers_is_counted_and_outlives_a_reload() {
    let resolver = Resolver::silent();
    let daemon = Daemon::with(&[resolver.address], METRICS);
    let at = daemon.line("telling metrics")["address"].as_str().expect("an address").parse().expect("an address");
    assert_eq!(ask(daemon.address, "fabrikam.test.", T::A).response_code, ResponseCode::ServFail);
    daemon.reload(|config| config.replace("priority = 20", "priority = 30"));
    daemon.line("serves the internal view as configured now");
    let page = page(at);
    assert_eq!(page.one("fedge_dns_unanswered_total", "").expect("it is told"), 1);
    assert_eq!(page.one("fedge_dns_queries_total", "by=\"resolvers\",rcode=\"SERVFAIL\"").expect("it is told"), 1);
}
