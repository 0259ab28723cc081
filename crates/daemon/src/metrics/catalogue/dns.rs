//! What fedge-dns tells.

use super::{Metric, counter, gauge};

/// By whom they were answered, and how.
pub static ANSWERED: Metric = counter(
    "fedge_dns_queries",
    &["by", "rcode"],
    "Queries that were answered: by the view itself, by the site's resolvers or from our zones, with this code.",
);
/// What can't be answered.
pub static IGNORED: Metric = counter("fedge_dns_ignored", &[], "What came and was no query.");
/// Of the cache.
pub static CACHE_HITS: Metric =
    counter("fedge_dns_cache_hits", &[], "Forwarded questions whose answer was still known.");
/// Of the resolvers.
pub static ASKED: Metric = counter(
    "fedge_dns_asked",
    &[],
    "Questions put to the site's resolvers; the same one at the same time counts once.",
);
/// Of the resolvers.
pub static UNANSWERED: Metric =
    counter("fedge_dns_unanswered", &[], "Those of them to which no resolver had an answer in time.");
/// For the resolvers.
pub static WAITING: Metric = gauge("fedge_dns_waiting", &[], "Queries that wait for the site's resolvers.");
/// For the resolvers.
pub static WAITING_LIMIT: Metric = gauge("fedge_dns_waiting_limit", &[], "From how many on more of them fail at once.");
/// By a limit.
pub static TURNED_AWAY: Metric = counter(
    "fedge_dns_turned_away",
    &["limit"],
    "Queries that found no room to wait, TCP connections that were closed since there were too many, and replies from \
     zones beyond what one network gets.",
);
