//! Who may do what: users with a role, known by a token or by the key of their certificate.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::audit::Hash;

/// What a user may do; each may what those before may, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See everything but secrets.
    Viewer,
    /// Stop and start services, move the route.
    Operator,
    /// Publish topologies, enrol members.
    Administrator,
}

/// Somebody who may use the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// What the audit trail calls them.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// By what they are known.
    pub proof: Proof,
}

/// By what somebody is known. Only hashes are kept: whoever reads the configuration can't pose as a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The SHA-256 of a token. A token has 256 random bits, so nothing slower is needed.
    Token(Hash),
    /// The SHA-256 of the public key (SPKI) in a client certificate.
    Key(Hash),
}

/// Everybody who may use the API.
#[derive(Debug, Clone, Default)]
pub struct Users(Vec<User>);

/// A new token. It is shown once, when it is made.
pub struct Token(String);

/// Why somebody may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody is known by that.
    #[error(
        "nobody is known by this token or certificate; `fedge-control token` makes a token and says what to put into the configuration"
    )]
    Unknown,
    /// There was neither token nor certificate.
    #[error("this needs a token (`Authorization: Bearer …`) or a client certificate")]
    Anonymous,
    /// Their role doesn't reach.
    #[error("{name} has the role {role}, and this needs the role {needed}")]
    Role {
        /// Who.
        name: String,
        /// What they are.
        role: Role,
        /// What it takes.
        needed: Role,
    },
}

impl Users {
    /// These.
    pub fn new(users: Vec<User>) -> Users {
        Users(users)
    }

    /// Who shows this token, or the key with this hash in a certificate, and whether they are at least a `needed`.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, token: Option<&str>, key: Option<Hash>, needed: Role) -> Result<&User, Denied> {
        if token.is_none() && key.is_none() {
            return Err(Denied::Anonymous);
        }
        let token = token.map(|token| Hash::of(token.as_bytes()));
        let shown = |proof: &Proof| match proof {
            Proof::Token(hash) => token.is_some_and(|token| same(&token, hash)),
            Proof::Key(hash) => key.is_some_and(|key| same(&key, hash)),
        };
        let user = self.0.iter().find(|user| shown(&user.proof)).ok_or(Denied::Unknown)?;
        if user.role >= needed {
            Ok(user)
        } else {
            Err(Denied::Role { name: user.name.clone(), role: user.role, needed })
        }
    }
}

/// In the same time, however much of them is equal.
fn same(left: &Hash, right: &Hash) -> bool {
    verify_slices_are_equal(left.as_bytes(), right.as_bytes()).is_ok()
}

impl Token {
    /// Another one each time.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn draw() -> Result<Token, std::io::Error> {
        let mut secret = [0; 32];
        rand::fill(&mut secret).map_err(|_| std::io::Error::other("the system gives no random bytes"))?;
        Ok(Token(format!("fedge_{}", URL_SAFE_NO_PAD.encode(secret))))
    }

    /// What is kept of it.
    pub fn proof(&self) -> Proof {
        Proof::Token(Hash::of(self.0.as_bytes()))
    }

    /// What its user gets, and nobody else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Administrator => "administrator",
        })
    }
}

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Role, NoRole> {
        let roles = [Role::Viewer, Role::Operator, Role::Administrator];
        roles.into_iter().find(|role| role.to_string() == text).ok_or_else(|| NoRole(text.to_owned()))
    }
}

/// There is no such role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role; take viewer, operator or administrator")]
pub struct NoRole(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> (Users, Token) {
        let token = Token::draw().expect("randomness");
        let user = |name: &str, role, proof| User { name: name.to_owned(), role, proof };
        let anna = user("anna", Role::Operator, token.proof());
        let bert = user("bert", Role::Administrator, Proof::Key(Hash::of(b"bert's key")));
        (Users::new(vec![anna, bert]), token)
    }

    fn name(admitted: Result<&User, Denied>) -> Result<&str, Denied> {
        admitted.map(|user| user.name.as_str())
    }

    #[test]
    fn each_is_known_by_their_own_proof() {
        let (users, token) = users();
        assert_eq!(name(users.admit(Some(token.reveal()), None, Role::Viewer)), Ok("anna"));
        assert_eq!(name(users.admit(None, Some(Hash::of(b"bert's key")), Role::Administrator)), Ok("bert"));
        assert_eq!(name(users.admit(None, None, Role::Viewer)), Err(Denied::Anonymous));
        assert_eq!(name(users.admit(Some("fedge_"), None, Role::Viewer)), Err(Denied::Unknown));
        // What is kept of a token is not the token, and a key's hash is none either.
        let kept = Hash::of(token.reveal().as_bytes());
        assert_eq!(name(users.admit(Some(&kept.to_string()), Some(kept), Role::Viewer)), Err(Denied::Unknown));
        assert_eq!(name(users.admit(Some("bert's key"), None, Role::Viewer)), Err(Denied::Unknown));
    }

    #[test]
    fn a_role_reaches_as_far_as_it_does() {
        let (users, token) = users();
        assert_eq!(name(users.admit(Some(token.reveal()), None, Role::Operator)), Ok("anna"));
        let denied = users.admit(Some(token.reveal()), None, Role::Administrator).expect_err("she is an operator");
        assert_eq!(denied.to_string(), "anna has the role operator, and this needs the role administrator");
    }

    #[test]
    fn no_two_tokens_are_alike_and_none_is_shown() {
        let (first, second) = (Token::draw().expect("randomness"), Token::draw().expect("randomness"));
        assert_ne!(first.reveal(), second.reveal());
        assert_eq!(first.reveal().len(), "fedge_".len() + 43);
        assert_eq!(format!("{first:?}"), "Token(…)");
    }
}
