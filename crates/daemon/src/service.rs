//! `service`: what is ordered of the federation service on this machine, and how its answer reads.

use std::time::{SystemTime, UNIX_EPOCH};

use api::local::{Drained, Request, Service, ServiceAction};
use clap::{Args, Subcommand};

use crate::ask::span;

/// The longest drain that can be asked for, in seconds.
pub const LONGEST: u64 = 3600;

/// What is ordered.
#[derive(Debug, Clone, Subcommand)]
pub enum Order {
    /// Say how it is, since when, and how its last drain went.
    Status,
    /// Take partners in again.
    Start,
    /// Drain it, and leave it closed until it is started, also over a restart of a member that controllers lead.
    Stop(Time),
    /// Drain it, and take partners in again after that.
    Drain(Time),
}

/// How long it may take.
#[derive(Debug, Clone, Copy, Args)]
pub struct Time {
    /// For how many seconds it may drain; `drain` of the configuration where it isn't given.
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=LONGEST))]
    seconds: Option<u64>,
}

impl From<Order> for Request {
    fn from(order: Order) -> Request {
        let (action, seconds) = match order {
            Order::Status => (ServiceAction::Status, None),
            Order::Start => (ServiceAction::Start, None),
            Order::Stop(Time { seconds }) => (ServiceAction::Stop, seconds),
            Order::Drain(Time { seconds }) => (ServiceAction::Drain, seconds),
        };
        Request::Service { action, seconds, rest: None }
    }
}

/// How it is, in a line, and how its last drain went, in another.
pub(crate) fn text(service: &Service) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    told(service, now)
}

fn told(service: &Service, now: u64) -> String {
    let mut text = format!("the federation service is {}", service.state);
    // Whoever made the file of a stopped one by hand may not have said when.
    if service.since > 0 {
        text.push_str(&format!(", for {}", span(now.saturating_sub(service.since))));
    }
    text.push('\n');
    if let Some(Drained { finished, returned, left, seconds, stay }) = service.last {
        let took = span(seconds);
        text.push_str(&format!("its last drain took {took}: {finished} finished, {returned} returned, {left} left\n"));
        if stay > 0 {
            text.push_str(&format!("{stay} streams were left open until their partners pause\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::local::ServiceState;

    #[test]
    fn it_reads_how_long_it_has_been_so_and_how_the_last_drain_went() {
        let mut service = Service { state: ServiceState::Running, since: 1000, last: None, rested: None };
        assert_eq!(told(&service, 1012), "the federation service is running, for 12 s\n");
        service.last = Some(Drained { finished: 41, returned: 1, left: 0, seconds: 2, stay: 0 });
        service.state = ServiceState::Stopped;
        let last = "its last drain took 2 s: 41 finished, 1 returned, 0 left\n";
        assert_eq!(told(&service, 1180), format!("the federation service is stopped, for 3 min\n{last}"));
        service.since = 0;
        assert_eq!(told(&service, 1180), format!("the federation service is stopped\n{last}"));
        // A clock that was set back.
        service.since = 2000;
        assert!(told(&service, 1180).starts_with("the federation service is stopped, for 0 s\n"));
    }
}
