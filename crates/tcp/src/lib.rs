//! What the kernel knows of a TCP connection: how much of what was written is still unsent, and how much the other end
//! has acknowledged.

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd as _};
use std::time::Duration;

/// How a connection stands with what was written to it. How much that was, the kernel doesn't tell: what a filter of this
/// machine's own refuses counts as sent each time that it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The last bytes of what was written of which no copy ever left: whatever breaks, the other end can't have them.
    pub unsent: u64,
    /// Bytes that the other end acknowledged; whoever dialed has to count one more, which is no byte.
    pub acknowledged: u64,
    /// Segments that were sent and aren't acknowledged.
    pub in_flight: u32,
    /// Whether the other end has room for another full segment.
    pub has_room: bool,
    /// How often it was asked whether it has room again, since it last answered.
    pub probes: u8,
    /// Since something last came that could acknowledge anything.
    pub silent: Duration,
    /// How long an acknowledgement takes to come.
    pub round_trip: Duration,
}

impl Standing {
    /// Whether the other end's kernel owes us an acknowledgement. One that has no room for more doesn't, as long as it
    /// answers when it is asked for some.
    pub fn is_owed(&self) -> bool {
        // What can't leave this machine isn't in flight either. And when it is asked again, the answer is overdue.
        self.in_flight > 0 || (self.unsent > 0 && self.has_room) || self.probes > 1
    }

    /// Whether the other end's kernel has all that was written, as far as it was told.
    pub fn is_quiet(&self) -> bool {
        self.in_flight == 0 && self.unsent == 0
    }
}

/// Asks the kernel (`TCP_INFO`, with what Linux has had in it since 5.4).
///
/// # Errors
/// When this is no TCP connection.
pub fn standing(socket: &impl AsFd) -> io::Result<Standing> {
    let info = info(socket)?;
    Ok(Standing {
        unsent: info.tcpi_notsent_bytes.into(),
        acknowledged: info.tcpi_bytes_acked,
        in_flight: info.tcpi_unacked,
        has_room: info.tcpi_snd_wnd >= info.tcpi_snd_mss,
        probes: info.tcpi_probes,
        silent: Duration::from_millis(info.tcpi_last_ack_recv.into()),
        round_trip: Duration::from_micros(info.tcpi_rtt.into()),
    })
}

/// How long ago data last came in, whether or not it was read.
///
/// # Errors
/// When this is no TCP connection.
pub fn since_data(socket: &impl AsFd) -> io::Result<Duration> {
    Ok(Duration::from_millis(info(socket)?.tcpi_last_data_recv.into()))
}

#[allow(unsafe_code)]
fn info(socket: &impl AsFd) -> io::Result<libc::tcp_info> {
    // Older kernels know fewer fields, and leave the others as they are.
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = mem::size_of::<libc::tcp_info>() as libc::socklen_t;
    let descriptor = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and the kernel writes at most
    // `length` bytes to where `info` has as many.
    let done = unsafe {
        libc::getsockopt(descriptor, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length)
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all fields are integers, for which all bytes are good, zeros too.
    Ok(unsafe { info.assume_init() })
}

/// What Linux 6.15 and later calls `TCP_RTO_MAX_MS`.
const RTO_MAX_MS: libc::c_int = 44;

/// Has what isn't acknowledged sent again at least this often, for as long as it takes: so a line that
/// comes back is used at once, and not after as long again as it was away.
///
/// # Errors
/// When the kernel doesn't know how (before Linux 6.15), or won't.
#[allow(unsafe_code)]
pub fn retry_at_least_every(socket: &impl AsFd, pause: Duration) -> io::Result<()> {
    let milliseconds = libc::c_int::try_from(pause.as_millis()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let (descriptor, value) = (socket.as_fd().as_raw_fd(), &raw const milliseconds);
    let length = mem::size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and the kernel reads as many bytes as
    // `milliseconds` has.
    let done = unsafe { libc::setsockopt(descriptor, libc::IPPROTO_TCP, RTO_MAX_MS, value.cast(), length) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::Instant;

    fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
        let one = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (other, _) = listener.accept().expect("accepted");
        (one, other)
    }

    fn until(what: &str, socket: &TcpStream, is: impl Fn(&Standing) -> bool) -> Standing {
        let began = Instant::now();
        loop {
            let standing = standing(socket).expect("a connection");
            if is(&standing) {
                return standing;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{what}: {standing:?}");
            std::thread::yield_now();
        }
    }

    /// Writes until no more goes; how much that was.
    fn fill(socket: &mut TcpStream) -> u64 {
        socket.set_nonblocking(true).expect("a socket");
        let piece = [b'x'; 16 * 1024];
        let mut written = 0;
        while let Ok(count) = socket.write(&piece) {
            written += count as u64;
        }
        written
    }

    #[test]
    fn what_arrives_is_acknowledged() {
        let (mut one, mut other) = connected();
        one.write_all(b"twelve bytes").expect("written");
        let after = until("acknowledged", &one, |standing| standing.in_flight == 0 && standing.unsent == 0);
        assert_eq!(after.acknowledged, 13, "the dialer's SYN is counted");
        other.read_exact(&mut [0; 12]).expect("read");
    }

    #[test]
    fn how_long_data_has_lain_is_known_until_more_comes() {
        let (one, mut other) = connected();
        other.write_all(b"first").expect("written");
        let lain = |is: &dyn Fn(Duration) -> bool| {
            let began = Instant::now();
            while !is(since_data(&one).expect("a connection")) {
                assert!(began.elapsed() < Duration::from_secs(20), "{:?}", since_data(&one));
                std::thread::yield_now();
            }
        };
        lain(&|time| time > Duration::from_millis(300));
        other.write_all(b"second").expect("written");
        lain(&|time| time < Duration::from_millis(200));
    }

    #[test]
    fn what_the_other_end_has_no_room_for_is_unsent() {
        let (mut one, _other) = connected();
        let written = fill(&mut one);
        let full = until("full", &one, |standing| standing.in_flight == 0);
        assert!(full.unsent > 0 && !full.is_owed(), "{full:?}");
        assert_eq!(full.acknowledged - 1, written - full.unsent);
    }

    #[test]
    fn retrying_is_hastened_where_the_kernel_can() {
        let (one, _other) = connected();
        let done = retry_at_least_every(&one, Duration::from_secs(1));
        // Older kernels say that there is no such option.
        assert!(done.is_ok() || done.is_err_and(|error| error.raw_os_error() == Some(libc::ENOPROTOOPT)));
        assert!(retry_at_least_every(&one, Duration::from_secs(3600)).is_err(), "more than TCP allows at all");
    }

    #[test]
    fn what_was_unsent_is_known_also_after_a_reset() {
        let (mut one, other) = connected();
        fill(&mut one);
        let full = until("full", &one, |standing| standing.in_flight == 0);
        // With something unread, it is a reset.
        drop(other);
        let mut byte = [0];
        let began = Instant::now();
        while one.read(&mut byte).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            assert!(began.elapsed() < Duration::from_secs(20), "no reset came");
            std::thread::yield_now();
        }
        let broken = standing(&one).expect("still a connection");
        assert_eq!(broken.unsent, full.unsent);
    }
}
