//! Imitates Prosody 13 where it is dialed.

use super::{Script, hear};

/// It is dialed with direct TLS: its features hold its limits and an offer of bidi, and after EXTERNAL two
/// offers of stream management; what is not asked for changes nothing.
///
/// Source: `mod_s2s` (`urn:xmpp:stream-limits:0` in the features), `mod_s2s_bidi`, `mod_smacks`.
pub fn is_dialed(from: &str, to: &str) -> Script {
    let opened = |script: Script, id: &str| {
        script.hear(hear("<stream:stream ").with(format!(" to='{to}'")).with(format!(" from='{from}'"))).say(format!(
            "<?xml version='1.0'?><stream:stream xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/\
             streams' version='1.0' from='{to}' to='{from}' xml:lang='en' xmlns='jabber:server' id='{id}'>"
        ))
    };
    let limits = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>524288</max-bytes><idle-seconds>840</idle-seconds></limits>";
    let script = opened(Script::new(), "8dd4f2a5")
        .say(format!(
            "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>\
             </mechanisms><dialback xmlns='urn:xmpp:features:dialback'/><bidi xmlns='urn:xmpp:features:bidi'/>{limits}\
             </stream:features>"
        ))
        .hear(hear("<auth ").with("mechanism='EXTERNAL'"))
        .say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    opened(script, "51f0d3b9").say(format!(
        "<stream:features><sm xmlns='urn:xmpp:sm:2'><optional/></sm><sm xmlns='urn:xmpp:sm:3'><optional/></sm>{limits}\
         </stream:features>"
    ))
}
