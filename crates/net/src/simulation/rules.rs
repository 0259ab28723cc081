//! What must be true: of each account at any time, and of each stanza at the end.

use std::collections::{BTreeMap, HashMap};

use super::host::{End, Remains};
use super::ledger::{Book, Entry, LEAST, Life, MOST, Number};
use super::network::{Network, Place};
use super::speakers::Kind;
use crate::face::FaceState;
use crate::fate::{self, Fate};
use crate::holder::Account;
use api::local::Counts;

/// The account adds up, of each link and of all, and no more is held than may be.
pub(super) fn account(face: &FaceState) -> Result<(), String> {
    let adds_up = |counts: Counts| {
        let Counts { accepted, taken, returned, failed, in_flight } = counts;
        if accepted == taken + returned + failed + in_flight { Ok(()) } else { Err(format!("{counts:?} don't add up")) }
    };
    let fits = |held: usize, most: usize| {
        if held <= most.max(MOST) { Ok(()) } else { Err(format!("{held} bytes are held or more, and {most} may be")) }
    };
    let Account { total, links, held_bytes, .. } = face.holder.account();
    let limits = &face.settings.hold;
    adds_up(total)?;
    fits(held_bytes, limits.total_bytes)?;
    for (_, counts) in &links {
        adds_up(*counts)?;
        fits(usize::try_from(counts.in_flight).expect("few") * LEAST, limits.link_bytes)?;
    }
    let sum = |of: fn(&Counts) -> u64| links.iter().map(|(_, counts)| of(counts)).sum::<u64>();
    let of_links = [sum(|counts| counts.accepted), sum(|counts| counts.taken), sum(|counts| counts.in_flight)];
    let of_all = [total.accepted, total.taken, total.in_flight];
    if of_links == of_all { Ok(()) } else { Err(format!("{of_links:?} of links make {of_all:?} in all")) }
}

/// What a simulation was like, as far as it excuses anything.
pub(super) struct Circumstances<'a> {
    pub(super) network: &'a Network,
    pub(super) lives: Vec<Remains>,
    pub(super) edges: Vec<Place>,
    pub(super) gateways: Vec<Place>,
    /// Each domain's server.
    /// Where it is, how it is, whether it wants again what it may have had.
    pub(super) servers: BTreeMap<String, (Place, Kind, bool)>,
    /// Nothing was cut, frozen or killed.
    pub(super) peaceful: bool,
}

/// Everything that is wrong with what became of the stanzas.
pub(super) fn judge(book: &Book, circumstances: &Circumstances<'_>) -> Vec<String> {
    let mut wrong = book.wrong.clone();
    let mut fates: HashMap<Life, HashMap<u64, Fate>> = HashMap::new();
    for remains in &circumstances.lives {
        fates.insert(remains.life, remains.fates.clone());
    }
    let mut disordered = Disorder::default();
    for (number, entry) in book.entries.iter().enumerate() {
        let stream = &book.streams[entry.stream];
        let fate = fates.get(&stream.to).and_then(|fates| fates.get(&fate::hash(&number.to_string())));
        let end = circumstances.lives.iter().find(|remains| remains.life == stream.to).map(|remains| remains.end);
        let case = Case { entry, fate, from: stream.from, to: stream.to, end, circumstances };
        wrong.extend(case.faults().into_iter().map(|fault| format!("{number}: {fault}; {case:?}")));
        wrong.extend(disordered.look(number, entry, &case));
    }
    wrong
}

/// A stanza with all that is known of it.
struct Case<'a> {
    entry: &'a Entry,
    /// What whom it was given to has recorded.
    fate: Option<&'a Fate>,
    from: Place,
    to: Life,
    end: Option<End>,
    circumstances: &'a Circumstances<'a>,
}

impl std::fmt::Debug for Case<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}, given to {:?} ({:?}), {:?}", self.entry, self.to, self.end, self.fate)
    }
}

impl Case<'_> {
    fn addressee(&self) -> (Place, Kind, bool) {
        self.circumstances.servers[self.entry.pair.to.as_str()]
    }

    fn sender(&self) -> Kind {
        self.circumstances.servers[self.entry.pair.from.as_str()].1
    }

    /// Whether it is said again where it may have been delivered: because its addressee wants it so, or as it is the
    /// answer that somebody waits for.
    fn may_come_again(&self) -> bool {
        !self.circumstances.peaceful && (self.addressee().2 || self.entry.is_result)
    }

    /// Whom it left fedge by.
    fn exits(&self) -> &[Place] {
        let Circumstances { edges, gateways, .. } = self.circumstances;
        if edges.contains(&self.to.0) { gateways } else { edges }
    }

    /// Whether the last hop to the addressee was harmed so that, without acknowledgements, nobody can
    /// know what arrived.
    fn is_unknowable(&self) -> bool {
        let (place, kind, _) = self.addressee();
        let network = self.circumstances.network;
        let harmed = |exit: &Place| match kind {
            Kind::Counting => false,
            // Believed once it lets a first barrier go unanswered for too long.
            Kind::Dialback | Kind::Asked => network.was_frozen(*exit, place),
            Kind::Mute | Kind::Silent => network.is_harmed(*exit, place),
        };
        self.exits().iter().any(harmed)
    }

    fn faults(&self) -> Vec<&'static str> {
        let Case { entry, fate, end, .. } = self;
        let (delivered, returned) = (entry.delivered.len(), entry.returned);
        let peaceful = self.circumstances.peaceful;
        // A drain among breaks may end before the last errors are out.
        let lived = *end == Some(End::Not) || (peaceful && *end == Some(End::Drained));
        let way_back = lived && !self.circumstances.network.is_harmed(self.to.0, self.from);
        let mut faults = Vec::new();
        let mut fault = |is: bool, what| {
            if is {
                faults.push(what);
            }
        };
        fault(delivered > 1 && !self.may_come_again(), "it was delivered more than once");
        // An error that may have arrived before its stream broke is said again, as answers are.
        fault(returned > 1 && way_back, "it was returned more than once");
        fault(returned > 0 && entry.is_result, "a result was returned");
        fault(entry.disowned && delivered > 0, "it was delivered, and never acknowledged on a stream that ended well");
        fault(peaceful && returned > 0, "it was returned without need");
        fault(peaceful && delivered == 0 && !entry.disowned, "it wasn't delivered");
        match fate {
            None => {
                let counts = self.sender() == Kind::Counting;
                fault(entry.acknowledged && counts, "it was acknowledged, and never accepted");
                fault(delivered + returned > 0, "it came out without having been accepted");
            }
            Some(Fate::Accepted) => {
                fault(*end == Some(End::Not), "it has no outcome");
                fault(*end == Some(End::Drained) && peaceful, "a drain left it without an outcome");
                fault(
                    entry.acknowledged && self.sender() == Kind::Counting,
                    "it was acknowledged before it had an outcome",
                );
            }
            Some(Fate::Taken) => {
                fault(delivered == 0 && !self.is_unknowable(), "it is said to be taken, and was lost");
                fault(returned > 0, "it is said to be taken, and was returned");
            }
            Some(Fate::Returned(_)) => {
                fault(returned == 0 && way_back, "it is said to be returned, and its sender heard nothing");
            }
            Some(Fate::Failed(_)) => {
                fault(!entry.is_result, "it could have been returned");
                fault(peaceful, "it failed without need");
            }
        }
        faults
    }

    /// Whether it must keep its place also among those that came on other streams to the addressee.
    fn is_ordered_for_all(&self) -> bool {
        match self.addressee().1 {
            Kind::Counting => true,
            Kind::Dialback | Kind::Asked => !self.is_unknowable(),
            Kind::Mute | Kind::Silent => false,
        }
    }
}

/// The order in which stanzas came, of each pair on each stream of a sender.
#[derive(Default)]
struct Disorder {
    /// By the sender's stream, its pair, and where it matters the receiver's stream.
    last: HashMap<(usize, String, Option<usize>), (Number, usize)>,
}

impl Disorder {
    fn look(&mut self, number: Number, entry: &Entry, case: &Case<'_>) -> Option<String> {
        let &(stream, order) = entry.delivered.first()?;
        // What was given back as possibly delivered may come late, and what was said again overtakes itself.
        if case.may_come_again() {
            return None;
        }
        if matches!(case.fate, Some(Fate::Returned(_) | Fate::Failed(_))) {
            return None;
        }
        let among = (!case.is_ordered_for_all()).then_some(stream);
        let last = self.last.entry((entry.stream, entry.pair.to.to_string(), among)).or_insert((number, 0));
        let wrong = (last.1 > order).then(|| format!("{number} came before {}: {case:?}", last.0));
        if order > last.1 {
            *last = (number, order);
        }
        wrong
    }
}
