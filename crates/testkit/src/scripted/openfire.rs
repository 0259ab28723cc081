//! Imitates Openfire 5.1 where it dials.

use super::{Script, hear};

/// What it opens first when it dials: a connection on which it says nothing and which it closes; then
/// it dials the one that it uses.
///
/// Source: `NettySessionInitializer.init`, "removing the need for an extraneous extra socket" (OF-2721).
pub fn probe() -> Script {
    Script::new().hang_up()
}

/// Its fallback when EXTERNAL and TLS got it nowhere: a header without a version, so without features,
/// and a key at once. The answer's header must bind dialback to the prefix `db`.
///
/// Source: `ServerDialback.createOutgoingSession`, `xpp.getNamespace("db")`.
pub fn dials_without_version(from: &str, to: &str) -> Script {
    Script::new()
        .say(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<stream:stream xmlns:stream=\"http://etherx.jabber.org/streams\" \
             xmlns=\"jabber:server\" xmlns:db=\"jabber:server:dialback\" to=\"{to}\" from=\"{from}\">"
        ))
        .hear(hear("<stream:stream ").with("xmlns:db='jabber:server:dialback'").with(" id='").without("version"))
        .then(key(from, to))
}

/// A trunk: one stream, on which it shows a key for each domain that it speaks for, its own and those of
/// others that reach the world through it.
///
/// Source: Openfire's trunking guide; `LocalOutgoingServerSession.authenticateSubdomain`.
pub fn trunks(from: &[&str], to: &str) -> Script {
    let own = from.first().copied().unwrap_or_default();
    let opened = Script::new()
        .say(format!(
            "<?xml version='1.0' encoding='UTF-8'?><stream:stream xmlns:db=\"jabber:server:dialback\" \
             xmlns:stream=\"http://etherx.jabber.org/streams\" xmlns=\"jabber:server\" from=\"{own}\" to=\"{to}\" \
             version=\"1.0\">"
        ))
        .hear(hear("<stream:stream ").with(format!(" from='{to}'")))
        .hear(hear("<stream:features>"));
    from.iter().fold(opened, |script, domain| script.then(key(domain, to)))
}

/// Shows a key and reads the result as crudely as Openfire, by its prefix.
///
/// Source: `ServerDialback.authenticateDomain`, `"db".equals(doc.getNamespacePrefix())`.
fn key(from: &str, to: &str) -> Script {
    Script::new()
        .say(format!("<db:result from=\"{from}\" to=\"{to}\">key of {from} for {{id}}</db:result>"))
        .hear(hear("<db:result ").with(format!("from='{to}'")).with(format!("to='{from}'")).with("type='valid'"))
}
