//! How accounts are reached: those of a local cloud as their roots, those of AWS with a person's credentials.

use crate::account::{self, Account};
use anyhow::{Context, Result, bail};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OnceCell;

/// Where accounts are, and as whom they are reached.
#[derive(Debug, Clone)]
pub enum Way {
    /// A local cloud, as the root of each account.
    Local {
        /// Its URL.
        url: String,
    },
    /// AWS, with the credentials that every AWS tool finds.
    Aws {
        /// The role to assume in every account but the credentials' own; nothing where there is no other.
        role: Option<String>,
    },
}

/// The accounts that were reached, each once.
#[derive(Debug)]
pub struct Reach {
    way: Way,
    person: OnceCell<(String, Account)>,
    accounts: Mutex<HashMap<String, Arc<OnceCell<Account>>>>,
}

impl Reach {
    /// Nobody is asked anything yet.
    pub fn new(way: Way) -> Self {
        Self {
            way,
            person: OnceCell::new(),
            accounts: Mutex::default(),
        }
    }

    /// An account in a Region.
    ///
    /// # Errors
    /// When there are no credentials, or they do not reach into the account.
    pub async fn account(&self, id: &str, region: &str) -> Result<Account> {
        let known = {
            let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            accounts.entry(id.to_owned()).or_default().clone()
        };
        let account = known.get_or_try_init(|| self.reach(id, region)).await?;
        Ok(account.at(region))
    }

    /// The Region to look at where nobody names one: that of the local cloud's demonstration, or that which every AWS
    /// tool finds.
    ///
    /// # Errors
    /// When there is none.
    pub async fn region(&self) -> Result<String> {
        match self.way {
            Way::Local { .. } => Ok(crate::REGION.to_owned()),
            Way::Aws { .. } => {
                let found = account::ordinary_region().await;
                found.context("no Region is set: name some with --regions")
            }
        }
    }

    async fn reach(&self, id: &str, region: &str) -> Result<Account> {
        let role = match &self.way {
            Way::Local { url } => return Ok(Account::new(url, id, region)),
            Way::Aws { role } => role,
        };
        let (own, person) = self.person.get_or_try_init(|| person(region)).await?;
        match role {
            _ if own == id => Ok(person.at(region)),
            Some(role) => person.at(region).wearing(id, role).await,
            None => bail!("the credentials are of account {own}; name a role to assume in {id}: --role-name"),
        }
    }
}

/// The person's own account, and its id.
async fn person(region: &str) -> Result<(String, Account)> {
    let account = Account::ordinary(region).await?;
    let caller = account.sts().get_caller_identity().send().await;
    let caller = caller.context("AWS could not say whose the credentials are")?;
    let id = caller.account().context("AWS did not say whose the credentials are")?;
    Ok((id.to_owned(), account))
}
