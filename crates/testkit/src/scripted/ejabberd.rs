//! Imitates a current ejabberd (24.10 and later), which knows bidi, where it is dialed and where it dials.

use super::{Script, hear};

/// It is dialed with direct TLS and `mod_s2s_bidi`, and gets a message: it offers bidi with its other
/// features, and no stream management; a question about a key is answered in its turn.
///
/// Source: `mod_s2s_bidi:s2s_in_features/2`, `xmpp_stream_in:send_features/1`.
pub fn is_dialed(from: &str, to: &str) -> Script {
    let answer = |id: &str| {
        format!(
            "<?xml version='1.0'?><stream:stream id='{id}' version='1.0' xml:lang='en' \
             xmlns:stream='http://etherx.jabber.org/streams' to='{from}' from='{to}' xmlns:db='jabber:server:dialback' \
             xmlns='jabber:server'>"
        )
    };
    let header = || hear("<stream:stream ").with(format!(" to='{to}'")).with(format!(" from='{from}'"));
    Script::new()
        .hear(header())
        .say(answer("8125170623416524318"))
        .say(
            "<stream:features><bidi xmlns='urn:xmpp:features:bidi'/><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
             <mechanism>EXTERNAL</mechanism></mechanisms><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>\
             </stream:features>",
        )
        .hear(hear("<auth ").with("mechanism='EXTERNAL'"))
        .say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
        .hear(header())
        .say(answer("14069113215460839142"))
        .say("<stream:features/>")
        .hear(hear("<message "))
        .then(refuses_a_key(from, to))
}

/// Refuses a key that it didn't make.
///
/// Source: `mod_s2s_dialback:s2s_in_packet/2`.
pub(super) fn refuses_a_key(from: &str, to: &str) -> Script {
    Script::new()
        .hear(hear("<db:verify ").with(format!("from='{from}'")).with(format!("to='{to}'")))
        .say(format!("<db:verify from='{to}' to='{from}' id='{{id}}' type='invalid'/>"))
}

/// It dials with direct TLS; it would ask for bidi if that were offered, and sends `stanza` in the end.
///
/// Source: `mod_s2s_bidi:s2s_out_unauthenticated_features/2`, `xmpp_stream_out`.
pub fn dials(from: &str, to: &str, stanza: &str) -> Script {
    let header = format!(
        "<?xml version='1.0'?><stream:stream to='{to}' from='{from}' version='1.0' xml:lang='en' \
         xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' xmlns='jabber:server'>"
    );
    Script::new()
        .say(&*header)
        .hear(hear("<stream:stream ").with(" id='"))
        .hear(hear("<stream:features>").with("<mechanism>EXTERNAL</mechanism>").without("urn:xmpp:features:bidi"))
        .say(format!("<auth mechanism='EXTERNAL' xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</auth>", base64(from)))
        .hear(hear("<success "))
        .say(header)
        .hear(hear("<stream:stream "))
        .hear(hear("<stream:features>").without("urn:xmpp:features:bidi"))
        .say(stanza)
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
