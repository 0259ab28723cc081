//! Where an etcd cluster is, and how one gets in: `etcd:https://a:2379,https://b:2379?ca=FILE&user=NAME&…`.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};

use crate::error::StoreError;

/// Below which all of fedge's keys lie, unless told otherwise.
const PREFIX: &str = "fedge";
const CONNECT: Duration = Duration::from_secs(1);

/// What can be set in an address.
pub const SETTINGS: [&str; 6] = ["ca", "certificate", "key", "user", "password-file", "prefix"];

/// Where an etcd cluster is, and how one gets in. Secrets stay in their files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Its endpoints' URLs.
    pub(super) endpoints: Vec<String>,
    /// Below which all keys lie.
    pub(super) prefix: String,
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    user: Option<String>,
    password_file: Option<PathBuf>,
}

fn refused(what: impl Into<String>, fix: &str) -> StoreError {
    StoreError::Refused { what: what.into(), fix: fix.to_owned() }
}

const EXAMPLE: &str = "write it like \"etcd:https://etcd1.contoso.test:2379,https://etcd2.contoso.test:2379?ca=/etc/fedge/\
                       etcd-ca.crt&certificate=/etc/fedge/etcd.crt&key=/etc/fedge/etcd.key\"";

impl FromStr for Address {
    type Err = StoreError;

    /// What follows `etcd:`.
    fn from_str(text: &str) -> Result<Address, StoreError> {
        let (endpoints, settings) = text.split_once('?').unwrap_or((text, ""));
        let endpoints: Vec<String> = endpoints.split(',').map(str::to_owned).collect();
        for url in &endpoints {
            let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            if host.is_none_or(|host| host.is_empty() || host.contains(['/', '@'])) {
                return Err(refused(format!("`{url}` can't be an endpoint of etcd"), EXAMPLE));
            }
        }
        let mut address = Address {
            endpoints,
            prefix: PREFIX.to_owned(),
            ca: None,
            certificate: None,
            key: None,
            user: None,
            password_file: None,
        };
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            match name {
                _ if value.is_empty() => return Err(refused(format!("`{name}` has no value"), EXAMPLE)),
                "ca" => address.ca = Some(value.into()),
                "certificate" => address.certificate = Some(value.into()),
                "key" => address.key = Some(value.into()),
                "user" => address.user = Some(value.to_owned()),
                "password-file" => address.password_file = Some(value.into()),
                "prefix" => value.trim_matches('/').clone_into(&mut address.prefix),
                _ => {
                    let fix = format!("there are {}", SETTINGS.join(", "));
                    return Err(refused(format!("`{name}` is no setting of an etcd store"), &fix));
                }
            }
        }
        if address.certificate.is_some() != address.key.is_some() {
            return Err(refused("`certificate` and `key` belong together, and one is missing", EXAMPLE));
        }
        if address.user.is_some() != address.password_file.is_some() {
            return Err(refused("`user` and `password-file` belong together, and one is missing", EXAMPLE));
        }
        Ok(address)
    }
}

impl Address {
    /// How a client connects there; reads the files anew, which may have been renewed.
    pub(super) fn options(&self) -> Result<ConnectOptions, StoreError> {
        let mut options = ConnectOptions::new().with_connect_timeout(CONNECT).with_require_leader(true);
        if self.endpoints.iter().any(|url| url.starts_with("https:")) {
            let mut tls = TlsOptions::new();
            if let Some(ca) = &self.ca {
                tls = tls.ca_certificate(Certificate::from_pem(read(ca)?));
            }
            if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
                tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
            }
            options = options.with_tls(tls);
        }
        if let (Some(user), Some(file)) = (&self.user, &self.password_file) {
            options = options.with_user(user, read(file)?.trim());
        }
        Ok(options)
    }
}

fn read(file: &Path) -> Result<String, StoreError> {
    fs::read_to_string(file).map_err(|error| {
        refused(format!("{}: it can't be read ({error})", file.display()), "name a file that this user may read")
    })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "etcd:{}/{}", self.endpoints.join(","), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_what_is_nobodys_concern() {
        let text = "https://a:2379,https://b:2379?ca=/c&user=fedge&password-file=/p&prefix=x/y";
        let address: Address = text.parse().expect("good");
        assert_eq!(address.to_string(), "etcd:https://a:2379,https://b:2379/x/y");
        for setting in SETTINGS {
            let said = format!("https://a?{setting}=x").parse::<Address>();
            let known = !said.is_err_and(|error| error.to_string().contains("no setting"));
            assert!(known, "{setting}");
        }
        for bad in [
            "",
            "a:2379",
            "https://",
            "https://u:p@a",
            "https://a?ca",
            "https://a?co=1",
            "https://a?key=/k",
            "https://a?user=u",
        ] {
            assert!(matches!(bad.parse::<Address>(), Err(StoreError::Refused { .. })), "{bad}");
        }
    }
}
