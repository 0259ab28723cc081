//! What the API shows of itself: its own certificate and key, or what the control plane's CA makes for it.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent::authority::Authorities;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Config;
use crate::http::Tls;
use crate::run::Failure;

/// Between two certificates of the control plane's CA for the API: far less than one is good for.
const ANEW: Duration = Duration::from_secs(24 * 3600);

/// TLS that shows it.
///
/// # Errors
/// When files can't be read, or key and certificate don't belong together.
pub(crate) fn tls(config: &Config, authorities: &Authorities) -> Result<Tls, Failure> {
    let (chain, key) = identity(config, authorities)?;
    Tls::new(chain, key).map_err(|error| unusable(config, &error))
}

/// Has TLS show it from now on.
///
/// # Errors
/// As [`tls`]; then everything stays as it was.
pub(crate) fn show(config: &Config, authorities: &Authorities, tls: &Tls) -> Result<(), Failure> {
    let (chain, key) = identity(config, authorities)?;
    tls.replace(chain, key).map_err(|error| unusable(config, &error))
}

/// Has what the CA makes made anew each day, for as long as it is awaited. Own files are read again when somebody says so.
pub(crate) async fn keep_new(file: PathBuf, tls: Tls) {
    loop {
        tokio::time::sleep(ANEW).await;
        if let Err(error) = renew(&file, &tls) {
            tracing::warn!(%error, "the API's certificate can't be made anew; that of before stays, for less than 90 days");
        }
    }
}

fn renew(file: &Path, tls: &Tls) -> Result<(), Failure> {
    let config = Config::read(file)?;
    if config.certificate.is_none() {
        show(&config, &Authorities::read(&config.authorities)?, tls)?;
    }
    Ok(())
}

fn identity(
    config: &Config,
    authorities: &Authorities,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Failure> {
    let fault = |file: &Path, what: String| Failure::File { file: file.to_owned(), what };
    let Some((certificate, key)) = &config.certificate else {
        let at: Vec<IpAddr> = config.listen.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified()).collect();
        let made = authorities.api(&config.name, &at)?;
        let chain = CertificateDer::from_pem_slice(made.certificate.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(made.key.as_bytes());
        let damaged = |error: rustls_pki_types::pem::Error| fault(&config.authorities, error.to_string());
        return Ok((vec![chain.map_err(damaged)?], key.map_err(damaged)?));
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(certificate, format!("no certificate can be read from it ({error})")))?;
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| fault(key, format!("no private key can be read from it ({error})")))?;
    Ok((chain, secret))
}

fn unusable(config: &Config, error: &rustls::Error) -> Failure {
    let file = config.certificate.as_ref().map_or(&config.authorities, |(certificate, _)| certificate);
    Failure::File { file: file.clone(), what: format!("certificate and key can't be used together ({error})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_the_ca_makes_is_made_anew_each_day_also_when_it_could_not_be_on_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, authorities) = (folder.path().join("control.toml"), folder.path().join("ca"));
        let made = Authorities::make(&authorities).expect("it is empty");
        let token = "0".repeat(64);
        let text = format!(
            "name = \"ctl1.contoso.test\"\nstore = \"sqlite:store.db\"\nauthorities = \"ca\"\n[api]\nlisten = [\"127.0.0.1:5272\"]\n\
             [[user]]\nname = \"anna\"\nrole = \"administrator\"\ntoken = \"{token}\"\n"
        );
        std::fs::write(&file, &text).expect("written");
        let config = Config::read(&file).expect("a good one");
        let tls = tls(&config, &made).expect("a certificate");
        let keeping = tokio::spawn(keep_new(file.clone(), tls.clone()));
        let shown = || tls.config();
        let mut before = shown();
        let mut is_another_after_a_day = async || {
            tokio::time::sleep(ANEW + Duration::from_secs(1)).await;
            let same = std::sync::Arc::ptr_eq(&before, &shown());
            before = shown();
            !same
        };
        assert!(is_another_after_a_day().await);
        std::fs::write(&file, "name =").expect("written");
        assert!(!is_another_after_a_day().await);
        std::fs::write(&file, &text).expect("written");
        assert!(is_another_after_a_day().await);
        keeping.abort();
    }
}
