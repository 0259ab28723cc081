//! A controller's end: dials members, sends them snapshots, renews their certificates, enrols new ones.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api::agent::{Credentials, Digest, Hello, Reply, Request, Role, Route, Snapshot, Validity, view};
use api::local;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use topology::document::Member;

use crate::authority::{Authorities, AuthorityError};
use crate::credentials::{CredentialsError, Own};
use crate::lines::{self, LineError, Lines};
use crate::serve::unix;
use crate::state::Kept;
use crate::tls::{self, Expect, Stranger};

/// For one address to answer.
const CONNECT: Duration = Duration::from_secs(3);
/// For the handshake, and for the member to say how it stands.
const GREETING: Duration = Duration::from_secs(5);
/// For an answer: a member may have to write, and to take over, a large snapshot.
const ANSWER: Duration = Duration::from_secs(30);
/// Between two lines of an answer that has several.
const FOLLOWING: Duration = Duration::from_secs(24 * 3600);

/// A member, as a controller knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its FQDN.
    pub fqdn: String,
    /// Its role.
    pub role: Role,
    /// Where its agent listens; tried in this order.
    pub addresses: Vec<SocketAddr>,
    /// The hash of its key, as it was compared.
    pub key: Digest,
}

impl Target {
    /// A member of a topology. `key` is the hash of its key, as it was compared.
    pub fn of(member: &Member, key: Digest) -> Target {
        let (fqdn, role) = (member.fqdn.to_string(), member.role.into());
        Target { fqdn, role, addresses: view::agent(member), key }
    }
}

/// Why a member can't be asked, or didn't do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No address answers.
    #[error(
        "{fqdn} doesn't answer ({tried}); is its daemon running, and does the firewall let this controller through to its agent?"
    )]
    Unreachable {
        /// The member.
        fqdn: String,
        /// Each address, and what happened there.
        tried: String,
    },
    /// Somebody is there with whom no connection can be had.
    #[error("at {address}: {what}")]
    Handshake {
        /// Where.
        address: SocketAddr,
        /// What was seen, and what to do.
        what: String,
    },
    /// Somebody else is there.
    #[error("at {address}: {stranger}")]
    Stranger {
        /// Where.
        address: SocketAddr,
        /// Who.
        stranger: Stranger,
    },
    /// The connection.
    #[error("{fqdn}: {error}")]
    Line {
        /// The member.
        fqdn: String,
        /// What happened.
        error: LineError,
    },
    /// It said no.
    #[error("{fqdn} refuses: {why}")]
    Refused {
        /// The member.
        fqdn: String,
        /// Why, in its words.
        why: String,
    },
    /// It said something that is no answer to what it was asked.
    #[error("{fqdn} answers {seen}, which is no answer to what it was asked; do both run the same version of fedge?")]
    Unexpected {
        /// The member.
        fqdn: String,
        /// What it said.
        seen: String,
    },
    /// No certificate can be made for it.
    #[error("{fqdn}: {error}")]
    Authority {
        /// The member.
        fqdn: String,
        /// Why not.
        error: AuthorityError,
    },
    /// Our own certificate can't be used.
    #[error("{0}")]
    Own(#[from] CredentialsError),
}

/// A controller, as members see it.
pub struct Dialer {
    own: Own,
    credentials: Credentials,
    validity: Validity,
    known: TlsConnector,
}

impl Dialer {
    /// With a key that lives as long as this, and a certificate of our own CA.
    ///
    /// # Errors
    /// When the name can't stand in a certificate.
    pub fn new(authorities: &Authorities, fqdn: &str) -> Result<Dialer, DialError> {
        let failed = |error| DialError::Authority { fqdn: fqdn.to_owned(), error };
        let own = Own::draw(fqdn, Role::Controller).map_err(|error| failed(error.into()))?;
        let request = own.signing_request()?;
        let credentials = authorities.answer(&request, fqdn, Role::Controller, own.fingerprint()).map_err(failed)?;
        let validity = own.check(&credentials)?;
        let known = TlsConnector::from(Arc::new(tls::dialing(&own, &credentials, Expect::Enrolled)?));
        Ok(Dialer { own, credentials, validity, known })
    }

    /// Whether there should be a new one, since the certificate of this one ends.
    pub fn is_due(&self, now: SystemTime) -> bool {
        self.validity.is_due(unix(now))
    }

    /// Dials a member that is enrolled.
    ///
    /// # Errors
    /// When it isn't there, or somebody else is.
    pub async fn dial(&self, to: &Target) -> Result<Connection, DialError> {
        connect(&self.known, to).await
    }

    /// Enrols a member that waits for it, or that was enrolled by us already, and sends it its first snapshot.
    ///
    /// # Errors
    /// When it isn't there, shows another key, or refuses.
    pub async fn enrol(&self, authorities: &Authorities, to: &Target, first: &Kept) -> Result<Connection, DialError> {
        let config = tls::dialing(&self.own, &self.credentials, Expect::Waiting(to.key))?;
        let mut connection = connect(&TlsConnector::from(Arc::new(config)), to).await?;
        if connection.hello.certificate.is_some() {
            // An earlier try, whose answer got lost.
            connection.snapshot(first).await?;
            return Ok(connection);
        }
        let credentials = connection.signed(authorities, to.key).await?;
        let snapshot = Snapshot { head: first.head.clone(), content: Some(first.content.clone()) };
        match connection.ask(&Request::Enrol { credentials, snapshot }).await? {
            Reply::Applied { .. } => {
                connection.hello.have = Some(first.head.clone());
                Ok(connection)
            }
            other => Err(connection.unexpected(&other)),
        }
    }
}

async fn connect(tls: &TlsConnector, to: &Target) -> Result<Connection, DialError> {
    let mut tried = Vec::new();
    for &address in &to.addresses {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => return greet(tls, socket, address, to).await,
            Ok(Err(error)) => tried.push(format!("{address}: {error}")),
            Err(_) => tried.push(format!("{address}: nothing for {} s", CONNECT.as_secs())),
        }
    }
    if tried.is_empty() {
        tried.push("the topology names no address".to_owned());
    }
    Err(DialError::Unreachable { fqdn: to.fqdn.clone(), tried: tried.join("; ") })
}

async fn greet(
    tls: &TlsConnector,
    socket: TcpStream,
    address: SocketAddr,
    to: &Target,
) -> Result<Connection, DialError> {
    let handshake = |what| DialError::Handshake { address, what };
    let name = ServerName::try_from(to.fqdn.clone());
    let name = name.map_err(|error| handshake(format!("{} is no name for a member ({error})", to.fqdn)))?;
    let shaken = async {
        lines::ready(&socket)?;
        tls.connect(name, socket).await
    };
    let stream = timeout(GREETING, shaken).await;
    let stream = stream.map_err(|_| handshake(format!("no handshake within {} s", GREETING.as_secs())))?;
    let stream = stream.map_err(|error| handshake(explain(&error)))?;
    tls::member(stream.get_ref().1.peer_certificates(), &to.fqdn, to.role, to.key)
        .map_err(|stranger| DialError::Stranger { address, stranger })?;
    let fqdn = to.fqdn.clone();
    let mut lines = Lines::new(stream);
    match lines.read(GREETING).await {
        Ok(Reply::Hello(hello)) => {
            let mut connection = Connection { lines, address, fqdn, role: to.role, hello: hello.clone(), owes: false };
            connection.heard(hello)?;
            Ok(connection)
        }
        Ok(Reply::Refused { why }) => Err(DialError::Refused { fqdn, why }),
        Ok(other) => Err(DialError::Unexpected { fqdn, seen: word(&other) }),
        // In TLS 1.3, this is where we hear that the other end doesn't take our certificate.
        Err(LineError::Io(error)) => Err(handshake(explain(&error))),
        Err(error) => Err(DialError::Line { fqdn, error }),
    }
}

/// What a failed handshake means, and what to do.
fn explain(error: &io::Error) -> String {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error};
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let meant = match tls {
        Some(Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. })) => {
            "the member's certificate has expired; run its command `enrol` on it again, or look at the clocks of both"
        }
        Some(Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. })) => {
            "the member's certificate isn't valid yet; look at the clocks of both machines"
        }
        Some(Error::InvalidCertificate(Bad::ApplicationVerificationFailure)) => {
            "somebody is there with another key than the one that was compared; compare the fingerprint again, and look at \
             the address in the topology"
        }
        Some(Error::InvalidCertificate(_)) => {
            "what is there has no certificate of this installation as this member: it waits to be enrolled, or is another"
        }
        Some(Error::AlertReceived(Alert::CertificateExpired)) => {
            "the member takes this controller's certificate for expired; look at the clocks of both machines"
        }
        Some(Error::AlertReceived(_)) => {
            "the member doesn't take this controller's certificate: it was enrolled by another installation, or waits for one \
             with another fingerprint"
        }
        _ => "there is no agent that speaks TLS 1.3, or it closed the connection",
    };
    format!("{meant} ({error})")
}

/// A connection to a member.
pub struct Connection {
    lines: Lines<TlsStream<TcpStream>>,
    address: SocketAddr,
    fqdn: String,
    role: Role,
    hello: Hello,
    /// Whether it still owes the end of what it was asked as a local command would ask.
    owes: bool,
}

impl Connection {
    /// How the member stood when it was last heard.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Where it answered.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks how it stands now. A member closes a connection on which nothing is asked for a minute.
    ///
    /// # Errors
    /// When it doesn't answer.
    pub async fn refresh(&mut self) -> Result<&Hello, DialError> {
        match self.ask(&Request::Hello).await? {
            Reply::Hello(hello) => self.heard(hello)?,
            other => return Err(self.unexpected(&other)),
        }
        Ok(&self.hello)
    }

    /// What a member says of itself is not more than what its certificate says.
    fn heard(&mut self, hello: Hello) -> Result<(), DialError> {
        if hello.fqdn != self.fqdn || hello.role != self.role {
            let seen = format!("as the {} {}", hello.role, hello.fqdn);
            return Err(DialError::Unexpected { fqdn: self.fqdn.clone(), seen });
        }
        self.hello = hello;
        Ok(())
    }

    /// Sends a snapshot, of which the content travels only where the member doesn't have it; the member goes by it when
    /// this returns.
    ///
    /// # Errors
    /// When it refuses, or doesn't answer.
    pub async fn snapshot(&mut self, snapshot: &Kept) -> Result<(), DialError> {
        let known = self.hello.have.as_ref().is_some_and(|have| have.content == snapshot.head.content);
        let send = |whole: bool| {
            let content = whole.then(|| snapshot.content.clone());
            Request::Snapshot(Snapshot { head: snapshot.head.clone(), content })
        };
        let mut reply = self.ask(&send(!known)).await?;
        if let Reply::Missing { .. } = reply {
            reply = self.ask(&send(true)).await?;
        }
        match reply {
            Reply::Applied { .. } => {
                self.hello.have = Some(snapshot.head.clone());
                self.hello.applied = true;
                self.hello.confirmed = true;
                Ok(())
            }
            other => Err(self.unexpected(&other)),
        }
    }

    /// Says that the route is still this.
    ///
    /// # Errors
    /// When the member knows another, or doesn't answer.
    pub async fn confirm(&mut self, installation: &str, route: &Route) -> Result<(), DialError> {
        let request = Request::Confirm { installation: installation.to_owned(), route: route.clone() };
        match self.ask(&request).await? {
            Reply::Applied { .. } => {
                self.hello.confirmed = true;
                Ok(())
            }
            other => Err(self.unexpected(&other)),
        }
    }

    /// Renews the member's certificates. `enrolled` is the hash of its key.
    ///
    /// # Errors
    /// When it doesn't ask with that key, refuses, or doesn't answer.
    pub async fn renew(&mut self, authorities: &Authorities, enrolled: Digest) -> Result<Validity, DialError> {
        let credentials = self.signed(authorities, enrolled).await?;
        match self.ask(&Request::Credentials(credentials)).await? {
            Reply::Installed(validity) => {
                self.hello.certificate = Some(validity);
                Ok(validity)
            }
            other => Err(self.unexpected(&other)),
        }
    }

    /// Renews the member's certificates where that is due.
    ///
    /// # Errors
    /// As [`renew`](Connection::renew).
    pub async fn renew_if_due(
        &mut self,
        authorities: &Authorities,
        enrolled: Digest,
        now: SystemTime,
    ) -> Result<Option<Validity>, DialError> {
        if self.hello.certificate.is_some_and(|certificate| certificate.is_due(unix(now))) {
            return self.renew(authorities, enrolled).await.map(Some);
        }
        Ok(None)
    }

    async fn signed(&mut self, authorities: &Authorities, enrolled: Digest) -> Result<Credentials, DialError> {
        match self.ask(&Request::SigningRequest).await? {
            Reply::SigningRequest { pem } => authorities
                .answer(&pem, &self.fqdn, self.role, enrolled)
                .map_err(|error| DialError::Authority { fqdn: self.fqdn.clone(), error }),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Asks what a local command would ask; [`next`](Connection::next) gives the answers. Whatever is asked after it ends
    /// them.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn local(&mut self, request: local::Request) -> Result<(), DialError> {
        self.settle().await?;
        self.owes = true;
        let said = self.lines.write(&Request::Local { request }).await;
        said.map_err(|error| self.line(error))
    }

    /// The next answer to [`local`](Connection::local); nothing after the last. Nothing is lost when this is given up.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn next(&mut self) -> Result<Option<local::Reply>, DialError> {
        if !self.owes {
            return Ok(None);
        }
        match self.lines.read(FOLLOWING).await.map_err(|error| self.line(error))? {
            Reply::Local { reply } => Ok(Some(reply)),
            other => {
                // Its end, or that of an agent which doesn't know what it was asked.
                self.owes = false;
                if matches!(other, Reply::End) { Ok(None) } else { Err(self.unexpected(&other)) }
            }
        }
    }

    async fn ask(&mut self, request: &Request) -> Result<Reply, DialError> {
        let asked = self.lines.write(request).await;
        asked.map_err(|error| self.line(error))?;
        // That something else was asked has ended the answers to what was asked before.
        while self.owes {
            match timeout(ANSWER, self.next()).await {
                Ok(Err(error @ DialError::Line { .. })) => return Err(error),
                Ok(_) => {}
                Err(_) => return Err(self.line(LineError::Silent(ANSWER))),
            }
        }
        self.lines.read(ANSWER).await.map_err(|error| self.line(error))
    }

    /// Ends the answers to what was asked before as a local command would ask.
    async fn settle(&mut self) -> Result<(), DialError> {
        if self.owes { self.refresh().await.map(drop) } else { Ok(()) }
    }

    fn line(&self, error: LineError) -> DialError {
        DialError::Line { fqdn: self.fqdn.clone(), error }
    }

    fn unexpected(&self, reply: &Reply) -> DialError {
        let fqdn = self.fqdn.clone();
        match reply {
            Reply::Refused { why } => DialError::Refused { fqdn, why: why.clone() },
            other => DialError::Unexpected { fqdn, seen: word(other) },
        }
    }
}

/// The word of a reply, without what is in it.
fn word(reply: &Reply) -> String {
    let text = format!("{reply:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}
