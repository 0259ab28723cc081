//! What stands at the border in a run: fedge, or a rival in its place.

use std::fmt;
use std::str::FromStr;

use testkit::fedge::Programs;
use testkit::rig::Rival;

/// What partners connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Border {
    Fedge,
    Rival(Rival),
}

impl Border {
    /// What is in fedge's place, if anything.
    pub(super) fn rival(self) -> Option<Rival> {
        match self {
            Border::Fedge => None,
            Border::Rival(rival) => Some(rival),
        }
    }

    /// Whether it is fedge, and these programs of it are as they are released.
    pub(super) fn is_released(self, programs: &Programs) -> bool {
        self == Border::Fedge && programs.are_released()
    }
}

impl fmt::Display for Border {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Border::Fedge => f.write_str("fedge"),
            Border::Rival(rival) => rival.fmt(f),
        }
    }
}

impl FromStr for Border {
    type Err = String;

    fn from_str(name: &str) -> Result<Border, String> {
        match name {
            "fedge" => Ok(Border::Fedge),
            rival => rival.parse().map(Border::Rival).map_err(|others: String| format!("fedge, {others}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_border_is_found_by_its_name() {
        for border in [Border::Fedge, Border::Rival(Rival::Haproxy), Border::Rival(Rival::XmppProxy)] {
            assert_eq!(border.to_string().parse(), Ok(border));
        }
        assert_eq!("nginx".parse::<Border>(), Err("fedge, haproxy or xmpp-proxy".to_owned()));
    }
}
