//! The page: what the desk knows at one moment, in the OpenMetrics text format.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use api::local::Counts;
use net::holder;
use net::streams::{Direction, Proof};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;
use topology::face::Face;

use super::catalogue::{self, Account, Kind, Metric};
use crate::desk::Desk;

/// How the page is to be read.
pub(super) const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What pages are made of.
pub(super) struct Pages(Registry);

impl Pages {
    pub(super) fn new(desk: Arc<Desk>) -> Pages {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Told(desk)));
        Pages(registry)
    }

    /// The page as of now.
    pub(super) fn write(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.0)?;
        Ok(page)
    }
}

/// The desk, which tells all of it.
struct Told(Arc<Desk>);

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.program.0)
    }
}

/// What a label says, and the number; in the order of the metric's labels.
type Sample = (Vec<String>, i64);

impl Collector for Told {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let desk = &*self.0;
        let mut tell = |metric: &Metric, samples: Vec<Sample>| family(&mut encoder, metric, &samples);
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
        tell(&catalogue::HELD, of_faces(|account| account.held_bytes))?;
        tell(&catalogue::HELD_LIMIT, of_faces(|account| account.limit_bytes))?;
        tell(&catalogue::STREAMS, streams(desk))?;
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

/// A metric with all its values; nothing where there are none.
fn family(encoder: &mut DescriptorEncoder<'_>, metric: &Metric, samples: &[Sample]) -> fmt::Result {
    if samples.is_empty() {
        return Ok(());
    }
    let kind = match metric.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
    };
    let mut encoder = encoder.encode_descriptor(metric.name, metric.help, metric.unit.as_ref(), kind)?;
    for (values, number) in samples {
        let labels: Vec<(&str, &str)> = metric.labels.iter().copied().zip(values.iter().map(String::as_str)).collect();
        let mut encoder = encoder.encode_family(&labels)?;
        match metric.kind {
            Kind::Counter => encoder.encode_counter(&number.unsigned_abs(), None::<&Exemplar<NoLabelSet, u64>>)?,
            Kind::Gauge => encoder.encode_gauge(number)?,
        }
    }
    Ok(())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Seconds until then, or since.
fn left(then: SystemTime, now: SystemTime) -> i64 {
    match then.duration_since(now) {
        Ok(left) => signed(left.as_secs()),
        Err(since) => -signed(since.duration().as_secs()),
    }
}
