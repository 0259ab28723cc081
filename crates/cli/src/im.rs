//! `fedge test im`: a message both ways between two test accounts, one inside and one at a partner.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::args::Control;
use crate::remote::print;

mod accounts;
mod connect;
mod exchange;
mod login;
#[cfg(test)]
mod played;
mod report;
mod scram;
mod trouble;
mod wire;

pub(crate) use accounts::AccountsError;
pub(crate) use report::{Entered, Outcome, Tested};
pub(crate) use trouble::Told;

/// It can't be told.
const TROUBLE: u8 = 2;
/// For how long messages are waited for, in seconds.
pub(crate) const USUAL: u64 = 30;
/// And for how long at most.
pub(crate) const LONGEST: u64 = 600;
/// Where the accounts are.
pub(crate) const ACCOUNTS: &str = "/etc/fedge/test-accounts.toml";

/// What can be tested.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Test {
    /// Send a message both ways between two test accounts, one inside and one at a partner, and say what became of each.
    /// Exits with 1 where one didn't arrive, and with 2 where it can't be told.
    Im(Im),
}

/// Between whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Im {
    /// A test account, as `user@domain`.
    pub(crate) from: String,
    /// Another one, in another domain.
    pub(crate) to: String,
    /// The file of test accounts; nobody else is spoken to. Only you may be able to read it.
    #[arg(long, value_name = "FILE", env = "FEDGE_TEST_ACCOUNTS", default_value = ACCOUNTS)]
    pub(crate) accounts: PathBuf,
    /// For how many seconds messages are waited for.
    #[arg(long, value_name = "SECONDS", default_value_t = USUAL, value_parser = clap::value_parser!(u64).range(1..=LONGEST))]
    pub(crate) within: u64,
}

pub(crate) fn run(control: &Control, test: Test) -> ExitCode {
    let Test::Im(Im { from, to, accounts, within }) = test;
    let printed = tested(&accounts, &from, &to, within).map_err(|error| error.to_string()).and_then(|tested| {
        print(control, &tested, Tested::text).map_err(|error| error.to_string())?;
        Ok(tested)
    });
    match printed {
        Ok(tested) => tested.status().into(),
        Err(error) => {
            eprintln!("{error}");
            TROUBLE.into()
        }
    }
}

/// Logs both accounts in, sends a message each way, and waits for both for so many seconds.
///
/// # Errors
/// When the accounts can't be used: then nobody was asked anything.
pub(crate) fn tested(accounts: &Path, from: &str, to: &str, within: u64) -> Result<Tested, AccountsError> {
    let [from, to] = accounts::pair(accounts, from, to)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| AccountsError::System { source })?;
    Ok(runtime.block_on(async {
        let both = tokio::join!(login::login(&from), login::login(&to));
        let entered = |account: &accounts::Account, session: &Result<login::Session, trouble::Trouble>| {
            let how = session.as_ref().map(|session| &session.how).map_err(|trouble| trouble.told(&account.jid));
            report::Entered::new(&account.jid, how)
        };
        let entered = vec![entered(&from, &both.0), entered(&to, &both.1)];
        match both {
            (Ok(one), Ok(other)) => {
                Tested::of(entered, &exchange::exchange(one, other, Duration::from_secs(within)).await)
            }
            _ => Tested::outside(entered),
        }
    }))
}
