//! The relay's faults, as both sides of a connection see them.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{Fault, Relay};
use crate::place::Place;

const A_WHILE: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(20);

struct Lab {
    place: Place,
    listener: TcpListener,
    relay: Relay,
}

impl Lab {
    fn new() -> Lab {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let place = Place::isolated().expect("a place");
        let listener = place.listen(address("127.0.4.1:5269")).expect("free");
        let relay = Relay::start(&place, address("127.0.5.1:0"), address("127.0.4.1:5269")).expect("free");
        Lab { place, listener, relay }
    }

    /// Both ends of a connection.
    async fn connection(&self) -> (TcpStream, TcpStream) {
        let dialer = self.dial().await;
        let (target, _) = timeout(LONG, self.listener.accept()).await.expect("in time").expect("accepted");
        (dialer, target)
    }

    async fn dial(&self) -> TcpStream {
        self.place.connect(self.relay.address()).await.expect("the relay accepts")
    }
}

/// Sends `sent` and receives `expected` at the other end.
async fn passes(from: &mut TcpStream, to: &mut TcpStream, sent: &[u8], expected: &[u8]) {
    from.write_all(sent).await.expect("open");
    let mut received = vec![0; expected.len()];
    timeout(LONG, to.read_exact(&mut received)).await.expect("in time").expect("open");
    assert_eq!(received, expected);
}

/// Nothing arrives, and the connection isn't closed either.
async fn is_silent(stream: &mut TcpStream) {
    let read = timeout(A_WHILE, stream.read_u8()).await;
    assert!(read.is_err(), "{read:?}");
}

async fn ends(stream: &mut TcpStream) -> Result<usize, ErrorKind> {
    let mut rest = Vec::new();
    let read = timeout(LONG, stream.read_to_end(&mut rest)).await.expect("it ends");
    read.map_err(|error| error.kind())
}

/// How a connection that is reset right after it was made looks: sometimes as if it was never made.
async fn reset_at_once(place: &Place, address: SocketAddr) -> Option<ErrorKind> {
    match place.connect(address).await {
        Ok(mut stream) => ends(&mut stream).await.err(),
        Err(error) => Some(error.kind()),
    }
}

#[tokio::test]
async fn bytes_and_ends_pass_both_ways() {
    let lab = Lab::new();
    let (mut dialer, mut target) = lab.connection().await;
    let large = vec![7; 1 << 20];
    let (mut from_dialer, mut to_dialer) = dialer.split();
    let (mut from_target, mut to_target) = target.split();
    let mut received = vec![0; large.len()];
    let (sent, read, ()) = tokio::join!(to_dialer.write_all(&large), from_target.read_exact(&mut received), async {
        to_target.write_all(b"back").await.expect("open");
        let mut received = [0; 4];
        from_dialer.read_exact(&mut received).await.expect("open");
        assert_eq!(&received, b"back");
    });
    sent.and(read.map(drop)).expect("open");
    assert_eq!(received, large);
    dialer.shutdown().await.expect("open");
    assert_eq!(ends(&mut target).await, Ok(0));
    passes(&mut target, &mut dialer, b"still open this way", b"still open this way").await;
    drop(target);
    assert_eq!(ends(&mut dialer).await, Ok(0));
    assert_eq!(lab.relay.accepted(), 1);
}

#[tokio::test]
async fn it_accepts_and_closes_or_resets_or_is_silent() {
    let lab = Lab::new();
    lab.relay.fault(Some(Fault::Close));
    assert_eq!(ends(&mut lab.dial().await).await, Ok(0));
    lab.relay.fault(Some(Fault::Reset));
    assert_eq!(reset_at_once(&lab.place, lab.relay.address()).await, Some(ErrorKind::ConnectionReset));
    lab.relay.fault(Some(Fault::Silence));
    let mut silent = lab.dial().await;
    silent.write_all(b"hello?").await.expect("open");
    is_silent(&mut silent).await;
    timeout(A_WHILE, lab.listener.accept()).await.expect_err("the target isn't bothered");
    lab.relay.fault(None);
    let (mut dialer, mut target) = lab.connection().await;
    passes(&mut dialer, &mut target, b"hello", b"hello").await;
    is_silent(&mut silent).await;
    lab.relay.reset();
    assert_eq!(ends(&mut silent).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(lab.relay.accepted(), 4);
}

#[tokio::test]
async fn it_becomes_silent_after_so_many_bytes() {
    let lab = Lab::new();
    lab.relay.fault(Some(Fault::SilenceAfter { bytes: 6 }));
    let (mut dialer, mut target) = lab.connection().await;
    passes(&mut dialer, &mut target, b"any number of bytes there", b"any number of bytes there").await;
    passes(&mut target, &mut dialer, b"six", b"six").await;
    passes(&mut target, &mut dialer, b"bytes", b"byt").await;
    is_silent(&mut dialer).await;
    dialer.write_all(b"hello?").await.expect("open");
    is_silent(&mut target).await;
}

#[tokio::test]
async fn it_becomes_silent_after_the_tls_handshake() {
    let lab = Lab::new();
    lab.relay.fault(Some(Fault::SilenceAfterTls));
    let (mut dialer, mut target) = lab.connection().await;
    passes(&mut dialer, &mut target, b"<starttls/>", b"<starttls/>").await;
    passes(&mut target, &mut dialer, b"<proceed/>", b"<proceed/>").await;
    passes(&mut dialer, &mut target, &[22, 3, 1, 0, 1, 1], &[22, 3, 1, 0, 1, 1]).await;
    passes(&mut target, &mut dialer, &[22, 3, 3, 0, 1, 2, 23, 3, 3, 0, 1, 9], &[22, 3, 3, 0, 1, 2, 23, 3, 3, 0, 1, 9])
        .await;
    passes(&mut dialer, &mut target, &[20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 1, 8], &[20, 3, 3, 0, 1, 1]).await;
    is_silent(&mut target).await;
    target.write_all(&[23, 3, 3, 0, 1, 7]).await.expect("open");
    is_silent(&mut dialer).await;
}

#[tokio::test]
async fn it_delays_each_direction_without_holding_up_what_follows() {
    let lab = Lab::new();
    let (mut dialer, mut target) = lab.connection().await;
    lab.relay.delay(A_WHILE, Duration::ZERO);
    let began = Instant::now();
    // Were the delays added up, this would take twenty times as long.
    for _ in 0..20 {
        dialer.write_all(b"x").await.expect("open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    passes(&mut dialer, &mut target, b"y", b"xxxxxxxxxxxxxxxxxxxxy").await;
    let took = began.elapsed();
    assert!(took >= A_WHILE && took < 15 * A_WHILE, "{took:?}");
    let second = Duration::from_secs(1);
    lab.relay.delay(Duration::ZERO, second);
    let began = Instant::now();
    passes(&mut dialer, &mut target, b"x", b"x").await;
    assert!(began.elapsed() < second, "{:?}", began.elapsed());
    passes(&mut target, &mut dialer, b"x", b"x").await;
    assert!(began.elapsed() >= second, "{:?}", began.elapsed());
}

#[tokio::test]
async fn it_freezes_cuts_and_resets_what_is_there() {
    let lab = Lab::new();
    let (mut dialer, mut target) = lab.connection().await;
    lab.relay.freeze();
    dialer.write_all(b"late").await.expect("open");
    is_silent(&mut target).await;
    lab.relay.thaw();
    passes(&mut dialer, &mut target, b"r", b"later").await;
    lab.relay.cut();
    assert_eq!((ends(&mut dialer).await, ends(&mut target).await), (Ok(0), Ok(0)));
    let (mut dialer, mut target) = lab.connection().await;
    passes(&mut dialer, &mut target, b"new", b"new").await;
    lab.relay.reset();
    let reset = Err(ErrorKind::ConnectionReset);
    assert_eq!((ends(&mut dialer).await, ends(&mut target).await), (reset, reset));
    let (dialer, target) = lab.connection().await;
    drop(lab.relay);
    for mut end in [dialer, target] {
        assert_eq!(ends(&mut end).await, Ok(0));
    }
}

#[tokio::test]
async fn an_unreachable_target_shows_as_a_reset() {
    let lab = Lab::new();
    drop(lab.listener);
    assert_eq!(reset_at_once(&lab.place, lab.relay.address()).await, Some(ErrorKind::ConnectionReset));
}
