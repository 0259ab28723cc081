//! What the desk of an edge server or a gateway tells on its page.

use std::fmt;
use std::time::SystemTime;

use api::local::{Counts, ServiceState};
use net::holder;
use net::streams::{Direction, Proof};
use topology::face::Face;

use super::catalogue::{self, Account, Metric};
use super::page::{Page, Sample, Source, left, signed};
use crate::desk::Desk;

impl Source for Desk {
    fn tell(&self, page: &mut Page<'_>) -> fmt::Result {
        let desk = self;
        let mut tell = |metric: &Metric, samples: Vec<Sample>| page.tell(metric, &samples);
        let (program, version) = desk.program;
        tell(&catalogue::BUILD, vec![(vec![program.to_owned(), version.to_owned()], 1)])?;
        tell(&catalogue::UP, vec![(Vec::new(), signed(desk.began.elapsed().as_secs()))])?;
        tell(&catalogue::CONCERNS, vec![(Vec::new(), signed(desk.office.concerns().len() as u64))])?;
        // One look at each face, so that all that is told of it adds up.
        let accounts = desk.faces.iter().map(|(face, _)| (face.face.to_string(), face.holder.account()));
        let accounts: Vec<(String, holder::Account)> = accounts.collect();
        let faces = accounts.iter().map(|(face, account)| (vec![face.clone()], account.total)).collect::<Vec<_>>();
        account(&mut tell, &catalogue::STANZAS, &faces)?;
        let links = accounts.iter().flat_map(|(face, account)| {
            account
                .links
                .iter()
                .map(|(pair, counts)| (vec![face.clone(), pair.from.to_string(), pair.to.to_string()], *counts))
        });
        account(&mut tell, &catalogue::LINK_STANZAS, &links.collect::<Vec<_>>())?;
        let of_faces = |value: fn(&holder::Account) -> usize| {
            accounts.iter().map(|(face, account)| (vec![face.clone()], signed(value(account) as u64))).collect()
        };
        let errors =
            desk.faces.iter().map(|(face, _)| (vec![face.face.to_string()], signed(face.holder.errors() as u64)));
        tell(&catalogue::ERRORS, errors.collect())?;
        tell(&catalogue::HELD, of_faces(|account| account.held_bytes))?;
        tell(&catalogue::HELD_LIMIT, of_faces(|account| account.limit_bytes))?;
        tell(&catalogue::STREAMS, streams(desk))?;
        let service = desk.office.service();
        let running = service.map(|service| (Vec::new(), i64::from(service.state == ServiceState::Running)));
        tell(&catalogue::SERVICE, running.into_iter().collect())?;
        let members = desk.office.members();
        let of_members = |value: fn(&net::trunk::members::Standing) -> bool| {
            members.iter().map(|member| (vec![member.name.clone()], i64::from(value(member)))).collect()
        };
        tell(&catalogue::CONNECTED, of_members(|member| member.connected))?;
        // Only where the route is decided does anybody know.
        let routed = desk.office.route().map(|_| of_members(|member| member.routed));
        tell(&catalogue::ROUTED, routed.unwrap_or_default())?;
        let now = SystemTime::now();
        let certificates = desk.office.certificates().into_iter();
        let certificates = certificates.map(|own| (vec![own.used_for.to_owned(), own.name], left(own.not_after, now)));
        tell(&catalogue::CERTIFICATE, certificates.collect())
    }
}

/// Of each face, also those of which there is none.
fn streams(desk: &Desk) -> Vec<Sample> {
    let counted = desk.streams.counted();
    // Who is dialed has proven who it is before a stream counts as open.
    const TOLD: [(Direction, Proof); 3] = [
        (Direction::Accepted, Proof::Unproven),
        (Direction::Accepted, Proof::Proven),
        (Direction::Dialed, Proof::Proven),
    ];
    let of_face = |face: Face| {
        TOLD.map(|(direction, proof)| {
            let count = counted.get(&(face, direction, proof)).copied().unwrap_or_default();
            (vec![face.to_string(), direction.to_string(), proof.to_string()], signed(count))
        })
    };
    desk.faces.iter().flat_map(|(face, _)| of_face(face.face)).collect()
}

fn account(
    tell: &mut impl FnMut(&Metric, Vec<Sample>) -> fmt::Result,
    metrics: &Account,
    counted: &[(Vec<String>, Counts)],
) -> fmt::Result {
    let of = |value: fn(&Counts) -> u64| {
        counted.iter().map(|(labels, counts)| (labels.clone(), signed(value(counts)))).collect()
    };
    tell(&metrics.accepted, of(|counts| counts.accepted))?;
    tell(&metrics.taken, of(|counts| counts.taken))?;
    tell(&metrics.returned, of(|counts| counts.returned))?;
    tell(&metrics.failed, of(|counts| counts.failed))?;
    tell(&metrics.in_flight, of(|counts| counts.in_flight))
}
