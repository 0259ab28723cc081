//! Packets are dropped, refused and counted as long as somebody wants that.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::{Host, Network, PACKAGES, Place};
use super::LONG;
use crate::packages::Debian;

const A_WHILE: Duration = Duration::from_millis(300);

fn debian() -> Debian {
    Debian::unpack(&Debian::usual_folder(), PACKAGES, &mut |what| println!("{what}")).expect("Debian's nftables")
}

async fn connects(from: &Place, to: SocketAddr) -> TcpStream {
    timeout(LONG, from.connect(to)).await.expect("in time").expect("it listens")
}

struct Lab {
    one: Host,
    two: Host,
    _network: Network,
}

impl Lab {
    fn new() -> Lab {
        let network = Network::new().expect("a network");
        Lab { one: network.host().expect("a host"), two: network.host().expect("a host"), _network: network }
    }
}

#[tokio::test]
async fn what_is_dropped_is_waited_for_and_what_is_refused_is_not() {
    let (debian, lab) = (debian(), Lab::new());
    for address in [IpAddr::from(lab.two.ipv4()), IpAddr::from(lab.two.ipv6())] {
        let (address, other) = (SocketAddr::new(address, 5269), SocketAddr::new(address, 5270));
        let _listeners = [address, other].map(|address| lab.two.listen(address).expect("free"));
        // Where it is sent and where it arrives.
        for place in [&lab.one, &lab.two] {
            let fault = place.drop_tcp(&debian, address).expect("a rule");
            timeout(A_WHILE, lab.one.connect(address)).await.expect_err("neither up nor refused");
            connects(&lab.one, other).await;
            drop(fault);
            connects(&lab.one, address).await;
            let fault = place.reject_tcp(&debian, address).expect("a rule");
            let refused = timeout(LONG, lab.one.connect(address)).await.expect("at once").expect_err("refused");
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            connects(&lab.one, other).await;
            drop(fault);
            connects(&lab.one, address).await;
        }
    }
    let fault = lab.two.filter(&debian, &format!("ip saddr {} drop", lab.one.ipv4())).expect("a rule");
    let address = SocketAddr::new(lab.two.ipv4().into(), 5269);
    let _listener = lab.two.listen(address).expect("free");
    timeout(A_WHILE, lab.one.connect(address)).await.expect_err("neither up nor refused");
    drop(fault);
    connects(&lab.one, address).await;
}

#[tokio::test]
async fn packets_are_counted_where_they_are_sent_and_where_they_arrive() {
    let (debian, lab) = (debian(), Lab::new());
    let address = SocketAddr::new(lab.two.ipv4().into(), 5269);
    let _listener = lab.two.listen(address).expect("free");
    let federation = |other: &Host| format!("ip daddr != {} tcp dport {{ 5269, 5270 }}", other.ipv4());
    let to_others = lab.one.watch_sent(&debian, &federation(&lab.two)).expect("a watch");
    let all = lab.one.watch_sent(&debian, &federation(&lab.one)).expect("a watch");
    let arrived = lab.two.watch_received(&debian, &format!("ip saddr {}", lab.one.ipv4())).expect("a watch");
    let none = lab.two.watch_sent(&debian, "tcp dport 5269").expect("a watch");
    connects(&lab.one, address).await;
    let count = |watch: &super::super::Watch| watch.packets().expect("counted");
    assert_eq!((count(&to_others), count(&none)), (0, 0));
    assert!(count(&all) >= 2 && count(&arrived) >= 2, "{all:?} {arrived:?}");
    // What never leaves counts as well: the attempt is what the watch is for.
    let seen = count(&all);
    let _fault = lab.one.drop_tcp(&debian, address).expect("a rule");
    timeout(A_WHILE, lab.one.connect(address)).await.expect_err("neither up nor refused");
    assert!(count(&all) > seen);
}

#[test]
fn mistakes_are_explained() {
    let debian = debian();
    let here = Place::here().drop_tcp(&debian, "127.0.0.1:1".parse().expect("an address")).expect_err("not here");
    assert!(here.to_string().contains("isolated place"), "{here}");
    let place = Place::isolated().expect("a place");
    let wrong = place.filter(&debian, "ip daddr nonsense frob").expect_err("no such rule");
    assert!(wrong.to_string().contains("frob"), "{wrong}");
}
