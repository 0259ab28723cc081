//! The secrets that dialback keys are made of, changed step by step, so that no key in use is refused; or all at once.

use aws_lc_rs::rand;
use store::{StoreError, Transaction};

use crate::audit::Deed;
use crate::ledger::Ledger;
use crate::records::{self, Secrets};

/// What is done with them, on both faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Draw a new one, which is accepted from then on.
    Add,
    /// Make keys of the newest.
    Use,
    /// Accept none but the one that makes keys.
    Drop,
    /// Draw a new one, and accept no other: for secrets that have leaked.
    Replace,
}

/// Why a step isn't taken.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// It comes too early.
    #[error("{0}")]
    Order(&'static str),
    /// Members don't have the step before yet.
    #[error("{} haven't taken over the step before yet", .0.join(", "))]
    Lagging(Vec<String>),
    /// There is no randomness.
    #[error("the system gives no random bytes")]
    Random,
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl Step {
    /// The step with this name.
    pub fn named(word: &str) -> Option<Step> {
        [Step::Add, Step::Use, Step::Drop, Step::Replace].into_iter().find(|step| step.word() == word)
    }

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Step::Add => "add",
            Step::Use => "use",
            Step::Drop => "drop",
            Step::Replace => "replace",
        }
    }

    /// Whether all members must have the step before.
    pub fn waits(self) -> bool {
        matches!(self, Step::Use | Step::Drop)
    }

    /// What the secrets are after it; `fresh` are new ones, one for each face.
    fn take(self, before: &Secrets, fresh: [String; 2]) -> Result<Secrets, SecretsError> {
        let mut after = before.clone();
        let several = before.external.len() > 1 || before.internal.len() > 1;
        let [outside, inside] = fresh;
        match self {
            Step::Add if several => {
                return Err(SecretsError::Order("there is a second secret already; go on with `use` or `drop`"));
            }
            Step::Use if !before.waiting => {
                return Err(SecretsError::Order("there is no new secret that makes no keys yet; begin with `add`"));
            }
            Step::Drop if !several => {
                return Err(SecretsError::Order("there is one secret only; begin with `add`"));
            }
            Step::Add => {
                after.external.push(outside);
                after.internal.push(inside);
            }
            // The new one is the last until it is used.
            Step::Use => {
                after.external.rotate_right(1);
                after.internal.rotate_right(1);
            }
            Step::Drop => {
                after.external.truncate(1);
                after.internal.truncate(1);
            }
            Step::Replace => (after.external, after.internal) = (vec![outside], vec![inside]),
        }
        after.waiting = self == Step::Add;
        Ok(after)
    }
}

/// Takes a step in the store.
///
/// # Errors
/// Why not; then nothing changed.
pub async fn take(ledger: &Ledger, step: Step, (who, why): (&str, &str)) -> Result<(), SecretsError> {
    let key = records::secrets();
    let (found, expect) = ledger.one::<Secrets>(&key).await?;
    let before = found.ok_or_else(|| StoreError::Damaged {
        what: "there are no secrets in the store".to_owned(),
        fix: "bring the store back from a backup".to_owned(),
    })?;
    let after = step.take(&before, [fresh()?, fresh()?])?;
    let deed = Deed {
        who: who.to_owned(),
        what: format!("secrets {}", step.word()),
        why: why.to_owned(),
        before: told(&before),
        after: told(&after),
    };
    let put = Transaction::new().expect(key.clone(), expect).put(key, records::write(&after));
    Ok(ledger.change(&put, &deed).await?)
}

/// How many there are; never what they are.
fn told(secrets: &Secrets) -> String {
    format!("external: {}, internal: {}", secrets.external.len(), secrets.internal.len())
}

fn fresh() -> Result<String, SecretsError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| SecretsError::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of a face after these steps; those of the other are as many.
    fn after(steps: &[Step]) -> Result<Vec<String>, SecretsError> {
        let begin =
            Secrets { external: vec!["old".to_owned()], internal: vec!["inside".to_owned()], ..Secrets::default() };
        let fresh = || ["new".to_owned(), "new inside".to_owned()];
        let after = steps.iter().try_fold(begin, |secrets, step| step.take(&secrets, fresh()))?;
        assert_eq!(after.external.len(), after.internal.len());
        Ok(after.external)
    }

    #[test]
    fn a_secret_is_accepted_before_it_is_used_and_the_old_one_after() {
        use Step::{Add, Drop, Replace, Use};
        let is = |steps: &[Step], expected: &[&str]| {
            assert_eq!(after(steps).expect("in this order"), expected, "{steps:?}");
        };
        is(&[Add], &["old", "new"]);
        is(&[Add, Use], &["new", "old"]);
        is(&[Add, Use, Drop], &["new"]);
        is(&[Add, Drop], &["old"]);
        is(&[Replace], &["new"]);
        is(&[Add, Replace], &["new"]);
        for early in [&[Use][..], &[Drop], &[Add, Add], &[Add, Use, Use], &[Add, Use, Drop, Use], &[Replace, Use]] {
            assert!(matches!(after(early), Err(SecretsError::Order(_))), "{early:?}");
        }
    }

    #[test]
    fn no_two_are_alike_and_all_are_long_enough() {
        let (one, other) = (fresh().expect("randomness"), fresh().expect("randomness"));
        assert!(one != other && one.len() == 64);
        assert!(["add", "use", "drop", "replace"].iter().all(|word| Step::named(word).is_some()));
        assert_eq!(Step::named("show"), None);
    }
}
