//! One relayed connection.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::records::Records;
use super::{Control, End, Fault};

/// How much of a direction may be on its way: so many chunks of at most so many bytes.
const IN_FLIGHT: (usize, usize) = (64, 65_536);

/// Accepts for ever.
pub(super) async fn accept(
    listener: std::net::TcpListener,
    target: SocketAddr,
    control: watch::Receiver<Control>,
    count: watch::Sender<u64>,
) {
    let listener = TcpListener::from_std(listener).expect("a socket for this runtime");
    loop {
        // What failed is a connection that is gone by now.
        let Ok((dialer, _)) = listener.accept().await else { continue };
        count.send_modify(|count| *count += 1);
        tokio::spawn(relay(dialer, target, control.clone()));
    }
}

async fn relay(mut dialer: TcpStream, target: SocketAddr, mut control: watch::Receiver<Control>) {
    let (fault, before) = {
        let control = control.borrow_and_update();
        (control.fault, control.ended.0)
    };
    match fault {
        Some(Fault::Close) => return,
        Some(Fault::Reset) => return reset(&dialer),
        Some(Fault::Silence) => {
            if let Some(End::Reset) = ended(&mut control, before).await {
                reset(&dialer);
            }
            return;
        }
        Some(Fault::SilenceAfter { .. } | Fault::SilenceAfterTls) | None => {}
    }
    let Ok(mut target) = TcpStream::connect(target).await else { return reset(&dialer) };
    for stream in [&dialer, &target] {
        // Latency is what was asked for, not what Nagle's algorithm adds.
        let _ = stream.set_nodelay(true);
    }
    let end = {
        let silent = AtomicBool::new(false);
        let (from_dialer, to_dialer) = dialer.split();
        let (from_target, to_target) = target.split();
        let there = Direction { watch: Watch::there(fault), control: control.clone(), silent: &silent };
        let back = Direction { watch: Watch::back(fault), control: control.clone(), silent: &silent };
        tokio::select! {
            _ = async { tokio::join!(
                there.pass(from_dialer, to_target, |control| control.to_target),
                back.pass(from_target, to_dialer, |control| control.to_dialer),
            ) } => None,
            end = ended(&mut control, before) => end,
        }
    };
    if let Some(End::Reset) = end {
        reset(&dialer);
        reset(&target);
    }
}

/// Waits until the connections that there were are ended.
async fn ended(control: &mut watch::Receiver<Control>, before: u64) -> Option<End> {
    // An error is the relay's own end.
    control.wait_for(|control| control.ended.0 > before).await.ok().map(|control| control.ended.1)
}

/// Lets a connection be reset when it is dropped.
fn reset(stream: &TcpStream) {
    // A connection that is broken already needs no reset.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// What one direction looks out for.
enum Watch {
    Nothing,
    Bytes(u64),
    ApplicationData(Records),
}

impl Watch {
    fn there(fault: Option<Fault>) -> Watch {
        match fault {
            Some(Fault::SilenceAfterTls) => Watch::ApplicationData(Records::default()),
            _ => Watch::Nothing,
        }
    }

    fn back(fault: Option<Fault>) -> Watch {
        match fault {
            Some(Fault::SilenceAfter { bytes }) => Watch::Bytes(bytes),
            _ => Watch::Nothing,
        }
    }

    /// How much of `chunk` may pass; when it isn't all, silence begins.
    fn allowed(&mut self, chunk: &[u8]) -> usize {
        match self {
            Watch::Nothing => chunk.len(),
            Watch::Bytes(left) => {
                let allowed = usize::try_from(*left).unwrap_or(usize::MAX).min(chunk.len());
                *left -= allowed as u64;
                allowed
            }
            Watch::ApplicationData(records) => records.before_application_data(chunk),
        }
    }
}

struct Direction<'a> {
    watch: Watch,
    control: watch::Receiver<Control>,
    /// Shared with the other direction.
    silent: &'a AtomicBool,
}

impl Direction<'_> {
    /// Passes bytes on until there are none any more, or nobody takes them.
    async fn pass(self, mut from: ReadHalf<'_>, to: WriteHalf<'_>, delay: fn(&Control) -> Duration) {
        let (sender, receiver) = mpsc::channel(IN_FLIGHT.0);
        let control = self.control.clone();
        let read = async move {
            let mut buffer = vec![0; IN_FLIGHT.1];
            loop {
                // What broke on one side ends on the other.
                let length = from.read(&mut buffer).await.unwrap_or(0);
                let due = Instant::now() + delay(&control.borrow());
                if sender.send((due, buffer[..length].to_vec())).await.is_err() || length == 0 {
                    return;
                }
            }
        };
        tokio::join!(read, self.write(to, receiver));
    }

    async fn write(mut self, mut to: WriteHalf<'_>, mut chunks: mpsc::Receiver<(Instant, Vec<u8>)>) {
        while let Some((due, chunk)) = chunks.recv().await {
            sleep_until(due).await;
            // An error is the relay's own end.
            let _ = self.control.wait_for(|control| !control.frozen).await;
            if self.silent.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            let allowed = self.watch.allowed(&chunk);
            if to.write_all(&chunk[..allowed]).await.is_err() {
                return;
            }
            if allowed < chunk.len() {
                self.silent.store(true, Ordering::Relaxed);
                return std::future::pending().await;
            }
            if chunk.is_empty() {
                // The other side may have closed already.
                let _ = to.shutdown().await;
            }
        }
    }
}
