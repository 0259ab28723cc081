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

/// What came, and what of it is settled.
#[derive(Debug, Default)]
pub(super) struct Handled {
    received: u64,
    /// All up to here are settled.
    settled: u64,
    /// Settled beyond that.
    beyond: BTreeSet<u64>,
    /// How many had come when the peer enabled management, from which on it counts; nothing while it doesn't.
    counted_from: Option<u64>,
    told: u64,
}

impl Handled {
    /// A stanza came; its number.
    pub(super) fn receive(&mut self) -> u64 {
        self.received += 1;
        self.received
    }

    /// Whether the peer counts, and keeps what isn't acknowledged.
    pub(super) fn is_counted(&self) -> bool {
        self.counted_from.is_some()
    }

    /// How many came.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Whether nothing of what came is open.
    pub(super) fn is_settled(&self) -> bool {
        self.open() == 0
    }

    /// All up to this one are settled.
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    /// How many of those that came aren't settled.
    pub(super) fn open(&self) -> u64 {
        self.received - self.settled
    }

    /// Whatever came is to be told as settled, with the last words that are said: who keeps it gets it to its outcome.
    pub(super) fn vouch(&mut self) {
        self.settled = self.received;
    }

    fn settle(&mut self, number: u64) {
        if number <= self.settled {
            return;
        }
        // Nearly all are settled in their order.
        if number == self.settled + 1 {
            self.settled = number;
        } else {
            self.beyond.insert(number);
        }
        while !self.beyond.is_empty() && self.beyond.remove(&(self.settled + 1)) {
            self.settled += 1;
        }
    }

    fn is_full(&self) -> bool {
        self.is_counted() && self.open() >= WINDOW
    }

    /// The count, modulo 2^32 (XEP-0198 §4).
    fn tell(&mut self) -> Bytes {
        self.told = self.settled;
        let counted = self.settled.saturating_sub(self.counted_from.unwrap_or_default());
        let low = counted & u64::from(u32::MAX);
        format!("<a xmlns='{}' h='{low}'/>", words::STREAM_MANAGEMENT).into()
    }

    /// The count, if it is worth telling unasked.
    fn news(&mut self) -> Option<Bytes> {
        let behind = self.settled.saturating_sub(self.told);
        let worth = behind >= UNASKED || (behind > 0 && self.is_settled());
        (self.is_counted() && worth).then(|| self.tell())
    }

    /// The count, if the peer doesn't know it yet.
    pub(super) fn last(&mut self) -> Option<Bytes> {
        (self.is_counted() && self.settled > self.told).then(|| self.tell())
    }
}

impl Accepted {
    /// `<enable/>`: from here on, stanzas are counted.
    pub(super) fn enable(&mut self) {
        if self.proven.is_empty() || self.handled.is_counted() {
            let text = format!(
                "<failed xmlns='{}'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
                words::STREAM_MANAGEMENT
            );
            return self.wire.send(text.into());
        }
        self.handled.counted_from = Some(self.handled.received);
        self.handled.told = self.handled.received;
        self.wire.send(words::empty(words::STREAM_MANAGEMENT, "enabled"));
    }

    /// `<r/>`: answered at once, with what is settled now.
    pub(super) fn asked_for_count(&mut self) {
        if self.handled.is_counted() {
            let told = self.handled.tell();
            self.wire.send(told);
        }
    }

    /// Whether the peer counts its stanzas, and keeps those that aren't acknowledged.
    pub fn counts(&self) -> bool {
        self.handled.is_counted()
    }

    /// The count once more, for a peer that keeps what it isn't told of: its system's acknowledgement shows that the
    /// stream is still there.
    pub fn recount(&mut self) -> Option<Bytes> {
        (self.handled.is_counted() && !self.wire.is_closing()).then(|| self.handled.tell())
    }

    /// Whether so much is unsettled that nothing more may be read now.
    pub(super) fn is_full(&self) -> bool {
        self.handled.is_full() && !self.wire.is_closing()
    }

    /// The stanza with this receipt was taken further on, or returned.
    pub fn settled(&mut self, receipt: u64) {
        self.handled.settle(receipt);
        if let Some(told) = self.handled.news().filter(|_| !self.wire.is_closing()) {
            self.wire.send(told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted() -> Handled {
        Handled { counted_from: Some(0), ..Handled::default() }
    }

    #[test]
    fn only_what_is_settled_without_a_gap_is_told() {
        let mut handled = counted();
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
    fn what_came_before_it_was_enabled_is_not_counted() {
        let mut handled = Handled { received: 2, told: 2, counted_from: Some(2), ..Handled::default() };
        assert!(handled.tell().ends_with(b"h='0'/>"));
        assert_eq!(handled.receive(), 3);
        handled.settle(1);
        assert!(handled.tell().ends_with(b"h='0'/>"));
        (2..=3).for_each(|number| handled.settle(number));
        assert!(handled.news().is_some_and(|told| told.ends_with(b"h='1'/>")));
    }

    #[test]
    fn a_peer_is_not_read_when_too_much_is_open() {
        let mut handled = counted();
        (0..WINDOW).for_each(|_| {
            handled.receive();
        });
        assert!(handled.is_full());
        (1..=UNASKED).for_each(|number| handled.settle(number));
        assert!(!handled.is_full());
        assert!(handled.news().is_some(), "so that it can let go of them");
    }
}
