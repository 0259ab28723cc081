//! How far a probe may go: by the policy, and by who named the address.

use super::*;

fn policy(open: bool) -> Policy {
    let local = |name: &str, hop: Option<&str>| Local {
        pattern: name.parse().expect("a pattern"),
        next_hop: hop.map(|hop| hop.parse().expect("a next hop")),
        terms: USUAL,
        resend: false,
    };
    let partner = |name: &str, hop: Option<&str>| Partner {
        pattern: Some(name.parse().expect("a pattern")),
        next_hop: hop.map(|hop| hop.parse().expect("a next hop")),
        terms: STRICT,
        resend: false,
    };
    let locals = vec![local("*.im.contoso.test", None), local("contoso.test", Some("10.0.0.2"))];
    let partners = vec![
        partner("*.tailspin.test", None),
        partner("fabrikam.test", None),
        partner("woodgrove.test", Some("10.9.9.9")),
    ];
    Policy::new(locals, partners, open.then_some(USUAL))
}

fn planned(face: Face, to: &str, from: Option<&str>, at: Option<&str>) -> Result<Plan, ProbeError> {
    let at = at.map(|at| at.parse().expect("an address"));
    let request = Request { from: from.map(str::to_owned), at, ..Request::to(to) };
    plan(face, &policy(false), &request)
}

fn external(to: &str, from: Option<&str>, at: Option<&str>) -> Plan {
    planned(Face::External, to, from, at).expect("it can be probed")
}

#[test]
fn more_domains_are_looked_for_at_a_named_address_and_not_too_many() {
    let further = |count: usize, at: Option<&str>| {
        let also = (0..count).map(|number| format!("d{number}.im.contoso.test")).collect();
        let at = at.map(|at| at.parse().expect("an address"));
        plans(Face::External, &policy(false), &Request { at, also, ..Request::to("contoso.test") })
    };
    let at = Some("203.0.113.9:5269");
    let (_, beside) = further(TOGETHER - 1, at).expect("so many");
    assert!(beside.iter().all(|plan| plan.whose == Whose::Own && plan.goal == Goal::Look { named: false }));
    assert_eq!((beside.len(), further(0, None).expect("one").1.len()), (TOGETHER - 1, 0));
    assert_eq!(further(TOGETHER, at), Err(ProbeError::Together(TOGETHER)));
    let nowhere = further(1, None).expect_err("DNS may lead each elsewhere").to_string();
    assert!(nowhere.contains("an address must be named"), "{nowhere}");
}

#[test]
fn only_partners_where_dns_or_their_entry_leads_are_proven_anything() {
    let plan = external("fabrikam.test", None, None);
    assert_eq!((plan.goal, plan.terms, plan.whose), (Goal::Carry, STRICT, Whose::Partner));
    assert_eq!((plan.from, plan.policy.verdict), (Some(domain("contoso.test")), Verdict::Good));
    let plan = external("woodgrove.test", Some("a.im.contoso.test"), None);
    assert_eq!((plan.goal, plan.from), (Goal::Carry, Some(domain("a.im.contoso.test"))));
    assert_eq!(plan.next_hop.map(|hop| hop.host), Some("10.9.9.9".to_owned()));
    for (to, at, named) in [
        // Somebody named the address: whoever is there could show our key to the real one.
        ("fabrikam.test", Some("203.0.113.9:5269"), true),
        // No partner.
        ("evil.test", None, true),
        ("evil.contoso.test", None, true),
        // Our own servers.
        ("contoso.test", None, false),
        ("contoso.test", Some("203.0.113.9:5269"), false),
    ] {
        let plan = external(to, None, at);
        assert_eq!(plan.goal, Goal::Look { named }, "{to} {at:?}");
        let errand = plan.errand(
            &Target { host: to.to_owned(), address: ([203, 0, 113, 9], 5269).into(), direct_tls: false },
            true,
            now(),
        );
        assert!(errand.scene.looks, "{to}");
    }
    assert_eq!(external("evil.test", None, None).policy.verdict, Verdict::Bad);
    let open = super::plan(Face::External, &policy(true), &Request::to("anybody.test")).expect("it can be probed");
    assert_eq!((open.goal, open.policy.verdict), (Goal::Carry, Verdict::Good));
}

#[test]
fn next_hops_are_looked_at_as_a_partner_and_nobody_else_from_inside() {
    let inside = |to, from| planned(Face::Internal, to, from, None);
    let plan = inside("contoso.test", None).expect("it can be probed");
    assert_eq!((plan.goal, plan.whose), (Goal::Look { named: true }, Whose::NextHop));
    assert_eq!(plan.from, Some(domain("fabrikam.test")), "the first partner that is one domain");
    assert_eq!(plan.next_hop.map(|hop| hop.host), Some("10.0.0.2".to_owned()));
    let plan = inside("contoso.test", Some("eu.tailspin.test")).expect("it can be probed");
    assert_eq!(plan.from, Some(domain("eu.tailspin.test")));
    assert_eq!(inside("a.im.contoso.test", None).expect("it can be probed").next_hop, None);
    assert_eq!(inside("fabrikam.test", None), Err(ProbeError::NotLocal(domain("fabrikam.test"))));
    assert_eq!(inside("contoso.test", Some("evil.test")), Err(ProbeError::NotAPartner(domain("evil.test"))));
}

#[test]
fn nobody_is_spoken_as_who_is_not_ours() {
    let outside = |to, from| planned(Face::External, to, Some(from), None);
    assert_eq!(outside("fabrikam.test", "evil.test"), Err(ProbeError::NotOurs(domain("evil.test"))));
    assert!(matches!(outside("fabrikam.test", "no domain"), Err(ProbeError::NoDomain { .. })));
    assert!(
        matches!(outside("\u{1b}[31m", "contoso.test"), Err(ProbeError::NoDomain { domain, .. }) if !domain.contains('\u{1b}'))
    );
    // Nor are our own edge servers asked in the name of who may not come.
    assert_eq!(outside("contoso.test", "evil.test"), Err(ProbeError::NotAPartner(domain("evil.test"))));
    assert_eq!(outside("contoso.test", "contoso.test"), Err(ProbeError::NotAPartner(domain("contoso.test"))));
    assert_eq!(external("contoso.test", Some("fabrikam.test"), None).from, Some(domain("fabrikam.test")));
    let nothing = Policy::new(Vec::new(), Vec::new(), None);
    let address = "203.0.113.9:5269".parse().expect("an address");
    for (request, verdict) in
        [(Request::to("fabrikam.test"), Verdict::Warning), (Request::at("fabrikam.test", address), Verdict::Skipped)]
    {
        let plan = super::plan(Face::External, &nothing, &request).expect("it can be probed");
        assert_eq!((plan.goal, plan.policy.verdict), (Goal::Look { named: false }, verdict));
    }
}
