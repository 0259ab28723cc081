//! By which network a face reaches its targets: the system's, or a simulated one.

use std::pin::Pin;
use std::time::Duration;

use tokio::net::TcpStream;
use xmpp::domain::DomainPair;

use crate::dial::AttemptError;
use crate::face::FaceState;
use crate::race::Milestone;
use crate::resolve::Target;
use crate::socket::Socket;
use crate::tls::Established;
use crate::transport::Transport;

/// What a peer hasn't acknowledged is sent again at least this often.
const RETRY: Duration = Duration::from_secs(1);

/// A connection to a target, on which nothing of XMPP was said yet.
pub struct Connected {
    /// What bytes go over.
    pub transport: Transport,
    /// What TLS settled, where it is up already.
    pub secured: Option<Established>,
}

/// On its way to being connected.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Connected, AttemptError>> + Send + 'a>>;

/// Reaches targets.
pub trait Network: Send + Sync {
    /// Connects to a target for a stream of this pair; with TLS up where the target wants it from the first
    /// byte on. `milestone` is told when there is a connection, before TLS.
    fn connect<'a>(
        &'a self,
        face: &'a FaceState,
        pair: &'a DomainPair,
        target: &'a Target,
        milestone: &'a Milestone,
    ) -> Connecting<'a>;
}

/// The system's: TCP.
#[derive(Debug, Clone, Copy)]
pub struct Tcp;

impl Network for Tcp {
    fn connect<'a>(
        &'a self,
        face: &'a FaceState,
        pair: &'a DomainPair,
        target: &'a Target,
        milestone: &'a Milestone,
    ) -> Connecting<'a> {
        Box::pin(async move {
            let socket = TcpStream::connect(target.address).await?;
            // What the list of our addresses can't know, the kernel does: it reaches itself by one address.
            if face.guards_targets() && socket.local_addr()?.ip() == socket.peer_addr()?.ip() {
                return Err(AttemptError::Own);
            }
            socket.set_nodelay(true)?;
            // Where the kernel can't, a line that was away is used a little later.
            let _ = tcp::retry_at_least_every(&socket, RETRY);
            milestone.connected();
            let socket = Socket::from(socket);
            if !target.direct_tls {
                return Ok(Connected { transport: Transport::Plain(socket), secured: None });
            }
            let handshake = face.tls.dial(socket, &pair.from, &pair.to, true);
            let (stream, established) = face.turns.take(handshake).await?;
            Ok(Connected { transport: Transport::Tls(Box::new(stream.into())), secured: Some(established) })
        })
    }
}
