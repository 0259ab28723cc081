//! What may be sent now of a link, and to whom.

use std::collections::VecDeque;

use xmpp::domain::DomainPair;

use super::link::{Link, Phase};
use super::roll::Roll;
use super::{Action, Limits};
use crate::fate::{Fate, Named};
use crate::trunk::Crossing;

/// What all links of a hold are sent by.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) limits: Limits,
    pub(super) roll: Roll,
    /// One count for all links, so that a link that was forgotten and comes anew doesn't begin again.
    last_number: u64,
    /// How many were to be remembered.
    remembered: u64,
    pub(super) actions: VecDeque<Action>,
}

impl Sending {
    pub(super) fn new(limits: Limits) -> Sending {
        Sending { limits, roll: Roll::default(), last_number: 0, remembered: 0, actions: VecDeque::new() }
    }

    /// Has a stanza remembered; gives the number by which it is.
    pub(super) fn remember(&mut self, pair: &DomainPair, named: Named, fate: Fate) -> u64 {
        self.actions.push_back(Action::Remember(pair.clone(), named, fate));
        self.remembered += 1;
        self.remembered - 1
    }

    /// Sends what may be sent now.
    pub(super) fn pump(&mut self, pair: &DomainPair, link: &mut Link) {
        let chosen = self.roll.choose(pair, link);
        let has_left = match link.phase {
            Phase::Sending => false,
            Phase::Settling { .. } => true,
            // Its answer is lost with its connection.
            Phase::Recalled { .. } => link.peer.is_some_and(|peer| self.roll.is_away(peer)),
        };
        if has_left && link.nothing_in_flight() {
            link.phase = Phase::Sending;
            link.peer = None;
        }
        let Some(chosen) = chosen else { return };
        // One that is there is asked also when it owes nothing: only it knows whether the next server may still be reading.
        if let Some(peer) = link.peer.filter(|peer| *peer != chosen)
            && (!link.nothing_in_flight() || self.roll.is_there(peer))
        {
            let give_up = !link.nothing_in_flight() && link.ways.give_up(peer);
            if !link.phase.is_told(give_up) {
                link.phase = link.phase.recall(give_up);
                let pair = pair.clone();
                self.actions.push_back(Action::Send(peer, Crossing::Recall { pair, give_up }));
            }
            return;
        }
        if link.phase != Phase::Sending {
            return;
        }
        link.peer = Some(chosen);
        link.ways.given(chosen);
        while let Some(stanza) = link.send_next(&self.limits, self.last_number + 1) {
            self.last_number += 1;
            let (pair, number, settled) = (pair.clone(), self.last_number, link.settled());
            self.actions.push_back(Action::Send(chosen, Crossing::Stanza { pair, number, settled, stanza }));
        }
    }
}
