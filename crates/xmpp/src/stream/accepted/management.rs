//! Stream management on an accepted stream (XEP-0198): the peer learns which of its stanzas are settled,
//! taken further on or returned, and keeps the rest until then. No resumption.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::*;

/// Stanzas that may be unsettled before no more are read.
// COMPAT(Prosody 0.12): it keeps no more than 500 that aren't acknowledged.
const WINDOW: u64 = 400;
/// Settled stanzas that are told unasked, while others are open.
const UNASKED: u64 = 50;

/// What came since management was enabled, and what of it is settled.
#[derive(Debug, Default)]
pub(super) struct Handled {
    received: u64,
    /// All up to here are settled.
    settled: u64,
    /// Settled beyond that.
    beyond: BTreeSet<u64>,
    told: u64,
}

impl Handled {
    /// A stanza came; its number.
    fn receive(&mut self) -> u64 {
        self.received += 1;
        self.received
    }

    fn settle(&mut self, number: u64) {
        self.beyond.insert(number);
        while self.beyond.remove(&(self.settled + 1)) {
            self.settled += 1;
        }
    }

    fn is_full(&self) -> bool {
        self.received - self.settled >= WINDOW
    }

    /// The count, modulo 2^32 (XEP-0198 §4).
    fn tell(&mut self) -> Bytes {
        self.told = self.settled;
        let low = self.settled & u64::from(u32::MAX);
        format!("<a xmlns='{}' h='{low}'/>", words::STREAM_MANAGEMENT).into()
    }

    /// The count, if it is worth telling unasked.
    fn news(&mut self) -> Option<Bytes> {
        let behind = self.settled - self.told;
        (behind >= UNASKED || (behind > 0 && self.settled == self.received)).then(|| self.tell())
    }
}

impl Accepted {
    /// `<enable/>`: from here on, stanzas are counted.
    pub(super) fn enable(&mut self) {
        if self.proven.is_empty() || self.handled.is_some() {
            let text = format!(
                "<failed xmlns='{}'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
                words::STREAM_MANAGEMENT
            );
            return self.wire.send(text.into());
        }
        self.handled = Some(Handled::default());
        self.wire.send(words::empty(words::STREAM_MANAGEMENT, "enabled"));
    }

    /// `<r/>`: answered at once, with what is settled now.
    pub(super) fn asked_for_count(&mut self) {
        if let Some(handled) = &mut self.handled {
            let told = handled.tell();
            self.wire.send(told);
        }
    }

    /// A stanza came; its number, if they are counted.
    pub(super) fn receipt(&mut self) -> Option<u64> {
        self.handled.as_mut().map(Handled::receive)
    }

    /// Whether so much is unsettled that nothing more may be read now.
    pub(super) fn is_full(&self) -> bool {
        self.handled.as_ref().is_some_and(Handled::is_full)
    }

    /// Whether something that the peer wants to know of isn't settled yet.
    pub fn is_unsettled(&self) -> bool {
        self.handled.as_ref().is_some_and(|handled| handled.settled < handled.received)
    }

    /// The stanza with this receipt was taken further on, or returned.
    pub fn settled(&mut self, receipt: u64) {
        let Some(handled) = &mut self.handled else { return };
        handled.settle(receipt);
        if let Some(told) = handled.news().filter(|_| !self.wire.is_closing()) {
            self.wire.send(told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_settled_without_a_gap_is_told() {
        let mut handled = Handled::default();
        for number in 1..=3 {
            assert_eq!(handled.receive(), number);
        }
        handled.settle(2);
        assert!(handled.news().is_none());
        assert!(handled.tell().ends_with(b"h='0'/>"));
        handled.settle(1);
        assert!(handled.tell().ends_with(b"h='2'/>"));
        handled.settle(3);
        assert!(handled.news().is_some_and(|told| told.ends_with(b"h='3'/>")), "all of it, so unasked");
        assert!(handled.news().is_none(), "once");
    }

    #[test]
    fn a_peer_is_not_read_when_too_much_is_open() {
        let mut handled = Handled::default();
        (0..WINDOW).for_each(|_| {
            handled.receive();
        });
        assert!(handled.is_full());
        (1..=UNASKED).for_each(|number| handled.settle(number));
        assert!(!handled.is_full());
        assert!(handled.news().is_some(), "so that it can let go of them");
    }
}
