//! What rustls alone does in handshakes: the server's side of mutual ones in TLS 1.3 over memory, full as fedge does them, or
//! resumed, which fedge never does.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use net::crypto;
use rustls::client::Resumption;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, HandshakeKind, RootCertStore, ServerConfig, ServerConnection,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::used;

/// A flight of either side fits into this.
const FLIGHT: usize = 16 * 1024;

/// Does so many handshakes, each but the first resumed from the one before if they are to be; the processor time of the
/// server's side, without the first. In `folder` lie `trusted.crt`, and with its key each end's certificate, `server.pem` and
/// `client.pem`.
pub(crate) fn handshakes(many: usize, folder: &Path, resumed: bool) -> anyhow::Result<Duration> {
    let (server, client) = configurations(folder, resumed)?;
    let mut time = Duration::ZERO;
    for number in 0..=many {
        if number == 1 {
            time = Duration::ZERO;
        }
        let began = used()?;
        let mut accepted = ServerConnection::new(server.clone())?;
        time += used()?.saturating_sub(began);
        let mut dialed = ClientConnection::new(client.clone(), ServerName::try_from("contoso.test")?)?;
        while accepted.is_handshaking() || dialed.is_handshaking() {
            let said = flight(&mut dialed, &[])?;
            let began = used()?;
            let answered = flight(&mut accepted, &said)?;
            time += used()?.saturating_sub(began);
            let more = flight(&mut dialed, &answered)?;
            let began = used()?;
            let last = flight(&mut accepted, &more)?;
            time += used()?.saturating_sub(began);
            flight(&mut dialed, &last)?;
        }
        ensure!(accepted.peer_certificates().is_some(), "the client showed no certificate");
        let is_resumed = accepted.handshake_kind() == Some(HandshakeKind::Resumed);
        ensure!(is_resumed == (resumed && number > 0), "handshake {number} was {:?}", accepted.handshake_kind());
    }
    Ok(time)
}

/// Does them over sockets with whoever connects, and nothing else: what that takes, whoever serves streams can't save.
pub(crate) fn serve(address: SocketAddr, folder: &Path) -> anyhow::Result<()> {
    let acceptor = TlsAcceptor::from(configurations(folder, false)?.0);
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(address).await?;
        println!("is ready");
        loop {
            let (socket, _) = listener.accept().await?;
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                socket.set_nodelay(true)?;
                let mut stream = acceptor.accept(socket).await?;
                // In TLS 1.3 it is the client that is done first: it is told when both are.
                stream.write_all(b"done").await?;
                stream.flush().await?;
                stream.read(&mut [0]).await
            });
        }
    })
}

/// Takes what the other side said, and gives what there is to say to it.
fn flight<T>(side: &mut ConnectionCommon<T>, mut heard: &[u8]) -> anyhow::Result<Vec<u8>> {
    while !heard.is_empty() {
        side.read_tls(&mut heard)?;
        side.process_new_packets()?;
    }
    let mut says = Vec::with_capacity(FLIGHT);
    while side.wants_write() {
        side.write_tls(&mut says)?;
    }
    Ok(says)
}

fn configurations(folder: &Path, resumed: bool) -> anyhow::Result<(Arc<ServerConfig>, Arc<ClientConfig>)> {
    let own = |name: &str| {
        let file = folder.join(name);
        let certificate = CertificateDer::from_pem_file(&file).with_context(|| format!("{}", file.display()))?;
        anyhow::Ok((vec![certificate], PrivateKeyDer::from_pem_file(&file)?))
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("trusted.crt")).context("trusted.crt")?)?;
    let roots = Arc::new(roots);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), crypto::provider()).build()?;
    let (chain, key) = own("server.pem")?;
    let mut server = ServerConfig::builder_with_provider(crypto::provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    if resumed {
        server.session_storage = ServerSessionMemoryCache::new(16);
        server.send_tls13_tickets = 1;
    } else {
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
    }
    let (chain, key) = own("client.pem")?;
    let mut client = ClientConfig::builder_with_provider(crypto::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    if !resumed {
        client.resumption = Resumption::disabled();
    }
    Ok((Arc::new(server), Arc::new(client)))
}
