//! From the file to what it means: times, sizes, listeners; every fault with its place.

use std::net::SocketAddr;
use std::time::Duration;

use net::face;
use net::hold;
use net::race::Pace;
use toml::Spanned;
use topology::entries::Federation;
use topology::faults::Faults;
use topology::written::Policies;
use xmpp::stream::Settings;
use xmpp::xml;

use super::file;

/// The least that a stanza may be allowed to measure (RFC 6120 §13.12).
const LEAST_STANZA: usize = 10_000;
/// The most: one fits into a frame of the trunk, with what is said beside it.
const MOST_STANZA: usize = 8 << 20;

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
    if stream.limits.stanza_bytes > MOST_STANZA {
        let what = format!("stanzas could have {} bytes", stream.limits.stanza_bytes);
        faults.add(limits.stanza_bytes.span(), what, "allow at most 8388608 (8 MiB); servers send 262144");
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

/// What a file says that is for a daemon without controllers only.
pub struct Alone<'a> {
    /// Sections, and whether they are there.
    pub sections: &'a [(&'a str, bool)],
    /// Local domains and partners.
    pub policies: &'a Policies<'a>,
    /// Whether a file of dialback secrets is named.
    pub dialback_secrets: bool,
}

impl Alone<'_> {
    /// Finds fault with each of them, for there is a `[control]`.
    pub fn check(&self, faults: &mut Faults) {
        let Policies { federation, local, partner, .. } = self.policies;
        let entries = [
            ("[federation]", **federation != Federation::default()),
            ("[[local]]", !local.is_empty()),
            ("[[partner]]", !partner.is_empty()),
            ("`dialback_secrets`", self.dialback_secrets),
        ];
        for (name, _) in self.sections.iter().chain(&entries).filter(|(_, there)| *there) {
            let what = format!("there are {name} and [control]: controllers say that");
            faults.add(0..0, what, format!("take out {name}, and have it in the topology; or take out [control]"));
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
