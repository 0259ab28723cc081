//! From a connection to a session: the stream, SASL PLAIN, the resource (RFC 6120 §4, §6, §7).

use std::io;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use xmpp::jid::domain_of;
use xmpp::xml::write::{escape_attribute, escape_text};
use xmpp::xml::{Frame, Limits, Scanner, XmlError};

use super::Stanza;
use crate::place::Place;

const STREAMS: &str = "http://etherx.jabber.org/streams";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";

/// Why a client isn't logged in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No connection, or it broke.
    #[error("no connection with the server at {address}")]
    Connection {
        /// Where it should be.
        address: SocketAddr,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// It took a minute, after which the client gave up.
    #[error("the server at {address} doesn't go on with the login")]
    Silent {
        /// Where it is.
        address: SocketAddr,
    },
    /// The server's XML is broken.
    #[error("the server's stream can't be read")]
    Xml(#[from] XmlError),
    /// The server doesn't offer PLAIN on a connection without TLS.
    #[error(
        "the server offers [{offered}], but this client knows SASL PLAIN without TLS only: the server must allow it"
    )]
    NoPlain {
        /// The mechanisms that it does offer.
        offered: String,
    },
    /// The server said no.
    #[error("{step} was refused with {condition}: {answer}")]
    Refused {
        /// What the client had asked for.
        step: &'static str,
        /// The name of the error condition, such as `not-authorized`.
        condition: String,
        /// All that the server said.
        answer: String,
    },
    /// The server said something else.
    #[error("expected {expected}, but the server sent {answer}")]
    Unexpected {
        /// What should have come.
        expected: &'static str,
        /// What came.
        answer: String,
    },
}

/// A connection, read frame by frame.
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    pub(super) scanner: Scanner,
    pub(super) buffer: BytesMut,
    address: SocketAddr,
}

/// How often a login is tried that the server fails at by its own fault.
const ATTEMPTS: usize = 3;

/// Logs in; gives the connection and the full JID.
pub(super) async fn login(
    place: &Place,
    address: SocketAddr,
    jid: &str,
    password: &str,
) -> Result<(Wire, String), LoginError> {
    // COMPAT(jabberd2 2.7.0): it knows a session by its descriptor's number, so an error that comes late for the session
    // before ends a new one that has just got the number. Seen once, under load.
    for _ in 1..ATTEMPTS {
        match attempt(place, address, jid, password).await {
            Err(LoginError::Refused { condition, .. }) if condition == "internal-server-error" => {}
            outcome => return outcome,
        }
    }
    attempt(place, address, jid, password).await
}

async fn attempt(place: &Place, address: SocketAddr, jid: &str, password: &str) -> Result<(Wire, String), LoginError> {
    let stream = place.connect(address).await.map_err(|source| LoginError::Connection { address, source })?;
    stream.set_nodelay(true).map_err(|source| LoginError::Connection { address, source })?;
    let mut wire = Wire { stream, scanner: scanner(), buffer: BytesMut::new(), address };
    let (bare, resource) = jid.split_once('/').map_or((jid, None), |(bare, resource)| (bare, Some(resource)));

    let features = wire.open(domain_of(bare)).await?;
    let offered: Vec<String> = features
        .tree()
        .child(SASL, "mechanisms")
        .into_iter()
        .flat_map(|list| list.children().map(xmpp::xml::tree::Element::text).collect::<Vec<_>>())
        .collect();
    if !offered.iter().any(|mechanism| mechanism == "PLAIN") {
        return Err(LoginError::NoPlain { offered: offered.join(" ") });
    }
    let user = bare.split_once('@').map_or(bare, |(user, _)| user);
    let initial = STANDARD.encode(format!("\0{user}\0{password}"));
    wire.write(&format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{initial}</auth>")).await?;
    let answer = wire.element("the outcome of SASL PLAIN").await?;
    if (answer.namespace(), answer.name()) != (SASL, "success") {
        return Err(refused("SASL PLAIN", &answer));
    }

    wire.scanner = scanner();
    let features = wire.open(domain_of(bare)).await?;
    let resource =
        resource.map(|resource| format!("<resource>{}</resource>", escape_text(resource))).unwrap_or_default();
    wire.write(&format!("<iq id='bind' type='set'><bind xmlns='{BIND}'>{resource}</bind></iq>")).await?;
    let answer = wire.element("the answer to the resource's binding").await?;
    let tree = answer.tree();
    let bound = tree.child(BIND, "bind").and_then(|bind| bind.child(BIND, "jid"));
    let Some(bound) = bound.filter(|_| !answer.is_error()) else { return Err(refused("the resource", &answer)) };
    // RFC 3921's sessions, which old servers can't do without.
    let session = features.tree();
    if session.child(SESSION, "session").is_some_and(|session| session.child(SESSION, "optional").is_none()) {
        wire.write(&format!("<iq id='session' type='set'><session xmlns='{SESSION}'/></iq>")).await?;
        let answer = wire.element("the answer to the session's begin").await?;
        if answer.is_error() {
            return Err(refused("the session", &answer));
        }
    }
    Ok((wire, bound.text()))
}

fn scanner() -> Scanner {
    Scanner::new(Limits { stanza_bytes: 1 << 20, ..Limits::default() })
}

fn refused(step: &'static str, answer: &Stanza) -> LoginError {
    let tree = answer.tree();
    let condition = answer.condition().or_else(|| tree.children().next().map(|first| first.name.clone()));
    let condition = condition.unwrap_or_else(|| answer.name().to_owned());
    LoginError::Refused { step, condition, answer: answer.to_string() }
}

impl Wire {
    /// Opens a stream; gives the server's features.
    async fn open(&mut self, domain: &str) -> Result<Stanza, LoginError> {
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{}' version='1.0' xmlns='jabber:client' xmlns:stream='{STREAMS}'>",
            escape_attribute(domain)
        );
        self.write(&header).await?;
        match self.frame().await? {
            Frame::Header(_) => {}
            other => return Err(LoginError::Unexpected { expected: "a stream", answer: format!("{other:?}") }),
        }
        let features = self.element("stream features").await?;
        match (features.namespace(), features.name()) {
            (STREAMS, "features") => Ok(features),
            (STREAMS, "error") => Err(refused("the stream", &features)),
            _ => Err(LoginError::Unexpected { expected: "stream features", answer: features.to_string() }),
        }
    }

    async fn write(&mut self, xml: &str) -> Result<(), LoginError> {
        let address = self.address;
        self.stream.write_all(xml.as_bytes()).await.map_err(|source| LoginError::Connection { address, source })
    }

    /// The next element.
    async fn element(&mut self, expected: &'static str) -> Result<Stanza, LoginError> {
        match self.frame().await? {
            Frame::Element(element) => Ok(Stanza(element)),
            Frame::Footer => Err(LoginError::Unexpected { expected, answer: "the end of the stream".to_owned() }),
            other => Err(LoginError::Unexpected { expected, answer: format!("{other:?}") }),
        }
    }

    async fn frame(&mut self) -> Result<Frame, LoginError> {
        loop {
            match self.scanner.next(&mut self.buffer)? {
                Some(Frame::Whitespace) => continue,
                Some(frame) => return Ok(frame),
                None => {}
            }
            let address = self.address;
            let read = self.stream.read_buf(&mut self.buffer).await;
            let read = read.and_then(|read| if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) });
            read.map_err(|source| LoginError::Connection { address, source })?;
        }
    }
}
