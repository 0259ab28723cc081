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
        let own = |stanza: &Stanza| {
            let from_room = stanza.from().is_some_and(|from| from == place || (stanza.is_error() && from == room));
            stanza.name() == "presence" && from_room
        };
        let answer = self.wait_for(format_args!("entry to {place}"), PATIENCE, own).await?;
        if answer.is_error() {
            bail!("{} may not enter {place}: {answer}", self.jid());
        }
        if statuses(&answer).iter().any(|status| status == "201") {
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

/// The status codes of a room's presence.
fn statuses(presence: &Stanza) -> Vec<String> {
    let tree = presence.tree();
    let Some(x) = tree.child(MUC_USER, "x") else { return Vec::new() };
    let statuses = x.children().filter(|child| child.name == "status");
    statuses.filter_map(|status| status.attr("code").map(ToOwned::to_owned)).collect()
}
