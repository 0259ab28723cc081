//! What a peer that counts says after our end, which can't be acknowledged any more: the last of it the peer returns
//! to its senders by itself, and what it doesn't keep for that is passed on.
//!
//! A peer that says more than we can take has much under way when the time to drain is over. It keeps some of it,
//! and would drop the rest without a word to anybody.

use std::collections::VecDeque;

use crate::stanza::Stanza;

/// Of the stanzas that weren't acknowledged, a peer returns so many when its stream ends: the last ones.
// COMPAT(Prosody 0.12): `smacks_max_queue_size`, 500 by default.
const RETURNED: usize = 500;
/// More bytes aren't kept. What is passed on because of that may be returned, too, but isn't lost.
const BYTES: usize = 4 * 1024 * 1024;

/// The last stanzas that came after our end.
#[derive(Debug, Default)]
pub(super) struct Late {
    kept: VecDeque<Stanza>,
    bytes: usize,
}

impl Late {
    /// One came.
    pub(super) fn keep(&mut self, stanza: Stanza) {
        self.bytes += stanza.bytes().len();
        self.kept.push_back(stanza);
    }

    /// The oldest, if the peer doesn't return it.
    pub(super) fn excess(&mut self) -> Option<Stanza> {
        if self.kept.len() <= RETURNED && self.bytes <= BYTES {
            return None;
        }
        let stanza = self.kept.pop_front()?;
        self.bytes -= stanza.bytes().len();
        Some(stanza)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(bytes: usize) -> Stanza {
        let body = "x".repeat(bytes);
        let text = format!("<message from='a@contoso.test' to='b@fabrikam.test'><body>{body}</body></message>");
        Stanza::parse(text.as_bytes()).expect("a stanza")
    }

    #[test]
    fn no_more_is_kept_than_the_peer_returns_nor_than_there_is_room_for() {
        let mut late = Late::default();
        (0..RETURNED).for_each(|_| late.keep(stanza(10)));
        assert!(late.excess().is_none());
        late.keep(stanza(20));
        assert!(late.excess().is_some_and(|oldest| oldest.bytes() == stanza(10).bytes()));
        assert!(late.excess().is_none());
        late.keep(stanza(BYTES));
        assert_eq!(std::iter::from_fn(|| late.excess()).count(), RETURNED + 1, "it is too large itself");
        assert_eq!((late.kept.len(), late.bytes), (0, 0));
    }
}
