//! What goes back to its sender for a stanza that can't be delivered, without doing harm.

use xmpp::jid::bare;
use xmpp::stanza::{Kind, Stanza, StanzaCondition};
use xmpp::xml::tree::Element;

use crate::trunk::Undeliverable;

/// What a room says of itself and its occupants (XEP-0045 §15.1), and marks their private messages with.
const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// By which somebody enters a room.
const MUC: &str = "http://jabber.org/protocol/muc";

/// The error that returns a stanza. Nothing for errors and results (RFC 6120 §8.3.1), nor in a break for presence that
/// is said again after it: rooms throw out whoever sends them an error for presence, whatever its condition (seen
/// in Prosody 0.12 and ejabberd 23.01), and clients take one from a room for their being out of it.
pub(crate) fn returned(stanza: &Stanza, why: &Undeliverable) -> Option<Stanza> {
    if is_passing(why.condition) && is_state(stanza) {
        return None;
    }
    stanza.error_reply(gentle(stanza, why.condition), &why.text)
}

/// Whether it says how somebody is and is said again after a break: what a room tells of its occupants, and what is told
/// to one resource or a room. Whoever enters a room waits for its answer, and has to know that none comes.
pub(super) fn is_state(stanza: &Stanza) -> bool {
    let presence = stanza.kind() == Kind::Presence;
    let told_to_one =
        || stanza.type_().is_none() && stanza.to().is_some_and(|to| bare(&to) != to) && !has_x(stanza, MUC);
    presence && (has_x(stanza, MUC_USER) || told_to_one())
}

/// Whether it may be otherwise in a while.
pub(super) fn is_passing(condition: StanzaCondition) -> bool {
    matches!(condition, StanzaCondition::RemoteServerTimeout | StanzaCondition::ResourceConstraint)
}

fn has_x(stanza: &Stanza, namespace: &str) -> bool {
    Element::of(stanza).is_ok_and(|tree| tree.child(namespace, "x").is_some())
}

/// The condition that tells of a passing failure without harm: rooms throw out occupants whose messages come back with
/// a remote server not found or timed out. What a room sends is of type `groupchat` or marked as the room's.
fn gentle(stanza: &Stanza, condition: StanzaCondition) -> StanzaCondition {
    let concerns_rooms = || match stanza.kind() {
        Kind::Presence => true,
        Kind::Message => stanza.type_().as_deref() == Some("groupchat") || has_x(stanza, MUC_USER),
        Kind::Iq => false,
    };
    match condition {
        StanzaCondition::RemoteServerTimeout if concerns_rooms() => StanzaCondition::ResourceConstraint,
        condition => condition,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(stanza: &str, condition: StanzaCondition) -> Option<String> {
        let stanza = Stanza::parse(stanza.as_bytes()).expect("a stanza");
        let error = returned(&stanza, &Undeliverable { condition, text: "why".to_owned() })?;
        let tree = Element::of(&error).expect("a tree");
        let error = tree.child(&tree.namespace, "error").expect("an error");
        error.children().next().map(|first| first.name.clone())
    }

    #[test]
    fn a_break_throws_nobody_out_of_a_room() {
        use StanzaCondition::{NotAllowed, RemoteServerNotFound, RemoteServerTimeout};
        let x = format!("<x xmlns='{MUC_USER}'/>");
        let presence = format!("<presence from='room@rooms.test/ann' to='bob@fabrikam.test/desk'>{x}</presence>");
        assert_eq!(condition(&presence, RemoteServerTimeout), None);
        // Whoever can't be in the room any more shall leave it.
        for lasting in [NotAllowed, RemoteServerNotFound] {
            assert_eq!(condition(&presence, lasting), Some(lasting.to_string()));
        }
        let away = "<presence from='bob@fabrikam.test/desk' to='room@rooms.test/bob'/>";
        assert_eq!(condition(away, RemoteServerTimeout), None);
        let enter =
            format!("<presence from='bob@fabrikam.test/desk' to='room@rooms.test/bob'><x xmlns='{MUC}'/></presence>");
        let private =
            format!("<message type='chat' from='room@rooms.test/ann' to='bob@fabrikam.test/desk'>{x}</message>");
        for message in ["<message type='groupchat'/>", "<presence/>", &enter, &private] {
            assert_eq!(condition(message, RemoteServerTimeout).as_deref(), Some("resource-constraint"), "{message}");
        }
        for other in ["<message type='chat'/>", "<iq type='get'/>"] {
            assert_eq!(condition(other, RemoteServerTimeout).as_deref(), Some("remote-server-timeout"), "{other}");
        }
    }
}
