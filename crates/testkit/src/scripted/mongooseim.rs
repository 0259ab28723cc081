//! Imitates MongooseIM 6.8 where it dials.

use super::{Heard, Script, hear};

/// It dials `to` for `from`, with STARTTLS and EXTERNAL: no `from` in its header before TLS, and an id of
/// its own, which is none. In the header that answers, `from` must be its `to`, letter by letter, `to`,
/// where there is one, its own domain, and dialback must be declared under that very attribute.
///
/// Source: `mongoose_s2s_out:stream_header/1`, `handle_stream_start/3`, `is_valid_to/2`.
pub fn dials(from: &str, to: &str) -> Script {
    Script::new()
        .say(header(None, to))
        .hear(answer(to).without(" to='"))
        .hear(hear("<stream:features>").with("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'"))
        .say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        .hear(hear("<proceed ").with("xmlns='urn:ietf:params:xml:ns:xmpp-tls'"))
        .start_tls()
        .say(header(Some(from), to))
        .hear(answer(to).with(format!(" to='{from}'")))
        .hear(hear("<stream:features>").with("<mechanism>EXTERNAL</mechanism>").without("starttls"))
        .say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>")
        .hear(hear("<success ").with("xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"))
        .say(header(Some(from), to))
        .hear(answer(to).with(format!(" to='{from}'")))
        // With mechanisms or STARTTLS offered again, it would not take itself for authenticated.
        .hear(hear("<stream:features>").without("mechanism").without("starttls"))
}

fn header(from: Option<&str>, to: &str) -> String {
    let from = from.map(|from| format!(" from='{from}'")).unwrap_or_default();
    format!(
        "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:server' \
         xmlns:db='jabber:server:dialback' version='1.0' xml:lang='en' to='{to}' id='52DB7A5E98E8BF4B'{from}>"
    )
}

fn answer(to: &str) -> Heard {
    hear("<stream:stream ")
        .with(format!(" from='{to}'"))
        .with(" id='")
        .with("version='1.0'")
        .with("xmlns='jabber:server'")
        .with("xmlns:db='jabber:server:dialback'")
}
