//! Who stands where the internal server is, and knocks at the gateways' shared addresses many times a second, as a server would.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use testkit::lab::{CONTOSO, FABRIKAM};
use testkit::place::Place;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// From one knock to the next.
const EVERY: Duration = Duration::from_millis(20);
/// Who isn't answered for so long, never is.
const NEVER: Duration = Duration::from_secs(20);

/// What one knock met with.
#[derive(Debug)]
pub(crate) struct Knock {
    /// How many connections were refused on the way.
    pub(crate) refused: u32,
    /// How many were broken on the way.
    pub(crate) broken: u32,
    /// How long it took until a gateway had answered; nothing if none ever did.
    pub(crate) took: Option<Duration>,
}

/// It is there until it is told to end.
pub(crate) struct Onlooker {
    end: watch::Sender<bool>,
    begun: watch::Receiver<u32>,
    thread: std::thread::JoinHandle<Vec<Knock>>,
}

impl Onlooker {
    /// Knocks from this place, each time at the next of these addresses first, and at the others where it is refused or broken.
    pub(crate) fn begin(place: &Place, addresses: [SocketAddr; 2]) -> Onlooker {
        let ((end, ended), (counter, begun)) = (watch::channel(false), watch::channel(0));
        let place = place.clone();
        let thread = std::thread::spawn(move || place.run(move || knocking(addresses, ended, counter)));
        Onlooker { end, begun, thread }
    }

    /// Waits until so many more have been begun.
    pub(crate) async fn more(&mut self, knocks: u32) {
        let wanted = *self.begun.borrow() + knocks;
        self.begun.wait_for(|begun| *begun >= wanted).await.expect("it looks on");
    }

    /// What it met with, when all that it waits for has an end.
    pub(crate) fn end(self) -> Vec<Knock> {
        self.end.send(true).expect("it looks on");
        self.thread.join().expect("it has no reason to panic")
    }
}

async fn knocking(
    addresses: [SocketAddr; 2],
    mut ended: watch::Receiver<bool>,
    counter: watch::Sender<u32>,
) -> Vec<Knock> {
    let (mut tick, mut knocks) = (tokio::time::interval(EVERY), JoinSet::new());
    let mut turns = [addresses, [addresses[1], addresses[0]]].into_iter().cycle();
    loop {
        tokio::select! {
            biased;
            _ = ended.changed() => return knocks.join_all().await,
            _ = tick.tick() => {
                knocks.spawn(knock(turns.next().expect("there is no end of them")));
                counter.send_modify(|begun| *begun += 1);
            }
        }
    }
}

async fn knock(addresses: [SocketAddr; 2]) -> Knock {
    let began = Instant::now();
    let (mut refused, mut broken) = (0, 0);
    let answered = async {
        for address in addresses.into_iter().cycle() {
            match TcpStream::connect(address).await {
                Err(_) => refused += 1,
                Ok(mut stream) => match greet(&mut stream).await {
                    Ok(()) => return,
                    Err(_) => broken += 1,
                },
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let answered = tokio::time::timeout(NEVER, answered).await;
    Knock { refused, broken, took: answered.is_ok().then(|| began.elapsed()) }
}

/// Opens a stream as far as the gateway's features.
async fn greet(stream: &mut TcpStream) -> std::io::Result<()> {
    let header = format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
         xmlns:db='jabber:server:dialback' from='{CONTOSO}' to='{FABRIKAM}' version='1.0'>"
    );
    stream.write_all(header.as_bytes()).await?;
    let (mut said, mut piece) = (Vec::new(), [0; 1024]);
    while !said.windows(18).any(|part| part == b"</stream:features>") {
        match stream.read(&mut piece).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => said.extend_from_slice(&piece[..read]),
        }
    }
    Ok(())
}

/// An open stream on which a space is said again and again, as a server would say stanzas.
pub(crate) struct Stream(std::thread::JoinHandle<Instant>);

impl Stream {
    /// Opens it from this place, and gives it when it is open.
    pub(crate) fn open(place: &Place, to: SocketAddr) -> Stream {
        let ((open, opened), place) = (std::sync::mpsc::channel(), place.clone());
        let thread = std::thread::spawn(move || {
            place.run(move || async move {
                let mut stream = TcpStream::connect(to).await.expect("a gateway is there");
                greet(&mut stream).await.expect("it answers");
                open.send(()).expect("somebody waits for it");
                let (mut tick, mut heard) = (tokio::time::interval(EVERY), [0]);
                loop {
                    tokio::select! {
                        read = stream.read(&mut heard) => if !matches!(read, Ok(1..)) { return Instant::now() },
                        _ = tick.tick() => if stream.try_write(b" ").is_err() { return Instant::now() },
                    }
                }
            })
        });
        opened.recv().expect("it is open");
        Stream(thread)
    }

    /// When it broke.
    pub(crate) fn broken(self) -> Instant {
        self.0.join().expect("it has no reason to panic")
    }
}
