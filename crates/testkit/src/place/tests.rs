//! Places are apart from one another, hold what is put into them, and vanish.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use super::{Network, Place};

mod filters;

const LONG: Duration = Duration::from_secs(30);
const SOMEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 1, 1)), 5269);

fn output(place: &Place, program: &str, arguments: &[&str]) -> String {
    let output = place.command(program).args(arguments).output().expect("programs start");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The namespace that a process or thread is in.
fn inode(path: &str) -> u64 {
    std::fs::metadata(path).expect("a namespace").ino()
}

#[tokio::test]
async fn the_same_address_is_another_one_elsewhere() {
    let (one, two) = (Place::isolated().expect("a place"), Place::isolated().expect("a place"));
    let listener = one.listen(SOMEWHERE).expect("free in a fresh place");
    one.connect(SOMEWHERE).await.expect("reaches the listener");
    two.connect(SOMEWHERE).await.expect_err("nobody listens there");
    two.listen(SOMEWHERE).expect("free there, too");
    drop(listener);
    one.connect(SOMEWHERE).await.expect_err("nobody listens any more");
}

#[tokio::test]
async fn datagrams_stay_in_their_place() {
    let place = Place::isolated().expect("a place");
    let socket = place.bind_udp(SOMEWHERE).expect("free");
    let other = place.bind_udp("127.0.0.1:0".parse().expect("an address")).expect("free");
    other.send_to(b"hello", SOMEWHERE).await.expect("sent");
    let mut buffer = [0; 8];
    let (length, from) = socket.recv_from(&mut buffer).await.expect("received");
    assert_eq!((&buffer[..length], from), (&b"hello"[..], other.local_addr().expect("bound")));
}

#[test]
fn a_runtime_is_inside_with_all_its_threads() {
    let place = Place::isolated().expect("a place");
    let here = inode("/proc/thread-self/ns/net");
    let (worker, blocking) = place.run(|| async {
        let _listener = tokio::net::TcpListener::bind(SOMEWHERE).await.expect("free");
        let worker = tokio::spawn(async { inode("/proc/thread-self/ns/net") }).await.expect("no panic");
        let blocking = tokio::task::spawn_blocking(|| inode("/proc/thread-self/ns/net")).await.expect("no panic");
        tokio::net::TcpStream::connect(SOMEWHERE).await.expect("reaches itself");
        (worker, blocking)
    });
    assert_eq!(worker, blocking);
    assert_ne!(worker, here);
}

#[test]
fn a_command_runs_inside_as_itself() {
    let place = Place::isolated().expect("a place");
    assert!(output(&place, "ip", &["-brief", "link"]).starts_with("lo"));
    assert_eq!(output(&place, "ip", &["-brief", "link"]).lines().count(), 1);
    let mut child = Ended(place.command("sleep").arg("60").spawn().expect("sleep starts"));
    // What is started is nsenter for a moment; it becomes the program itself.
    let name = format!("/proc/{}/comm", child.0.id());
    let began = std::time::Instant::now();
    while std::fs::read_to_string(&name).expect("it runs") != "sleep\n" {
        assert!(began.elapsed().as_secs() < 10, "still not the program");
        std::thread::yield_now();
    }
    assert_eq!(child.0.try_wait().expect("ours"), None);
}

#[test]
fn a_command_keeps_its_folder_and_finds_its_resolvers() {
    let server = IpAddr::from([127, 0, 9, 2]);
    for place in [Place::isolated().expect("a place"), Place::here()] {
        let place = place.with_resolvers(&[server]).expect("written");
        let mut command = place.command("sh");
        command.args(["-c", "pwd; cat /etc/resolv.conf; echo \"$1\"", "sh", "two  words"]).current_dir("/usr");
        let output = command.output().expect("sh starts");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "/usr\nnameserver 127.0.9.2\ntwo  words\n");
    }
    let ours = std::fs::read_to_string("/etc/resolv.conf").expect("there");
    assert!(!ours.contains("127.0.9.2"), "the machine's own resolv.conf changed");
}

#[test]
fn a_place_vanishes_with_its_last_copy() {
    let (stays, goes) = (Place::isolated().expect("a place"), Place::isolated().expect("a place"));
    let copy = goes.clone();
    let other = goes.path().expect("isolated");
    stays.ip(&format!("link add cable type veth peer name cable netns {}", other.display())).expect("a pair");
    drop(goes);
    copy.ip("link set cable up").expect("a copy is enough");
    drop(copy);
    // The kernel takes a namespace's devices down some time after its end, and with them their other ends.
    let began = std::time::Instant::now();
    while output(&stays, "ip", &["-brief", "link"]).contains("cable") {
        assert!(began.elapsed().as_secs() < 30, "the namespace is still there");
        std::thread::yield_now();
    }
}

#[test]
#[should_panic(expected = "from inside")]
fn a_panic_inside_comes_out() {
    Place::here().enter(|| panic!("from inside"));
}

#[tokio::test]
async fn hosts_reach_one_another_by_both_addresses_while_plugged_in() {
    let network = Network::new().expect("a network");
    let (one, two) = (network.host().expect("a host"), network.host().expect("a host"));
    assert_eq!([one.ipv4(), two.ipv4()].map(|address| address.to_string()), ["10.77.0.1", "10.77.0.2"]);
    for address in [IpAddr::from(two.ipv4()), IpAddr::from(two.ipv6())] {
        let address = SocketAddr::new(address, 5269);
        let listener = two.listen(address).expect("free");
        let stream = one.connect(address).await.expect("it is there");
        let (_, from) = listener.accept().await.expect("connected");
        assert_eq!(stream.local_addr().expect("connected"), from);
        one.listen(address).expect_err("somebody else's address");
    }
    let address = SocketAddr::new(two.ipv4().into(), 5270);
    let listener = two.listen(address).expect("free");
    two.link_down().expect("pulled");
    let mut attempt = Box::pin(one.connect(address));
    tokio::time::timeout(Duration::from_millis(200), &mut attempt).await.expect_err("neither up nor refused");
    two.link_up().expect("plugged in");
    // An attempt that ARP gave up waits for longer; a new one doesn't.
    let reconnect = async {
        while one.connect(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, reconnect).await.expect("it is there again");
    drop(listener);
}

#[tokio::test]
async fn a_host_that_is_parted_hears_nobody_and_keeps_its_carrier() {
    let network = Network::new().expect("a network");
    let (one, two) = (network.host().expect("a host"), network.host().expect("a host"));
    let address = SocketAddr::new(two.ipv4().into(), 5269);
    let listener = two.listen(address).expect("free");
    one.connect(address).await.expect("it is there");
    network.part(two.ipv4(), true).expect("parted");
    tokio::time::timeout(Duration::from_millis(200), one.connect(address)).await.expect_err("neither up nor refused");
    assert!(output(&two, "ip", &["-brief", "link", "show", "eth0"]).contains("LOWER_UP"), "it doesn't know");
    network.part(two.ipv4(), false).expect("joined");
    let reconnect = async {
        while one.connect(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, reconnect).await.expect("it is there again");
    drop(listener);
}

/// A child that ends also when the test fails.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("it can be ended");
    }
}
