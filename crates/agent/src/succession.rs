//! Which snapshot may follow which, and when a route counts as confirmed: never back, never another's.

use api::agent::{Head, Route};

/// Why a snapshot isn't taken, or a route not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is for somebody else.
    #[error("this snapshot is for {offered}, and this is {own}; look at the addresses of both in the topology")]
    Member {
        /// For whom.
        offered: String,
        /// Who we are.
        own: String,
    },
    /// It is of another installation.
    #[error(
        "this is a member of the installation {have}, and the controller acts for {offered}; to move it there, stop it, \
         empty its state folder and enrol it anew"
    )]
    Installation {
        /// Ours.
        have: String,
        /// The controller's.
        offered: String,
    },
    /// Its topology is older.
    #[error(
        "version {offered} of the topology is older than version {have}, which is here; the controller's store is behind, \
         restored from a backup perhaps: `fedge recover` brings it forward"
    )]
    Version {
        /// Ours.
        have: u64,
        /// The controller's.
        offered: u64,
    },
    /// Its topology has the same number, and is another one.
    #[error(
        "version {0} of the topology is here too, and says something else; the store was restored from a backup, or there \
         are two of them: `fedge recover` tells which topology counts"
    )]
    Topology(u64),
    /// Its route is older.
    #[error(
        "epoch {offered} of the route is older than epoch {have}, which is here; the controller is late, or its store was \
         restored from a backup: `fedge recover` brings it forward"
    )]
    Epoch {
        /// Ours.
        have: u64,
        /// The controller's.
        offered: u64,
    },
    /// Its route has the same epoch, and leads to another pool.
    #[error(
        "in epoch {epoch} of the route it is {have} that carries it here, and {offered} with the controller; there are two \
         stores, or one was restored from a backup: `fedge recover` brings it forward"
    )]
    Pool {
        /// The epoch.
        epoch: u64,
        /// Ours.
        have: String,
        /// The controller's.
        offered: String,
    },
    /// There is nothing that could be confirmed.
    #[error("there is no snapshot here, so no route to confirm; send the snapshot")]
    Nothing,
    /// The route has moved on, and this member doesn't know.
    #[error("epoch {have} of the route is here, and epoch {offered} is confirmed; send the snapshot")]
    Behind {
        /// Ours.
        have: u64,
        /// The controller's.
        offered: u64,
    },
}

/// Whether the member `own`, which has `have`, takes what it is offered. The same once more is taken.
///
/// # Errors
/// Why not.
pub fn accept(own: &str, have: Option<&Head>, offered: &Head) -> Result<(), Refusal> {
    if offered.member != own {
        return Err(Refusal::Member { offered: offered.member.clone(), own: own.to_owned() });
    }
    let Some(have) = have else { return Ok(()) };
    same_installation(have, &offered.installation)?;
    if offered.version < have.version {
        return Err(Refusal::Version { have: have.version, offered: offered.version });
    }
    if offered.version == have.version && offered.topology != have.topology {
        return Err(Refusal::Topology(have.version));
    }
    not_back(&have.route, &offered.route)
}

/// Whether the route of a member that has `have` is what a controller says it is.
///
/// # Errors
/// Why not.
pub fn confirm(have: Option<&Head>, installation: &str, route: &Route) -> Result<(), Refusal> {
    let have = have.ok_or(Refusal::Nothing)?;
    same_installation(have, installation)?;
    not_back(&have.route, route)?;
    if route.epoch > have.route.epoch {
        return Err(Refusal::Behind { have: have.route.epoch, offered: route.epoch });
    }
    Ok(())
}

fn same_installation(have: &Head, offered: &str) -> Result<(), Refusal> {
    if have.installation == offered {
        return Ok(());
    }
    Err(Refusal::Installation { have: have.installation.clone(), offered: offered.to_owned() })
}

fn not_back(have: &Route, offered: &Route) -> Result<(), Refusal> {
    if offered.epoch < have.epoch {
        return Err(Refusal::Epoch { have: have.epoch, offered: offered.epoch });
    }
    if offered.epoch == have.epoch && offered.pool != have.pool {
        return Err(Refusal::Pool { epoch: have.epoch, have: have.pool.clone(), offered: offered.pool.clone() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use api::agent::Digest;

    use super::*;

    fn head(version: u64, epoch: u64) -> Head {
        Head {
            installation: "contoso-1".to_owned(),
            member: "edge1.contoso.test".to_owned(),
            version,
            topology: Digest([u8::try_from(version).expect("small"); 32]),
            route: Route { epoch, pool: format!("pool{}.contoso.test", epoch % 2) },
            content: Digest([9; 32]),
        }
    }

    fn offered(have: &Head, change: impl FnOnce(&mut Head)) -> Result<(), Refusal> {
        let mut offered = have.clone();
        change(&mut offered);
        accept("edge1.contoso.test", Some(have), &offered)
    }

    #[test]
    fn what_follows_is_taken_and_the_same_again() {
        let have = head(7, 3);
        assert_eq!(accept("edge1.contoso.test", None, &have), Ok(()));
        for (version, epoch) in [(7, 3), (8, 3), (7, 4), (9, 9)] {
            assert_eq!(accept("edge1.contoso.test", Some(&have), &head(version, epoch)), Ok(()));
        }
        // A controller of a newer version writes the same topology with more in it.
        assert_eq!(offered(&have, |head| head.content = Digest([8; 32])), Ok(()));
    }

    #[test]
    fn what_goes_back_or_is_another_s_is_refused_with_the_reason() {
        let have = head(7, 3);
        let other = || "other".to_owned();
        assert!(matches!(offered(&have, |head| head.member = other()), Err(Refusal::Member { .. })));
        assert!(matches!(offered(&have, |head| head.installation = other()), Err(Refusal::Installation { .. })));
        assert_eq!(offered(&have, |head| head.version = 6), Err(Refusal::Version { have: 7, offered: 6 }));
        assert_eq!(offered(&have, |head| head.topology = Digest([1; 32])), Err(Refusal::Topology(7)));
        assert_eq!(offered(&have, |head| head.route.epoch = 2), Err(Refusal::Epoch { have: 3, offered: 2 }));
        assert!(matches!(offered(&have, |head| head.route.pool = other()), Err(Refusal::Pool { epoch: 3, .. })));
        // Newer in one, older in the other.
        assert_eq!(accept("edge1.contoso.test", Some(&have), &head(8, 2)), Err(Refusal::Epoch { have: 3, offered: 2 }));
        let back = accept("edge1.contoso.test", Some(&have), &head(6, 4));
        assert_eq!(back, Err(Refusal::Version { have: 7, offered: 6 }));
        assert!(accept("edge2.contoso.test", None, &have).is_err(), "also the first");
    }

    #[test]
    fn a_route_is_confirmed_by_the_same_route_only() {
        let have = head(7, 3);
        let confirm = |have, epoch| confirm(have, "contoso-1", &head(7, epoch).route);
        assert_eq!(confirm(Some(&have), 3), Ok(()));
        assert_eq!(confirm(Some(&have), 2), Err(Refusal::Epoch { have: 3, offered: 2 }));
        assert_eq!(confirm(Some(&have), 4), Err(Refusal::Behind { have: 3, offered: 4 }));
        assert_eq!(confirm(None, 3), Err(Refusal::Nothing));
        assert!(super::confirm(Some(&have), "other", &have.route).is_err());
        let elsewhere = Route { epoch: 3, pool: "pool9.contoso.test".to_owned() };
        assert!(matches!(super::confirm(Some(&have), "contoso-1", &elsewhere), Err(Refusal::Pool { .. })));
    }
}
