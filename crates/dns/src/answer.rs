//! The decision about one question: what the view answers itself, what it forwards, what it
//! refuses. No I/O.

use std::net::IpAddr;

use hickory_proto::op::Query;
use hickory_proto::rr::rdata::{A, AAAA, HINFO, SOA, SRV};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use xmpp::domain::{Domain, DomainError};

use crate::view::{Service, View};

/// What becomes of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The view owns the name and has records.
    Answer {
        /// The records asked for.
        answers: Vec<Record>,
        /// The addresses of their targets, as far as the view owns them.
        additionals: Vec<Record>,
    },
    /// The view owns the name, which has no records of this type. Holds the SOA record that says
    /// how long that is so (RFC 2308 §2.2).
    NoData(Record),
    /// There is no such name, nor anything below it. Holds the SOA record (RFC 2308 §2.1).
    NoName(Record),
    /// Not ours, and "everything" was asked for: one record says that nobody gets everything
    /// (RFC 8482 §4.2).
    Minimal(Record),
    /// Not ours: the site's resolvers know.
    Forward,
    /// Nothing that this server does for anybody.
    Refuse(Refusal),
}

/// Why a question is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Whoever asks is in none of the allowed networks.
    #[error("the client is in none of the networks that `clients` allows")]
    Client,
    /// CHAOS and other classes.
    #[error("only names of class IN are known here")]
    Class,
    /// Zone transfers and other types that are no records.
    #[error("no zone can be transferred from here, and nothing but records asked for")]
    Type,
    /// A cache must not be spied out, and nothing else could be done (RFC 8499: RD not set).
    #[error("the query forbids recursion, and the name isn't ours")]
    Recursion,
}

/// Decides about `question`.
pub fn answer(view: &View, question: &Query) -> Decision {
    let (name, wanted) = (question.name(), question.query_type());
    if question.query_class() != DNSClass::IN {
        return Decision::Refuse(Refusal::Class);
    }
    if is_no_record(wanted) {
        return Decision::Refuse(Refusal::Type);
    }
    let owned = match owned(view, name) {
        Some(owned) => owned,
        None if wanted == RecordType::ANY => {
            let nothing = HINFO::new("RFC8482".to_owned(), String::new());
            return Decision::Minimal(Record::from_rdata(name.clone(), view.ttl(), RData::HINFO(nothing)));
        }
        None => return Decision::Forward,
    };
    match owned {
        Owned::Service(targets) if matches!(wanted, RecordType::SRV | RecordType::ANY) && !targets.is_empty() => {
            let answers = targets.iter().map(|srv| record(view, name, RData::SRV(srv.clone()))).collect();
            let additionals = targets.iter().flat_map(|srv| addresses(view, &srv.target, RecordType::ANY)).collect();
            Decision::Answer { answers, additionals }
        }
        Owned::Service(_) => Decision::NoData(soa(view, &name.base_name())),
        Owned::NoService => Decision::NoName(soa(view, &name.base_name())),
        // Both are the top of a zone, as the SOA records in negative answers say.
        Owned::Parent | Owned::Host if wanted == RecordType::SOA => {
            Decision::Answer { answers: vec![soa(view, name)], additionals: Vec::new() }
        }
        Owned::Parent => Decision::NoData(soa(view, name)),
        Owned::Host => {
            let mut answers = addresses(view, name, wanted);
            if let (RecordType::ANY, Some(first)) = (wanted, answers.first().map(Record::record_type)) {
                answers.retain(|record| record.record_type() == first);
            }
            if answers.is_empty() {
                return Decision::NoData(soa(view, name));
            }
            Decision::Answer { answers, additionals: Vec::new() }
        }
    }
}

/// What the view has at a name of its own.
enum Owned<'a> {
    /// A service of a domain: its targets, none when it isn't offered.
    Service(&'a [SRV]),
    /// A service of what can be no domain.
    NoService,
    /// `_tcp.D`: has no records, but names with records below it, so it exists (RFC 8020).
    Parent,
    /// A gateway, or a next hop that was given by its address.
    Host,
}

fn owned<'a>(view: &'a View, name: &Name) -> Option<Owned<'a>> {
    if view.addresses(name).is_some() {
        return Some(Owned::Host);
    }
    let mut labels = name.iter();
    let is = |label: Option<&[u8]>, word: &str| label.is_some_and(|l| l.eq_ignore_ascii_case(word.as_bytes()));
    let first = labels.next();
    if is(first, "_tcp") {
        return matches!(asked(labels), Asked::Domain(_) | Asked::Refused).then_some(Owned::Parent);
    }
    let service = if is(first, "_xmpp-server") {
        Service::StartTls
    } else if is(first, "_xmpps-server") {
        Service::DirectTls
    } else {
        return None;
    };
    if !is(labels.next(), "_tcp") {
        return None;
    }
    Some(match asked(labels) {
        Asked::Domain(domain) => Owned::Service(view.targets(service, &domain)),
        // Were there nothing, an internal server would dial the name's own address, past the
        // gateways (RFC 6120 §3.2.2). They refuse the stream, and say why.
        Asked::Refused => Owned::Service(view.gateways(service)),
        Asked::Nothing => Owned::NoService,
    })
}

/// Whose service is asked for.
enum Asked {
    /// A domain.
    Domain(Domain),
    /// A host name that fedge doesn't federate with, such as one that IDNA2008 and nameprep read
    /// differently.
    Refused,
    /// The root, an address, or what no host is called: no server dials it.
    Nothing,
}

fn asked<'a>(labels: impl Iterator<Item = &'a [u8]>) -> Asked {
    let mut text = String::new();
    for label in labels {
        if !label.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)) {
            return Asked::Nothing;
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.extend(label.iter().map(|byte| char::from(*byte)));
    }
    match Domain::parse(&text) {
        Ok(domain) => Asked::Domain(domain),
        Err(DomainError::Empty | DomainError::IpLiteral(_)) => Asked::Nothing,
        Err(_) => Asked::Refused,
    }
}

/// Types that stand for an operation instead of records (RFC 6895 §3.1), but for ANY.
fn is_no_record(wanted: RecordType) -> bool {
    let number = u16::from(wanted);
    matches!(wanted, RecordType::ZERO | RecordType::OPT) || ((128..256).contains(&number) && wanted != RecordType::ANY)
}

fn addresses(view: &View, name: &Name, wanted: RecordType) -> Vec<Record> {
    let all = view.addresses(name).unwrap_or_default().iter().map(|address| match address {
        IpAddr::V4(v4) => RData::A(A(*v4)),
        IpAddr::V6(v6) => RData::AAAA(AAAA(*v6)),
    });
    let wanted = all.filter(|data| wanted == RecordType::ANY || wanted == data.record_type());
    wanted.map(|data| record(view, name, data)).collect()
}

fn soa(view: &View, zone: &Name) -> Record {
    let primary = view.primary();
    let mailbox = primary.prepend_label("hostmaster").expect("the configuration left room for a longer label");
    let soa = SOA::new(primary.clone(), mailbox, 1, 3600, 600, 86400, view.ttl());
    record(view, zone, RData::SOA(soa))
}

fn record(view: &View, name: &Name, data: RData) -> Record {
    Record::from_rdata(name.clone(), view.ttl(), data)
}

#[cfg(test)]
mod tests;
