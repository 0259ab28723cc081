//! The page: what a daemon knows at one moment, in the OpenMetrics text format.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;

use super::catalogue::{Kind, Metric};

/// How the page is to be read.
pub(super) const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Who knows what stands on a page.
pub trait Source: Send + Sync + 'static {
    /// Tells all of it, in the catalogue's order, as it is now.
    ///
    /// # Errors
    /// When it can't be written.
    fn tell(&self, page: &mut Page<'_>) -> fmt::Result;
}

/// A page that is being written.
#[derive(Debug)]
pub struct Page<'a>(DescriptorEncoder<'a>);

/// What a label says, and the number; in the order of the metric's labels.
pub type Sample = (Vec<String>, i64);

impl Page<'_> {
    /// A metric with all its values; nothing where there are none.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn tell(&mut self, metric: &Metric, samples: &[Sample]) -> fmt::Result {
        family(&mut self.0, metric, samples)
    }

    /// A metric that has one value.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn tell_one(&mut self, metric: &Metric, number: u64) -> fmt::Result {
        self.tell(metric, &[(Vec::new(), signed(number))])
    }
}

/// What pages are made of.
pub(super) struct Pages(Registry);

impl Pages {
    pub(super) fn new(source: Arc<impl Source>) -> Pages {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Told(source)));
        Pages(registry)
    }

    /// The page as of now.
    pub(super) fn write(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.0)?;
        Ok(page)
    }
}

struct Told<S>(Arc<S>);

impl<S> fmt::Debug for Told<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

impl<S: Source> Collector for Told<S> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.tell(&mut Page(encoder))
    }
}

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

/// A count as a page has it.
pub fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Seconds until then, or since.
pub fn left(then: SystemTime, now: SystemTime) -> i64 {
    match then.duration_since(now) {
        Ok(left) => signed(left.as_secs()),
        Err(since) => -signed(since.duration().as_secs()),
    }
}
