//! Metrics: what a daemon knows, as numbers on a page that Prometheus reads.

pub mod catalogue;
mod desk;
mod page;
mod serve;

pub use catalogue::{ALL, Kind, Metric};
pub use page::{Page, Sample, Source, left, signed};
pub use serve::{Serving, serve};
