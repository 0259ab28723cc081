//! The way to the server of a test account: where it is, and TLS with it. Nothing of the account is told before.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::{RData, RecordType};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use xmpp::domain::Domain;

use super::accounts::{Account, CLIENTS, Tls};
use super::trouble::{Lacks, Trouble};
use super::wire::plain;

/// A connection may take so long.
const CONNECTION: Duration = Duration::from_secs(5);
/// So many addresses are tried.
const ADDRESSES: usize = 8;
/// With direct TLS it is said what will be spoken (XEP-0368 §4).
const ALPN: &[u8] = b"xmpp-client";

/// A host where the server may be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    host: String,
    port: u16,
    tls: Tls,
}

/// A connection, before TLS.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) tcp: TcpStream,
    pub(super) at: SocketAddr,
    pub(super) tls: Tls,
}

/// Connects to the first address that takes it.
pub(super) async fn connect(account: &Account) -> Result<Connected, Trouble> {
    let targets = targets(account).await?;
    let domain = account.domain.to_string();
    let (mut tried, mut seen) = (0, None);
    for Target { host, port, tls } in targets {
        let addresses = match lookup_host((host.as_str(), port)).await {
            Ok(addresses) => addresses,
            Err(error) => {
                let what = format!("there is no address of {host} ({error})");
                seen.get_or_insert(Trouble::NoAddress { domain: domain.clone(), what });
                continue;
            }
        };
        for at in addresses {
            if tried == ADDRESSES {
                break;
            }
            tried += 1;
            let what = match timeout(CONNECTION, TcpStream::connect(at)).await {
                Ok(Ok(tcp)) => {
                    // Where it can't be, small packets only come a little later.
                    let _ = tcp.set_nodelay(true);
                    return Ok(Connected { tcp, at, tls });
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("nothing for {} s", CONNECTION.as_secs()),
            };
            seen.get_or_insert(Trouble::Unreachable { at: at.to_string(), what });
        }
    }
    let none = || Trouble::NoAddress { domain, what: "its SRV records say that there is none".to_owned() };
    Err(seen.unwrap_or_else(none))
}

async fn targets(account: &Account) -> Result<Vec<Target>, Trouble> {
    if let Some((place, tls)) = &account.server {
        return Ok(vec![Target { host: place.host.clone(), port: place.port, tls: *tls }]);
    }
    let domain = account.domain.to_ascii();
    let failed = |what: String| Trouble::NoAddress { domain: domain.to_owned(), what };
    let resolver = TokioResolver::builder_tokio().and_then(hickory_resolver::ResolverBuilder::build);
    let resolver = resolver.map_err(|error| failed(format!("DNS can't be asked ({error})")))?;
    let (direct, starttls) = tokio::join!(
        services(&resolver, "_xmpps-client", domain, Tls::Direct),
        services(&resolver, "_xmpp-client", domain, Tls::Starttls)
    );
    Ok(ordered(domain, direct.into_iter().chain(starttls).collect()))
}

/// What DNS says of a service, with priority and weight. An answer that doesn't come counts as none: the domain's own
/// address is left.
async fn services(resolver: &TokioResolver, service: &str, domain: &str, tls: Tls) -> Vec<(u16, u16, Target)> {
    let name = format!("{service}._tcp.{domain}.");
    let Ok(answer) = resolver.lookup(name, RecordType::SRV).await else { return Vec::new() };
    let of = |data: &RData| match data {
        RData::SRV(srv) => {
            let host = srv.target.to_ascii();
            Some((srv.priority, srv.weight, Target { host, port: srv.port, tls }))
        }
        _ => None,
    };
    answer.answers().iter().filter_map(|record| of(&record.data)).collect()
}

/// In the order of RFC 2782, the heavier first: one login needs no balance. Nobody where the domain says that it has no
/// service.
fn ordered(domain: &str, mut found: Vec<(u16, u16, Target)>) -> Vec<Target> {
    if found.is_empty() {
        return vec![Target { host: domain.to_owned(), port: CLIENTS, tls: Tls::Starttls }];
    }
    found.sort_by_key(|(priority, weight, _)| (*priority, std::cmp::Reverse(*weight)));
    found.into_iter().map(|(_, _, target)| target).filter(|target| target.host != ".").collect()
}

/// TLS by which a server's certificate is judged: for the domain of the JID (RFC 6120 §13.7.2).
pub(super) async fn secure<IO>(io: IO, at: SocketAddr, account: &Account, tls: Tls) -> Result<TlsStream<IO>, Trouble>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let roots = roots(account.trusted.as_deref()).map_err(Trouble::Roots)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    if tls == Tls::Direct {
        config.alpn_protocols = vec![ALPN.to_vec()];
    }
    let failed = |what: String, lacks| Trouble::Tls { at, what, lacks };
    let name = server_name(&account.domain).map_err(|what| failed(what, Lacks::Name))?;
    TlsConnector::from(Arc::new(config))
        .connect(name, io)
        .await
        .map_err(|error| failed(plain(&error.to_string()), Lacks::of(&error)))
}

fn server_name(domain: &Domain) -> Result<ServerName<'static>, String> {
    let name = ServerName::try_from(domain.to_ascii().to_owned());
    name.map_err(|_| "no certificate can be for this domain".to_owned())
}

/// Those of a file, or the system's.
fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        return if roots.is_empty() {
            Err("this system has none; name some with `trusted`".to_owned())
        } else {
            Ok(roots)
        };
    };
    let wrong = |what: String| format!("{}: {what}", file.display());
    let found = CertificateDer::pem_file_iter(file).map_err(|error| wrong(format!("it can't be read ({error})")))?;
    for certificate in found {
        let certificate = certificate.map_err(|error| wrong(format!("a certificate can't be read ({error})")))?;
        roots.add(certificate).map_err(|error| wrong(format!("a certificate can't be used ({error})")))?;
    }
    if roots.is_empty() { Err(wrong("there is no certificate in it".to_owned())) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_come_in_their_order_and_none_is_respected() {
        let target = |host: &str, tls| Target { host: host.to_owned(), port: CLIENTS, tls };
        let (direct, starttls) = (Tls::Direct, Tls::Starttls);
        let found = vec![
            (20, 0, target("c.test.", starttls)),
            (10, 1, target("b.test.", direct)),
            (10, 5, target("a.test.", starttls)),
        ];
        let hosts: Vec<String> = ordered("contoso.test", found).into_iter().map(|target| target.host).collect();
        assert_eq!(hosts, ["a.test.", "b.test.", "c.test."]);
        assert_eq!(ordered("contoso.test", Vec::new()), [target("contoso.test", starttls)]);
        assert_eq!(ordered("contoso.test", vec![(0, 0, target(".", starttls))]), []);
    }
}
