//! The configuration of fedge-control.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use daemon::log::Log;
use daemon::settings::{self, ConfigError, Metrics};
use serde::Deserialize;
use toml::Spanned;
use topology::faults::Faults;

use crate::access::{Proof, Role, User, Users};
use crate::audit::Hash;

#[cfg(test)]
mod tests;

/// What fedge-control runs by.
#[derive(Debug)]
pub struct Config {
    /// The controller's FQDN.
    pub name: String,
    /// Where the store is, as `store` opens it.
    pub store: String,
    /// How the log is written.
    pub log: Log,
    /// Where metrics are told.
    pub metrics: Vec<SocketAddr>,
    /// Where the API is served.
    pub listen: Vec<SocketAddr>,
    /// The folder of the control plane's CAs.
    pub authorities: PathBuf,
    /// The API's certificate and key, PEM; without them, the control plane's own CA makes them.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Files of keys with which updates of zones are signed (RFC 8945).
    pub keys: Vec<PathBuf>,
    /// Who may use it.
    pub users: Users,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Spanned<String>,
    store: Spanned<String>,
    authorities: PathBuf,
    #[serde(default)]
    log: Log,
    metrics: Option<Metrics>,
    api: Api,
    #[serde(default)]
    dns: Dns,
    #[serde(default)]
    user: Vec<Spanned<UserEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Api {
    listen: Spanned<Vec<SocketAddr>>,
    certificate: Option<Spanned<PathBuf>>,
    key: Option<Spanned<PathBuf>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dns {
    #[serde(default)]
    key_files: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserEntry {
    name: Spanned<String>,
    role: Role,
    token: Option<Spanned<String>>,
    key: Option<Spanned<String>>,
}

impl Config {
    /// Reads and checks the file. Other files that it names are found from its folder, and aren't read here.
    ///
    /// # Errors
    /// Every fault, with its place; of unknown keys and wrong types only the first.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        settings::read(path, |file: File, folder, faults| check(&file, folder, faults))
    }
}

fn check(file: &File, folder: &Path, faults: &mut Faults) -> Config {
    let mut listeners = vec![("API's", &file.api.listen)];
    listeners.extend(file.metrics.as_ref().map(|metrics| ("metrics'", &metrics.listen)));
    settings::check_listeners(&listeners, faults);
    if format!("writer/{}", file.name.get_ref()).parse::<store::Key>().is_err() || file.name.get_ref().contains('/') {
        let what = format!("`{}` can't be a controller's name", file.name.get_ref());
        faults.add(file.name.span(), what, "name it by its FQDN, as in the topology: \"ctl1.contoso.test\"");
    }
    Config {
        name: file.name.get_ref().clone(),
        store: file.store.get_ref().clone(),
        log: file.log.clone(),
        metrics: file.metrics.as_ref().map(|metrics| metrics.listen.get_ref().clone()).unwrap_or_default(),
        listen: file.api.listen.get_ref().clone(),
        authorities: folder.join(&file.authorities),
        certificate: certificate(&file.api, folder, faults),
        keys: file.dns.key_files.iter().map(|file| folder.join(file)).collect(),
        users: Users::new(users(&file.user, faults)),
    }
}

fn certificate(api: &Api, folder: &Path, faults: &mut Faults) -> Option<(PathBuf, PathBuf)> {
    match (&api.certificate, &api.key) {
        (Some(certificate), Some(key)) => Some((folder.join(certificate.get_ref()), folder.join(key.get_ref()))),
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => {
            let remedy = "give both, or neither: then the control plane's own CA makes them";
            faults.add(one.span(), "certificate and key belong together, and one is missing", remedy);
            None
        }
    }
}

fn users(entries: &[Spanned<UserEntry>], faults: &mut Faults) -> Vec<User> {
    let mut seen: HashMap<&str, ()> = HashMap::new();
    let mut users = Vec::new();
    for entry in entries {
        let (place, entry) = (entry.span(), entry.get_ref());
        let name = entry.name.get_ref();
        if name.trim().is_empty() || seen.insert(name, ()).is_some() {
            let what = format!("there are two users `{name}`, or the name is empty");
            faults.add(entry.name.span(), what, "the audit trail knows users by their names: give each an own one");
        }
        let proof = match (&entry.token, &entry.key) {
            (Some(hash), None) => digits(&entry.name, hash, faults).map(Proof::Token),
            (None, Some(hash)) => digits(&entry.name, hash, faults).map(Proof::Key),
            _ => {
                let what = format!("`{name}` needs one of `token` and `key`, and has none or both");
                faults.add(place, what, "`fedge-control token` makes a token, and says what to write here");
                None
            }
        };
        users.extend(proof.map(|proof| User { name: name.clone(), role: entry.role, proof }));
    }
    if entries.is_empty() {
        let remedy = "add one: `fedge-control token anna --role administrator` says what to write";
        faults.add(0..0, "there is no [[user]], so nobody could use the API", remedy);
    }
    users
}

fn digits(user: &Spanned<String>, hash: &Spanned<String>, faults: &mut Faults) -> Option<Hash> {
    match hash.get_ref().parse() {
        Ok(hash) => Some(hash),
        Err(error) => {
            // Drawn at the user's name: the line of the hash may hold the token itself, which belongs into no message.
            let what = format!("what `{}` is known by is no hash: {error}", user.get_ref());
            faults.add(user.span(), what, "write the SHA-256, never the token itself; `fedge-control token` says it");
            None
        }
    }
}
