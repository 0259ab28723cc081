//! Asking the control plane over HTTPS: one connection for each request, of any controller that answers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::control::Problem;

/// Where controllers answer, unless their address says otherwise.
pub const PORT: u16 = 5272;
/// For a connection to stand.
const PATIENCE: Duration = Duration::from_secs(3);
/// For an answer to a request.
const ANSWER: Duration = Duration::from_secs(60);
/// The longest answer.
const BYTES: usize = 32 * 1024 * 1024;

/// Asks controllers.
pub struct Client {
    controllers: Vec<Controller>,
    tls: TlsConnector,
    token: String,
}

/// Where a controller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Its name, as its certificate gives it.
    host: String,
    port: u16,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A file can't be used.
    #[error("{}: {what}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// This can't be a controller.
    #[error("`{0}` can't be a controller; name it by host, or host and port: ctl1.contoso.test:5272")]
    Controller(String),
    /// No controller answers.
    #[error(
        "no controller answers: {0}; is fedge-control running there, and does a firewall let this machine through?"
    )]
    Unreachable(String),
    /// It broke off. Something may have been done.
    #[error("{controller}: the answer broke off ({what}); look what was done before you try again")]
    Broken {
        /// Who was asked.
        controller: String,
        /// What happened.
        what: String,
    },
    /// The controller says no.
    #[error("{}", told(.0))]
    Problem(Problem),
}

fn told(problem: &Problem) -> String {
    let faults: String = problem.faults.iter().map(|fault| format!("\n{fault}")).collect();
    format!("{}; {}{faults}", problem.title, problem.fix)
}

impl std::str::FromStr for Controller {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Controller, ClientError> {
        let wrong = || ClientError::Controller(text.to_owned());
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (text, PORT),
        };
        if ServerName::try_from(host).is_err() {
            return Err(wrong());
        }
        Ok(Controller { host: host.to_owned(), port })
    }
}

impl std::fmt::Display for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Client {
    /// Asks the first of these controllers that answers, who must show a certificate of the CA in `ca` (PEM); says who
    /// asks by the token in a file.
    ///
    /// # Errors
    /// When a file can't be used.
    pub fn new(controllers: Vec<Controller>, ca: &Path, token: &Path) -> Result<Client, ClientError> {
        let fault = |file: &Path, what: String| ClientError::File { file: file.to_owned(), what };
        let mut roots = RootCertStore::empty();
        let found =
            CertificateDer::pem_file_iter(ca).map_err(|error| fault(ca, format!("it can't be read ({error})")))?;
        for certificate in found {
            let added = certificate.map_err(|error| error.to_string());
            added
                .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()))
                .map_err(|error| fault(ca, format!("a certificate in it can't be used ({error})")))?;
        }
        if roots.is_empty() {
            return Err(fault(ca, "there is no certificate in it; it is the control plane's CA".to_owned()));
        }
        let text =
            std::fs::read_to_string(token).map_err(|error| fault(token, format!("it can't be read ({error})")))?;
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(fault(token, "there is no token in it; `fedge-control token` makes one".to_owned()));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has cipher suites for TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Client { controllers, tls: TlsConnector::from(Arc::new(config)), token: text.to_owned() })
    }

    /// Reads something.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(Method::GET, path, Bytes::new(), ANSWER).await
    }

    /// Has something done.
    ///
    /// # Errors
    /// Why it wasn't done.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.post_within(path, body, ANSWER).await
    }

    /// Has something done that may take so long.
    ///
    /// # Errors
    /// Why it wasn't done.
    pub async fn post_within<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        patience: Duration,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).expect("requests have no maps with other keys than text");
        self.ask(Method::POST, path, body.into(), patience).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        patience: Duration,
    ) -> Result<T, ClientError> {
        let mut reasons = Vec::new();
        for controller in &self.controllers {
            let connected = tokio::time::timeout(PATIENCE, self.connect(controller)).await;
            let stream = match connected {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    reasons.push(format!("{controller}: {error}"));
                    continue;
                }
                Err(_) => {
                    reasons.push(format!("{controller}: nothing came within {} s", PATIENCE.as_secs()));
                    continue;
                }
            };
            let broken = |what: String| ClientError::Broken { controller: controller.to_string(), what };
            let answer = tokio::time::timeout(patience, self.exchange(stream, controller, method, path, body)).await;
            let (good, answer) = answer
                .map_err(|_| broken("it took too long".to_owned()))?
                .map_err(|error| broken(error.to_string()))?;
            let unreadable = |error: serde_json::Error| broken(format!("it can't be read: {error}"));
            return if good {
                serde_json::from_slice(&answer).map_err(unreadable)
            } else {
                Err(ClientError::Problem(serde_json::from_slice(&answer).map_err(unreadable)?))
            };
        }
        Err(ClientError::Unreachable(reasons.join("; ")))
    }

    async fn connect(&self, controller: &Controller) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let socket = TcpStream::connect((controller.host.as_str(), controller.port)).await?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(controller.host.clone()).map_err(std::io::Error::other)?;
        self.tls.connect(name, socket).await
    }

    async fn exchange(
        &self,
        stream: tokio_rustls::client::TlsStream<TcpStream>,
        controller: &Controller,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(bool, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, controller.to_string())
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let answered = async {
            let response = sender.send_request(request).await?;
            let good = response.status().is_success();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((
                good,
                Limited::new(response.into_body(), BYTES).collect().await?,
            ))
        };
        tokio::pin!(answered, connection);
        // The connection's own end is the answer's error, or comes after the answer.
        let (good, answer) = tokio::select! {
            answer = &mut answered => answer?,
            ended = &mut connection => {
                ended?;
                answered.await?
            }
        };
        Ok((good, answer.to_bytes()))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("controllers", &self.controllers).finish_non_exhaustive()
    }
}
