//! A client in a room (XEP-0045).

use anyhow::bail;
use xmpp::xml::write::escape_attribute;

use super::{Client, PATIENCE, Stanza};

const MUC: &str = "http://jabber.org/protocol/muc";
const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";

impl Client {
    /// Enters `room` under `nick`, making it with default settings if there is none. What arrives
    /// before the entry is complete, such as others' presence, is dropped.
    ///
    /// # Errors
    /// When the room refuses, or doesn't answer in time.
    pub async fn join_muc(&self, room: &str, nick: &str) -> anyhow::Result<()> {
        let place = format!("{room}/{nick}");
        self.send(format!("<presence to='{}'><x xmlns='{MUC}'/></presence>", escape_attribute(&place)));
        // The room marks one's own presence (§15.6.2), and may give another nick than was asked for.
        let own = |stanza: &Stanza| {
            let from_room = stanza.from().is_some_and(|from| from.split('/').next() == Some(room));
            from_room && stanza.name() == "presence" && (stanza.is_error() || has_status(stanza, "110"))
        };
        let answer = self.wait_for(format_args!("entry to {place}"), PATIENCE, own).await?;
        if answer.is_error() {
            bail!("{} may not enter {place}: {answer}", self.jid());
        }
        if has_status(&answer, "201") {
            // A new room is locked until its owner says something about its settings.
            let settings = "<x xmlns='jabber:x:data' type='submit'/>";
            let unlocked = self.iq(room, "set", &format!("<query xmlns='{MUC_OWNER}'>{settings}</query>")).await?;
            if unlocked.is_error() {
                bail!("{} may not set up {room}: {unlocked}", self.jid());
            }
        }
        Ok(())
    }
}

/// Whether a room's presence carries that status code.
fn has_status(presence: &Stanza, code: &str) -> bool {
    let tree = presence.tree();
    let Some(x) = tree.child(MUC_USER, "x") else { return false };
    x.children().any(|child| child.name == "status" && child.attr("code") == Some(code))
}
