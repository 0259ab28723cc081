//! A probe's answer as a person reads it: a line for each stage, and below it what to do.

use std::fmt::Write as _;

use super::{Certificate, Offers, Probed, Stage, Target, Verdict};

/// All of it as text.
pub fn table(probed: &Probed) -> String {
    let mut text = String::new();
    let from = probed.from.as_deref().map(|from| format!(" as {from}")).unwrap_or_default();
    let _ = writeln!(text, "{}{from}, from the {} face: {}", probed.to, probed.face, summary(probed));
    lines(&mut text, &probed.stages);
    for target in &probed.targets {
        let tls = if target.direct_tls { ", direct TLS" } else { "" };
        let host = if target.host.parse::<std::net::IpAddr>().is_ok() { "" } else { target.host.as_str() };
        let host = if host.is_empty() { String::new() } else { format!("{host} at ") };
        let domain = target.domain.as_deref().map(|domain| format!(", for {domain}")).unwrap_or_default();
        let _ = writeln!(text, "{host}{}{tls}{domain}: {}", target.address, target.verdict);
        lines(&mut text, &target.stages);
        details(&mut text, target);
    }
    text
}

fn summary(probed: &Probed) -> String {
    let reached = probed.targets.iter().filter(|target| target.reached).count();
    let all = probed.targets.len();
    let ms = probed.ms;
    match (reached, all) {
        (_, 0) => format!("{}, in {ms} ms", probed.verdict),
        (0, _) => format!("{}, reached at none of {all} targets, in {ms} ms", probed.verdict),
        (1, 1) => format!("{}, reached, in {ms} ms", probed.verdict),
        (reached, all) => format!("{}, reached at {reached} of {all} targets, in {ms} ms", probed.verdict),
    }
}

fn lines(text: &mut String, stages: &[Stage]) {
    for stage in stages {
        let ms = if stage.verdict == Verdict::Skipped { String::new() } else { format!("{} ms", stage.ms) };
        let _ = writeln!(text, "  {:11}  {:7}  {ms:>8}  {}", stage.name, stage.verdict, stage.seen);
        for (word, more) in [("cause", &stage.cause), ("fix", &stage.fix)] {
            if let Some(more) = more {
                let _ = writeln!(text, "  {:32}{word}: {more}", "");
            }
        }
    }
}

fn details(text: &mut String, target: &Target) {
    if let Some(tls) = &target.tls {
        let _ = writeln!(text, "  TLS: {} {}", tls.version, tls.cipher);
    }
    if let Some(certificate) = &target.certificate {
        let _ = writeln!(text, "  certificate: {}", of_certificate(certificate));
    }
    if let Some(offers) = &target.offers {
        let _ = writeln!(text, "  offers: {}", of_offers(offers));
    }
}

fn of_certificate(certificate: &Certificate) -> String {
    let names = if certificate.names.is_empty() { "nobody".to_owned() } else { certificate.names.join(", ") };
    let usages = if certificate.usages.is_empty() { "any use".to_owned() } else { certificate.usages.join(", ") };
    let expires = match certificate.days {
        days if days < 0 => format!("expired {} days ago", -days),
        days => format!("expires in {days} days"),
    };
    format!("for {names}; by {}; {expires}; for {usages}; {} shown", certificate.issuer, certificate.chain)
}

fn of_offers(offers: &Offers) -> String {
    let mut words = offers.mechanisms.clone();
    words.extend(offers.dialback.then(|| "dialback".to_owned()));
    words.extend(offers.stream_management.then(|| "stream management".to_owned()));
    words.extend(offers.max_bytes.map(|bytes| format!("stanzas up to {bytes} bytes")));
    words.extend(offers.idle_seconds.map(|seconds| format!("closes after {seconds} s without a word")));
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::super::Name;
    use super::*;

    fn stage(name: Name, verdict: Verdict, fix: Option<&str>) -> Stage {
        let fix = fix.map(str::to_owned);
        let cause = fix.as_ref().map(|_| "nobody listens".to_owned());
        Stage { name, verdict, seen: format!("the {name}"), cause, fix, ms: 3 }
    }

    #[test]
    fn each_stage_has_its_line_and_faults_have_cause_and_fix() {
        let refused = stage(Name::Tcp, Verdict::Bad, Some("start it"));
        let target = |reached: bool, stages: Vec<Stage>| Target {
            domain: reached.then(|| "im.fabrikam.test".to_owned()),
            host: "xmpp.fabrikam.test".to_owned(),
            address: "192.0.2.1:5269".to_owned(),
            direct_tls: false,
            verdict: Verdict::worst(stages.iter().map(|stage| stage.verdict)),
            reached,
            stages,
            tls: None,
            certificate: Some(Certificate {
                names: vec!["fabrikam.test".to_owned()],
                issuer: "CN=a CA".to_owned(),
                not_before: 0,
                not_after: 1,
                days: -3,
                usages: Vec::new(),
                chain: 2,
                fault: None,
                tlsa: Vec::new(),
            }),
            offers: Some(Offers { mechanisms: vec!["EXTERNAL".to_owned()], dialback: true, ..Offers::default() }),
            round_trip_ms: Some(1),
        };
        let skipped = stage(Name::Header, Verdict::Skipped, None);
        let probed = Probed {
            to: "fabrikam.test".to_owned(),
            from: Some("contoso.test".to_owned()),
            face: "external".to_owned(),
            verdict: Verdict::Bad,
            reached: true,
            stages: vec![stage(Name::Resolve, Verdict::Good, None)],
            targets: vec![
                target(false, vec![refused, skipped]),
                target(true, vec![stage(Name::Tcp, Verdict::Good, None)]),
            ],
            ms: 40,
        };
        let text = table(&probed);
        let says = "fabrikam.test as contoso.test, from the external face: bad, reached at 1 of 2 targets, in 40 ms\n";
        assert!(text.starts_with(says), "{text}");
        for line in [
            "  resolve      good         3 ms  the resolve\n",
            "  tcp          bad          3 ms  the tcp\n",
            "                                  cause: nobody listens\n",
            "                                  fix: start it\n",
            "  header       skipped            the header\n",
            "xmpp.fabrikam.test at 192.0.2.1:5269: bad\n",
            "xmpp.fabrikam.test at 192.0.2.1:5269, for im.fabrikam.test: good\n",
            "  certificate: for fabrikam.test; by CN=a CA; expired 3 days ago; for any use; 2 shown\n",
            "  offers: EXTERNAL, dialback\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert_eq!(probed.faults(), ["the tcp"]);
    }
}
