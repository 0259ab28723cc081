//! Where in the bytes of a connection the stanzas lie that aren't taken yet, batch by batch: so that it is
//! known, when it breaks, which of them never left.

use std::collections::VecDeque;

/// The batches of which something isn't taken yet.
#[derive(Debug, Default)]
pub(super) struct Batches {
    batches: VecDeque<Batch>,
}

#[derive(Debug)]
struct Batch {
    stanzas: usize,
    /// As many bytes were written on the connection before its first.
    begins: u64,
    /// As many after its last, once it is out.
    ends: Option<u64>,
}

impl Batches {
    /// So many stanzas are written now, after so many bytes of the connection.
    pub(super) fn wrote(&mut self, stanzas: usize, begins: u64) {
        self.batches.push_back(Batch { stanzas, begins, ends: None });
    }

    /// The last batch is out; so many bytes of the connection are.
    pub(super) fn out(&mut self, written: u64) {
        if let Some(last) = self.batches.back_mut() {
            last.ends = Some(written);
        }
    }

    /// How many of the first have arrived, where the other end's kernel acknowledged so many bytes.
    pub(super) fn arrived(&self, acknowledged: u64) -> usize {
        let arrived = |batch: &&Batch| batch.ends.is_some_and(|ends| ends <= acknowledged);
        self.batches.iter().take_while(arrived).map(|batch| batch.stanzas).sum()
    }

    /// The first so many have their outcome.
    pub(super) fn settled(&mut self, mut stanzas: usize) {
        while let Some(first) = self.batches.front_mut()
            && stanzas > 0
        {
            let gone = first.stanzas.min(stanzas);
            first.stanzas -= gone;
            stanzas -= gone;
            if first.stanzas == 0 {
                self.batches.pop_front();
            }
        }
    }

    /// How many of the last surely never left, where only `sent` bytes of the connection did.
    pub(super) fn never_left(&self, sent: u64) -> usize {
        self.batches.iter().filter(|batch| batch.begins >= sent).map(|batch| batch.stanzas).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_batches_are_sure_not_to_have_left() {
        let mut batches = Batches::default();
        batches.wrote(3, 0);
        batches.wrote(2, 1000);
        batches.wrote(4, 1500);
        assert_eq!(batches.never_left(2000), 0);
        assert_eq!(batches.never_left(1500), 4);
        assert_eq!(batches.never_left(1499), 4, "a byte of the second did leave");
        assert_eq!(batches.never_left(1000), 6);
        assert_eq!(batches.never_left(0), 9);
    }

    #[test]
    fn only_whole_batches_have_arrived() {
        let mut batches = Batches::default();
        batches.wrote(3, 0);
        batches.out(1000);
        batches.wrote(2, 1000);
        assert_eq!(batches.arrived(5000), 3, "the other isn't out");
        batches.out(1500);
        assert_eq!([999, 1000, 1499, 1500].map(|acknowledged| batches.arrived(acknowledged)), [0, 3, 3, 5]);
    }

    #[test]
    fn what_has_its_outcome_is_forgotten() {
        let mut batches = Batches::default();
        batches.wrote(3, 0);
        batches.wrote(2, 1000);
        batches.settled(4);
        assert_eq!(batches.never_left(0), 1);
        batches.settled(9);
        assert_eq!(batches.never_left(0), 0);
    }
}
