//! Imitates Tigase 8 where a name mapper leads it to an edge, and where it answers one.

use super::{Script, hear};

/// It dials `to` by way of a mapped name, whose certificate it demands in TLS; the header still says `to`.
/// EXTERNAL comes with `=` for its identity.
///
/// Source: `CIDConnections.openOutgoing` (`CERT_REQUIRED_DOMAIN` is the mapped name), `SaslExternal.sendAuthRequest`.
pub fn dials_by_a_mapped_name(from: &str, to: &str) -> Script {
    let header = format!(
        "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:server' \
         xmlns:db='jabber:server:dialback' from='{from}' to='{to}' version='1.0'>"
    );
    Script::new()
        .say(&*header)
        .hear(hear("<stream:stream ").with(format!(" from='{to}'")))
        .hear(hear("<stream:features>").with("<starttls "))
        .say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        .hear(hear("<proceed "))
        .start_tls()
        .say(&*header)
        .hear(hear("<stream:stream ").with(format!(" from='{to}'")))
        .hear(hear("<stream:features>").with("<mechanism>EXTERNAL</mechanism>"))
        .say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>")
        .hear(hear("<success "))
        .say(header)
        .hear(hear("<stream:stream ").with(format!(" from='{to}'")))
        .hear(hear("<stream:features>"))
}

/// It is dialed with direct TLS by an edge that speaks for `from`: it offers EXTERNAL whoever the
/// certificate speaks for, refuses it then because it demands the mapped name, and goes on by dialback; a
/// message follows.
///
/// Source: `SaslExternal.canAddSaslToFeatures` and `processAuth`, `AuthenticatorSelectorManager.authenticationFailed`.
pub fn refuses_external_and_takes_dialback(from: &str, to: &str) -> Script {
    Script::new()
        .hear(hear("<stream:stream ").with(format!(" to='{to}'")).with(format!(" from='{from}'")))
        .say(format!(
            "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:server' \
             xmlns:db='jabber:server:dialback' id='0c2be3ba-c69c-4b0f-8a7c-3d2e9c1b6f10' from='{to}' to='{from}' \
             version='1.0'><stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL\
             </mechanism></mechanisms><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback></stream:features>"
        ))
        .hear(hear("<auth ").with("mechanism='EXTERNAL'"))
        .say(
            "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-authzid/>\
             <text>Certificate name doesn't match domain name</text></failure>",
        )
        .hear(
            hear("<db:result ")
                .with(format!("from='{from}'"))
                .with(format!("to='{to}'"))
                .with("key for 0c2be3ba-c69c-4b0f-8a7c-3d2e9c1b6f10<"),
        )
        .say(format!("<db:result from='{to}' to='{from}' type='valid'/>"))
        .hear(hear("<message "))
        .then(super::ejabberd::refuses_a_key(from, to))
}
