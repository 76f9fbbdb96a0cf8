//! Accounts: of AWS, with a person's credentials, or of a local cloud, as the root of each.

use crate::account::{self, Account};
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::{
    collections::HashMap,
    net::{TcpStream, ToSocketAddrs},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::OnceCell;

/// How long an endpoint may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Whose credentials are used, and where.
#[derive(Debug, Clone)]
pub enum Source {
    /// A local cloud, as the root of each of its accounts.
    LocalCloud {
        /// Its URL.
        url: String,
    },
    /// The person's own credentials, found as every AWS tool finds them.
    Person {
        /// Where AWS is, for all services; `None`: as the environment and the profile say, or AWS itself.
        endpoint_url: Option<String>,
        /// The role to assume in every account but that of the credentials; `None`: no other account is reached.
        role: Option<String>,
    },
}

/// The accounts that were reached so far. Each is signed in to once.
#[derive(Debug)]
pub struct Credentials {
    source: Source,
    person: OnceCell<(String, Account)>,
    accounts: Mutex<HashMap<String, Arc<OnceCell<Account>>>>,
}

impl Credentials {
    /// Calls AWS only when the first account is needed.
    ///
    /// # Errors
    /// When a URL that was given is malformed, or nothing listens there.
    pub fn new(source: Source) -> Result<Self> {
        match &source {
            Source::LocalCloud { url } => check_endpoint(url)?,
            Source::Person {
                endpoint_url: Some(url),
                ..
            } => check_endpoint(url)?,
            Source::Person { endpoint_url: None, .. } => {
                // The environment's own, which every AWS tool reads.
                if let Some(url) = std::env::var("AWS_ENDPOINT_URL").ok().filter(|url| !url.is_empty()) {
                    check_endpoint(&url).context("AWS_ENDPOINT_URL")?;
                }
            }
        }
        Ok(Self {
            source,
            person: OnceCell::new(),
            accounts: Mutex::default(),
        })
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
        let account = known.get_or_try_init(|| self.sign_in(id, region)).await?;
        Ok(account.at(region))
    }

    /// The Region of the person's configuration, or that of a local cloud's demonstration.
    ///
    /// # Errors
    /// When there is none.
    pub async fn region(&self) -> Result<String> {
        match self.source {
            Source::LocalCloud { .. } => Ok(crate::LOCAL_REGION.to_owned()),
            Source::Person { .. } => {
                let found = account::configured_region().await;
                found.context("no Region is configured: name some with --regions, or set AWS_REGION")
            }
        }
    }

    async fn sign_in(&self, id: &str, region: &str) -> Result<Account> {
        let (endpoint_url, role) = match &self.source {
            Source::LocalCloud { url } => return Ok(Account::new(url, id, region)),
            Source::Person { endpoint_url, role } => (endpoint_url.as_deref(), role),
        };
        let person = self.person.get_or_try_init(|| person(endpoint_url, region));
        let (own, person) = person.await?;
        match role {
            _ if own == id => Ok(person.at(region)),
            Some(role) => person.at(region).assume(id, role).await,
            None => bail!("the credentials are of account {own}; name the role to assume in {id} with --role-name"),
        }
    }
}

/// The person's own account, and its id.
async fn person(endpoint_url: Option<&str>, region: &str) -> Result<(String, Account)> {
    let account = Account::of_person(endpoint_url, region).await?;
    let caller = account.sts().get_caller_identity().send().await;
    let caller = caller
        .map_err(ampxa::Error::from)
        .context("AWS did not accept the credentials")?;
    let id = caller
        .account()
        .context("AWS did not say to which account the credentials belong")?;
    Ok((id.to_owned(), account))
}

/// Whether a URL is one, and something listens there.
fn check_endpoint(url: &str) -> Result<()> {
    let right = "expected a URL such as http://127.0.0.1:4566";
    let uri: ureq::http::Uri = url.parse().map_err(|_| anyhow!("{url:?} is no URL; {right}"))?;
    let port = match (uri.scheme_str(), uri.port_u16()) {
        (Some("http"), port) => port.unwrap_or(80),
        (Some("https"), port) => port.unwrap_or(443),
        _ => bail!("{url:?} is no URL; {right}"),
    };
    let host = uri.host().filter(|host| !host.is_empty());
    let host = host.with_context(|| format!("{url:?} names no host; {right}"))?;
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<_> = match (plain, port).to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => bail!("the host {host} of {url} is unknown: {error}"),
    };
    let mut refusals = Vec::new();
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(_) => return Ok(()),
            Err(error) => refusals.push(error.to_string()),
        }
    }
    ensure!(
        refusals.is_empty(),
        "nothing listens at {url} ({}): start it, or correct the URL",
        refusals.join(", ")
    );
    bail!("the host {host} of {url} has no address")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_wrong_url_is_one_sentence_that_says_what_would_be_right() {
        for url in ["", "4566", "ftp://127.0.0.1", "http://", "127.0.0.1:4566"] {
            let why = format!("{:#}", check_endpoint(url).unwrap_err());
            assert!(
                why.contains("expected a URL such as http://127.0.0.1:4566"),
                "{url}: {why}"
            );
            assert_eq!(why.lines().count(), 1);
        }
    }

    #[test]
    fn a_closed_port_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        check_endpoint(&url).unwrap();
        drop(listener);
        let why = check_endpoint(&url).unwrap_err().to_string();
        assert!(why.starts_with(&format!("nothing listens at {url} (")), "{why}");
    }
}
