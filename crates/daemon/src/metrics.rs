//! Metrics: what the desk knows, as numbers on a page that Prometheus reads.

mod catalogue;
mod page;
mod serve;

pub use catalogue::{ALL, Kind, Metric};
pub use serve::{Serving, serve};
