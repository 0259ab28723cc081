//! From the file to what it means: times, sizes, listeners; every fault with its place.

use std::net::SocketAddr;
use std::time::Duration;

use net::face;
use net::hold;
use net::race::Pace;
use toml::Spanned;
use topology::faults::Faults;
use xmpp::stream::Settings;
use xmpp::xml;

use super::file;

/// The least that a stanza may be allowed to measure (RFC 6120 §13.12).
const LEAST_STANZA: usize = 10_000;

/// Times and sizes of a daemon's faces.
pub fn settings(times: &file::Times, limits: &file::Limits, faults: &mut Faults) -> face::Settings {
    let mut seconds = |name: &str, value: &Spanned<u64>| {
        if *value.get_ref() == 0 || *value.get_ref() > 7 * 24 * 3600 {
            let what = format!("`{name}` is {} s", value.get_ref());
            faults.add(value.span(), what, "give it a number of seconds from 1 to 604800 (a week)");
        }
        Duration::from_secs(*value.get_ref())
    };
    let stream = Settings {
        limits: xml::Limits { stanza_bytes: *limits.stanza_bytes.get_ref(), ..xml::Limits::default() },
        establish: seconds("establish", &times.establish),
        idle: seconds("idle", &times.idle),
        keep_alive: seconds("keep_alive", &times.keep_alive),
        drain: seconds("drain", &times.drain),
    };
    let window_bytes = *limits.window_bytes.get_ref();
    let hold = hold::Limits {
        window_bytes,
        link_bytes: 2 * window_bytes,
        age: seconds("hold", &times.hold),
        ..hold::Limits::default()
    };
    if stream.limits.stanza_bytes < LEAST_STANZA {
        let what = format!("stanzas could only have {} bytes", stream.limits.stanza_bytes);
        faults.add(limits.stanza_bytes.span(), what, "allow at least 10000 (RFC 6120 §13.12); servers send 262144");
    }
    if *limits.streams.get_ref() == 0 {
        faults.add(limits.streams.span(), "no stream could be accepted", "allow at least one");
    }
    face::Settings { stream, pace: Pace::default(), hold, streams: *limits.streams.get_ref() }
}

/// Checks that each face listens somewhere, and no two at one place.
pub fn check_listeners(faces: &[(&str, &Spanned<Vec<SocketAddr>>)], faults: &mut Faults) {
    for (index, (face, listen)) in faces.iter().enumerate() {
        if listen.get_ref().is_empty() {
            let what = format!("the {face} face listens nowhere");
            faults.add(listen.span(), what, "name an address with a port, such as \"192.0.2.1:5269\"");
        }
        for (other_face, other) in &faces[..index] {
            for address in listen.get_ref() {
                if other.get_ref().iter().any(|other| collide(*other, *address)) {
                    let what = format!("the {other_face} face listens on {address} too");
                    faults.add(listen.span(), what, "give each face an address of its own; they must never be one");
                }
            }
        }
    }
}

/// A face's own addresses and the shared ones, in the place of the own.
pub fn with_shared(listen: &Spanned<Vec<SocketAddr>>, shared: &[SocketAddr]) -> Spanned<Vec<SocketAddr>> {
    Spanned::new(listen.span(), listen.get_ref().iter().chain(shared).copied().collect())
}

fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (any || one.ip() == other.ip())
}
