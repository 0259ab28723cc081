//! The file of test accounts: who may be spoken for, and to whom.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use topology::partner::{NextHop, NextHopError};
use xmpp::domain::Domain;
use xmpp::jid;

/// Where clients connect (RFC 6120 §14.7), and with direct TLS (XEP-0368).
pub(super) const CLIENTS: u16 = 5222;
const CLIENTS_DIRECT: u16 = 5223;

/// Why the accounts can't be used. Nothing of a password is ever told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountsError {
    /// A file can't be read.
    #[error("{} can't be read ({source})", file.display())]
    Unreadable { file: PathBuf, source: std::io::Error },
    /// Others may read it.
    #[error("{} may be read by others (mode {mode:04o}), and has secrets in it; do `chmod 600 {}`", file.display(), file.display())]
    Open { file: PathBuf, mode: u32 },
    /// It isn't what it should be.
    #[error("{}: {what}", file.display())]
    Wrong { file: PathBuf, what: String },
    /// An account that isn't there.
    #[error(
        "{jid} is no test account: {} has {}. Nobody else is spoken to; add an [[account]] for it if it is one",
        file.display(),
        listed(known)
    )]
    Unknown { jid: String, file: PathBuf, known: Vec<String> },
    /// No border lies between them.
    #[error(
        "{0} and {1} are in one domain: what they say doesn't cross the border; name one inside and one at a partner"
    )]
    OneDomain(String, String),
    /// The system.
    #[error("nothing can be asked ({source})")]
    System { source: std::io::Error },
}

/// A password; it doesn't show itself.
pub(super) struct Password(String);

impl Password {
    #[cfg(test)]
    pub(super) fn new(text: &str) -> Password {
        Password(text.to_owned())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// How TLS begins. There is no way without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Tls {
    /// After STARTTLS.
    Starttls,
    /// With the first byte.
    Direct,
}

/// A test account.
#[derive(Debug)]
pub(super) struct Account {
    /// The bare JID.
    pub(super) jid: String,
    pub(super) user: String,
    pub(super) domain: Domain,
    pub(super) password: Password,
    /// Where its server is, and how TLS begins there; without it, where DNS says.
    pub(super) server: Option<(NextHop, Tls)>,
    /// The roots by which its server's certificate is judged, instead of the system's.
    pub(super) trusted: Option<PathBuf>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    trusted: Option<PathBuf>,
    #[serde(default, rename = "account")]
    accounts: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    jid: String,
    password_file: PathBuf,
    server: Option<String>,
    tls: Option<Tls>,
}

fn listed(known: &[String]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

/// The two accounts of that file between which messages go.
///
/// # Errors
/// When one isn't there, both are in one domain, or a file isn't good.
pub(super) fn pair(file: &Path, from: &str, to: &str) -> Result<[Account; 2], AccountsError> {
    let written = secret(file)?;
    let wrong = |what: String| AccountsError::Wrong { file: file.to_owned(), what };
    // The message alone: what it would quote of the file is nobody's business.
    let read: File = toml::from_str(&written).map_err(|error| wrong(error.message().to_owned()))?;
    let known: Vec<String> = read.accounts.iter().map(|entry| entry.jid.clone()).collect();
    for (index, jid) in known.iter().enumerate() {
        parts(jid).map_err(wrong)?;
        if known[..index].contains(jid) {
            return Err(wrong(format!("{jid} stands there twice")));
        }
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let found = [from, to].map(|jid| {
        let is_it = |entry: &&Entry| entry.jid.eq_ignore_ascii_case(jid);
        let unknown = || AccountsError::Unknown { jid: jid.to_owned(), file: file.to_owned(), known: known.clone() };
        let entry = read.accounts.iter().find(is_it).ok_or_else(unknown)?;
        account(entry, folder, read.trusted.as_deref()).map_err(|error| match error {
            Fault::Entry(what) => wrong(what),
            Fault::File(error) => error,
        })
    });
    let [from, to] = found;
    let (from, to) = (from?, to?);
    if from.domain == to.domain {
        return Err(AccountsError::OneDomain(from.jid, to.jid));
    }
    Ok([from, to])
}

enum Fault {
    Entry(String),
    File(AccountsError),
}

fn account(entry: &Entry, folder: &Path, trusted: Option<&Path>) -> Result<Account, Fault> {
    let (user, domain) = parts(&entry.jid).map_err(Fault::Entry)?;
    let server = match (&entry.server, entry.tls) {
        (None, None) => None,
        (None, Some(_)) => {
            let what = format!("{}: `tls` goes with `server`; without one, DNS says how TLS begins", entry.jid);
            return Err(Fault::Entry(what));
        }
        (Some(server), tls) => Some(place(server, tls.unwrap_or(Tls::Starttls)).map_err(|_| {
            let what = "is no server; write `host`, `host:port` or `[address]:port`";
            Fault::Entry(format!("{}: `{server}` {what}", entry.jid))
        })?),
    };
    let password = secret(&folder.join(&entry.password_file)).map_err(Fault::File)?;
    // The line's end is the editor's.
    let password = password.strip_suffix('\n').unwrap_or(&password);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() || password.contains('\0') {
        let file = folder.join(&entry.password_file);
        let what = "there is no password in it; it is the first and only line".to_owned();
        return Err(Fault::File(AccountsError::Wrong { file, what }));
    }
    let password = Password(password.to_owned());
    let trusted = trusted.map(|file| folder.join(file));
    Ok(Account { jid: entry.jid.clone(), user, domain, password, server, trusted })
}

fn place(text: &str, tls: Tls) -> Result<(NextHop, Tls), NextHopError> {
    let mut place: NextHop = text.parse()?;
    // A next hop's own port is that of servers; here it is only meant where it is written.
    let written = text.parse::<std::net::Ipv6Addr>().is_err()
        && text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if !written {
        place.port = if tls == Tls::Direct { CLIENTS_DIRECT } else { CLIENTS };
    }
    Ok((place, tls))
}

/// User and domain of an account's JID.
fn parts(text: &str) -> Result<(String, Domain), String> {
    let wrong = |why: &str| format!("`{text}` is no account ({why}); write `user@domain`");
    if text.contains('/') {
        return Err(wrong("it has a resource"));
    }
    let (user, domain) = text.split_once('@').ok_or_else(|| wrong("it has no `@`"))?;
    jid::check(text).map_err(|error| wrong(&error.to_string()))?;
    Ok((user.to_owned(), domain.parse().map_err(|error: xmpp::domain::DomainError| wrong(&error.to_string()))?))
}

/// What stands in a file that nobody else may read.
fn secret(file: &Path) -> Result<String, AccountsError> {
    let unreadable = |source| AccountsError::Unreadable { file: file.to_owned(), source };
    let opened = fs::File::open(file).map_err(unreadable)?;
    let mode = opened.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(AccountsError::Open { file: file.to_owned(), mode });
    }
    std::io::read_to_string(opened).map_err(unreadable)
}

#[cfg(test)]
mod tests;
