//! Imitates Prosody 13 where it is dialed.

use super::{Script, hear};

const LIMITS: &str =
    "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>524288</max-bytes><idle-seconds>840</idle-seconds></limits>";
const DIALBACK: &str = " xmlns:db='jabber:server:dialback'";

/// It is dialed with direct TLS and gets a message: its features hold its limits and an offer of bidi, and
/// after EXTERNAL two offers of stream management, of which one is taken.
///
/// Source: `mod_s2s` (`urn:xmpp:stream-limits:0` in the features), `mod_s2s_bidi`, `mod_smacks`.
pub fn is_dialed(from: &str, to: &str) -> Script {
    let offers = "<dialback xmlns='urn:xmpp:features:dialback'/><bidi xmlns='urn:xmpp:features:bidi'/>";
    authenticates(from, to, DIALBACK, offers)
        .say(format!(
            "<stream:features><sm xmlns='urn:xmpp:sm:2'><optional/></sm><sm xmlns='urn:xmpp:sm:3'><optional/></sm>{LIMITS}\
             </stream:features>"
        ))
        .hear(hear("<enable ").with("xmlns='urn:xmpp:sm:3'"))
        .say("<enabled xmlns='urn:xmpp:sm:3'/>")
        .hear(hear("<message "))
        .hear(hear("<r ").with("xmlns='urn:xmpp:sm:3'"))
        .say("<a xmlns='urn:xmpp:sm:3' h='1'/>")
}

/// The same without `mod_dialback` and `mod_smacks`: it doesn't declare dialback, and ends a stream on which
/// something comes that none of its modules handles.
///
/// Source: `mod_s2s` (`xmlns:db` only with the module), `stanza_router` (`unsupported-stanza-type`).
pub fn is_dialed_without_dialback(from: &str, to: &str) -> Script {
    authenticates(from, to, "", "").say(format!("<stream:features>{LIMITS}</stream:features>")).hear(hear("<message "))
}

fn authenticates(from: &str, to: &str, declared: &str, offers: &str) -> Script {
    let opened = |script: Script, id: &str| {
        script.hear(hear("<stream:stream ").with(format!(" to='{to}'")).with(format!(" from='{from}'"))).say(format!(
            "<?xml version='1.0'?><stream:stream{declared} xmlns:stream='http://etherx.jabber.org/streams' version='1.0' \
             from='{to}' to='{from}' xml:lang='en' xmlns='jabber:server' id='{id}'>"
        ))
    };
    let script = opened(Script::new(), "8dd4f2a5")
        .say(format!(
            "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>\
             </mechanisms>{offers}{LIMITS}</stream:features>"
        ))
        .hear(hear("<auth ").with("mechanism='EXTERNAL'"))
        .say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    opened(script, "51f0d3b9")
}
