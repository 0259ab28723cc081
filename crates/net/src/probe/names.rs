//! What it means what DNS says of a domain, and who can mend it how. No I/O, no clock.

use topology::address::Forbidden;
use xmpp::domain::Domain;

use super::facts::Finding;
use crate::resolve::{ResolveError, Said, Survey};

/// What is said of it. `ours` says that the domain is one of ours.
pub(super) fn finding(survey: &Survey, domain: &Domain, ours: bool) -> Finding {
    let have = |what: &str| {
        if ours {
            format!("in the DNS of {domain}: {what}")
        } else {
            format!("ask the administrators of {domain} to {what}")
        }
    };
    match &survey.targets {
        Err(error) => failed(error, domain, &have),
        Ok(_) => found(survey, domain, &have),
    }
}

fn failed(error: &ResolveError, domain: &Domain, have: &impl Fn(&str) -> String) -> Finding {
    let finding = Finding::bad(error.to_string());
    match error {
        ResolveError::NotOffered(_) => finding
            .because(format!("{domain} doesn't want to federate, or its DNS still says so from earlier times"))
            .mend(have("publish SRV records that lead to its server")),
        ResolveError::NoServer(_) => finding
            .because(format!(
                "the domain is misspelled, or nobody has published where its server is: `{domain}` has nothing"
            ))
            .mend(format!(
                "{}; or give the partner's entry a `next_hop`",
                have("publish the SRV record `_xmpp-server._tcp`")
            )),
        ResolveError::NoPort(_) => finding
            .because("somebody has left out the port")
            .mend(have("name the real port in its SRV records, which is 5269 as a rule")),
        ResolveError::NoAddress { hosts, .. } => finding
            .because("the host was renamed or taken away, and the SRV record was forgotten")
            .mend(have(&format!("publish addresses of {hosts}, or correct the SRV records"))),
        ResolveError::Forbidden { why, .. } => finding
            .because(match why {
                Forbidden::Own(_) => "its SRV records lead to this very edge server",
                Forbidden::NotPublic(_) | Forbidden::NotElsewhere(_) => {
                    "this resolver shows an inner view of the domain, or somebody has published an inner address"
                }
            })
            .mend(format!("{}; or give the partner's entry a `next_hop`", have("publish public addresses"))),
        ResolveError::Failed { .. } => finding
            .because("the resolver is down or can't reach the domain's name servers, or DNSSEC fails for it")
            .mend(format!("see that the `resolvers` answer; if they do, {}", have("look after its name servers"))),
    }
}

fn found(survey: &Survey, domain: &Domain, have: &impl Fn(&str) -> String) -> Finding {
    let records: Vec<String> = [("_xmpp-server", &survey.starttls), ("_xmpps-server", &survey.direct)]
        .into_iter()
        .flat_map(|(service, said)| said.records().iter().map(move |record| format!("{service} {record}")))
        .collect();
    let seen = if records.is_empty() { "there are no SRV records".to_owned() } else { records.join(", ") };
    if survey.own_address {
        return Finding::warning(format!(
            "there are no SRV records, so the address of {domain} itself is used, port 5269"
        ))
        .because("nobody has published them; where the domain's address is a web server, nobody speaks XMPP there")
        .mend(have("publish the SRV record `_xmpp-server._tcp`"));
    }
    if !survey.nowhere.is_empty() {
        let hosts = survey.nowhere.join(", ");
        return Finding::warning(format!("{seen}; {hosts} has no address"))
            .because("the host was renamed or taken away, and the SRV record was forgotten")
            .mend(have(&format!("publish addresses of {hosts}, or take away its SRV records")));
    }
    if let Some((address, why)) = survey.forbidden.first() {
        return Finding::warning(format!("{seen}; {address} isn't dialed: {why}"))
            .because("somebody has published an address that isn't everybody's")
            .mend(have(&format!("take {address} away")));
    }
    if !survey.aliases.is_empty() {
        let hosts = survey.aliases.join(", ");
        return Finding::warning(format!("{seen}; {hosts} is an alias (CNAME)"))
            .because("the target of an SRV record must not be an alias (RFC 2782): some servers don't follow it")
            .mend(have("name the host itself in its SRV records"));
    }
    for (service, said) in [("_xmpp-server", &survey.starttls), ("_xmpps-server", &survey.direct)] {
        match said {
            Said::Failed(why) => {
                return Finding::warning(format!("{seen}; DNS doesn't say whether there is {service}: {why}"))
                    .because("a name server that doesn't answer for names that it doesn't have")
                    .mend(have("look after its name servers"));
            }
            Said::NoPort => {
                return Finding::warning(format!("{seen}; {service} names port 0"))
                    .because("somebody has left out the port")
                    .mend(have(&format!("name the real port in {service}, or take the record away")));
            }
            Said::Records(_) | Said::Absent | Said::Refused => {}
        }
    }
    Finding::good(seen)
}
