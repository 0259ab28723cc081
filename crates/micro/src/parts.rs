//! Parts of the way, each alone: what reads a stanza, who decides about it, what keeps it, what carries it across.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context as _, anyhow, bail, ensure};
use bytes::BytesMut;
use net::hold::{Action, Hold, Limits, Receipt};
use net::trunk::wire::{Decoder, Encoder, Frame};
use net::trunk::{Crossing, PeerState};
use topology::face::Face;
use topology::partner::{Local, Partner, Pattern};
use topology::policy::Policy;
use xmpp::domain::{Domain, DomainPair};
use xmpp::stanza::Stanza;
use xmpp::stream::{Accepted, Answer, Need, Question, Settings, Step, Terms};
use xmpp::xml::{self, Scanner};

use crate::stanzas::{FROM, Stanzas, TO};
use crate::{Left, Work};

/// What is read at once, as from a socket.
const READ: usize = 16 * 1024;
/// Stanzas that a peer takes together.
const BATCH: usize = 64;
/// What each stanza of the calibration allocates.
const CALIBRATION: usize = 3;
/// Partners in the policy that is asked, and in one that is asked to show that it costs no more.
const PARTNERS: usize = 1000;
const MANY_PARTNERS: usize = 10_000;

/// How a server begins.
pub(crate) fn header(from: &str, to: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
         xmlns:db='jabber:server:dialback' from='{from}' to='{to}' xml:lang='en' version='1.0'>"
    )
}

pub(crate) fn domain(text: &str) -> anyhow::Result<Domain> {
    Domain::parse(text).map_err(|fault| anyhow!("`{text}`: {fault}"))
}

pub(crate) fn pair() -> anyhow::Result<DomainPair> {
    Ok(DomainPair::new(domain(FROM)?, domain(TO)?))
}

/// TLS and a certificate.
pub(crate) const TERMS: Terms = Terms { tls: Need::Required, external: Need::Required, dialback: false };

/// Exactly three allocations for each stanza, to see whether they are counted right.
pub(crate) fn calibration(stanzas: Stanzas) -> anyhow::Result<Work> {
    Ok(Box::new(move || {
        for bytes in stanzas.each() {
            for part in bytes.chunks(bytes.len().div_ceil(CALIBRATION)) {
                black_box(Box::new(part.len()));
            }
        }
        Ok(Box::new(stanzas) as Left)
    }))
}

/// From bytes to stanzas.
pub(crate) fn scanner(stanzas: Stanzas) -> anyhow::Result<Work> {
    let mut scanner = Scanner::new(xml::Limits::default());
    let mut buffer = BytesMut::from(header(FROM, TO).as_bytes());
    scanner.next(&mut buffer)?.context("a header")?;
    Ok(Box::new(move || {
        let mut seen = 0;
        for chunk in stanzas.all().chunks(READ) {
            buffer.extend_from_slice(chunk);
            while let Some(frame) = scanner.next(&mut buffer)? {
                let xml::Frame::Element(element) = frame else { bail!("a stanza was expected") };
                seen += usize::from(black_box(Stanza::of(element)).is_ok());
            }
        }
        ensure!(seen == stanzas.len(), "{seen} of {} stanzas were read", stanzas.len());
        Ok(Box::new((scanner, stanzas)) as Left)
    }))
}

/// From bytes to stanzas that may pass, by the machine of an accepted stream; each has its outcome at once.
pub(crate) fn accepted(stanzas: Stanzas) -> anyhow::Result<Work> {
    let now = Instant::now();
    let mut machine = Accepted::new(now, "micro".to_owned(), true, true, Settings::default());
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
    let enable = "<enable xmlns='urn:xmpp:sm:3'/>";
    for said in [header(FROM, TO), auth.to_owned(), header(FROM, TO), enable.to_owned()] {
        machine.input().extend_from_slice(said.as_bytes());
        while let Some(step) = machine.poll(now) {
            if let Step::Ask(question) = step {
                machine.answer(now, agree(question)?);
            }
        }
    }
    ensure!(machine.counts(), "the stream didn't come up");
    Ok(Box::new(move || {
        let mut seen = 0;
        for chunk in stanzas.all().chunks(READ) {
            machine.input().extend_from_slice(chunk);
            while let Some(step) = machine.poll(now) {
                if let Step::Stanza { receipt, stanza, .. } = step {
                    seen += 1;
                    machine.settled(receipt);
                    drop(black_box(stanza));
                }
            }
        }
        ensure!(seen == stanzas.len(), "{seen} of {} stanzas may pass", stanzas.len());
        Ok(Box::new((machine, stanzas)) as Left)
    }))
}

fn agree(question: Question) -> anyhow::Result<Answer> {
    Ok(match question {
        Question::Arrive { .. } => Answer::Arrive(Ok(TERMS)),
        Question::Admit { pair, .. } => Answer::Admit(pair, Ok(())),
        Question::Judge { .. } => Answer::Judged(Ok(())),
        other => bail!("nobody should ask {other:?}"),
    })
}

/// Who may speak to whom, among a thousand partners: asked once for each pair on a stream, here for each stanza.
pub(crate) fn policy(stanzas: Stanzas) -> anyhow::Result<Work> {
    policy_of(PARTNERS, stanzas)
}

/// The same among ten times as many.
pub(crate) fn large_policy(stanzas: Stanzas) -> anyhow::Result<Work> {
    policy_of(MANY_PARTNERS, stanzas)
}

fn policy_of(partners: usize, stanzas: Stanzas) -> anyhow::Result<Work> {
    let numbers = 0..partners;
    let partner = |name: String| {
        let pattern = Some(Pattern::exactly(domain(&name)?));
        anyhow::Ok(Partner { pattern, next_hop: None, terms: TERMS, resend: false })
    };
    let partners: Vec<_> =
        numbers.clone().map(|number| partner(format!("partner{number}.test"))).collect::<Result<_, _>>()?;
    let local = Local { pattern: Pattern::exactly(domain(FROM)?), next_hop: None, terms: TERMS, resend: false };
    let policy = Policy::new(vec![local], partners, None);
    let pairs: Vec<_> = numbers
        .map(|number| Ok(DomainPair::new(domain(&format!("partner{number}.test"))?, domain(FROM)?)))
        .collect::<anyhow::Result<_>>()?;
    Ok(Box::new(move || {
        for pair in pairs.iter().cycle().take(stanzas.len()) {
            black_box(policy.admit_on(Face::External, black_box(pair))?);
        }
        Ok(Box::new((policy, pairs, stanzas)) as Left)
    }))
}

/// What is kept of a stanza until its outcome is known, and the account of it.
pub(crate) fn hold(stanzas: Stanzas) -> anyhow::Result<Work> {
    const PEER: u32 = 0;
    let (pair, now) = (pair()?, Instant::now());
    let parsed = parsed(&stanzas)?;
    let mut hold = Hold::new(Limits::default());
    hold.state(PEER, PeerState::Up);
    while hold.poll().is_some() {}
    Ok(Box::new(move || {
        let mut settled = 0;
        for batch in parsed.chunks(BATCH) {
            let mut last = 0;
            for (number, stanza) in (1..).zip(batch) {
                let receipt = Receipt { stream: 1, number };
                hold.accept(now, &pair, stanza, Some(receipt)).map_err(|_| anyhow!("there is no room"))?;
                while let Some(action) = hold.poll() {
                    if let Action::Send(_, Crossing::Stanza { number, .. }) = action {
                        last = number;
                    }
                }
            }
            hold.heard(PEER, Crossing::Taken { pair: pair.clone(), up_to: last });
            while let Some(action) = hold.poll() {
                settled += usize::from(matches!(action, Action::Settled(_)));
            }
        }
        ensure!(settled == parsed.len(), "{settled} of {} stanzas are settled", parsed.len());
        Ok(Box::new((hold, parsed, stanzas)) as Left)
    }))
}

/// Into the trunk's frames and out of them again.
pub(crate) fn trunk(stanzas: Stanzas) -> anyhow::Result<Work> {
    let (pair, parsed) = (pair()?, parsed(&stanzas)?);
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    Ok(Box::new(move || {
        let (mut bytes, mut seen) = (BytesMut::new(), 0);
        for (at, batch) in parsed.chunks(BATCH).enumerate() {
            for (number, stanza) in ((at * BATCH) as u64 + 1..).zip(batch) {
                let crossing = Crossing::Stanza { pair: pair.clone(), number, settled: 0, stanza: stanza.clone() };
                encoder.encode(&Frame::Crossing(crossing), &mut bytes);
            }
            while let Some(frame) = decoder.decode(&mut bytes)? {
                seen += usize::from(matches!(black_box(frame), Frame::Crossing(Crossing::Stanza { .. })));
            }
        }
        ensure!(seen == parsed.len(), "{seen} of {} stanzas came across", parsed.len());
        Ok(Box::new((encoder, decoder, parsed, stanzas)) as Left)
    }))
}

fn parsed(stanzas: &Stanzas) -> anyhow::Result<Vec<Stanza>> {
    stanzas.each().map(|bytes| Ok(Stanza::parse(bytes)?)).collect()
}
