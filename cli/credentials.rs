//! Access to accounts: of AWS, with the user's credentials, or of a local cloud, as the root user of each account.

use crate::account::{self, Account};
use ampxa::names::{SOURCE_READER, TARGET_READER, installation};
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::{
    collections::HashMap,
    net::{TcpStream, ToSocketAddrs},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::OnceCell;

/// The time within which an endpoint must accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Which credentials are used, and with which endpoint.
#[derive(Debug, Clone)]
pub enum Source {
    /// A local cloud, as the root user of each of its accounts.
    LocalCloud {
        /// The URL of the local cloud.
        url: String,
    },
    /// The user's credentials, from the default provider chain.
    User {
        /// The endpoint URL for all services; `None`: from the environment or the profile, else the default of AWS.
        endpoint_url: Option<String>,
        /// The role to assume.
        role: Role,
    },
}

/// The role to assume in an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Role {
    /// None: only the account of the credentials can be read.
    #[default]
    None,
    /// A role of this name, in every account other than that of the credentials.
    Named(String),
    /// The readers of ampxa, in source and target accounts.
    Readers,
}

/// The accounts that were used so far. The role of each account is assumed once.
#[derive(Debug)]
pub struct Credentials {
    source: Source,
    user: OnceCell<(String, Account)>,
    accounts: Mutex<HashMap<String, Arc<OnceCell<Account>>>>,
}

impl Credentials {
    /// Makes no call to AWS before the first account is used.
    ///
    /// # Errors
    /// If an endpoint URL is malformed, if nothing listens there, or if a local cloud refuses its URL.
    pub fn new(source: Source) -> Result<Self> {
        match &source {
            Source::LocalCloud { url } => check_local_cloud(url)?,
            Source::User {
                endpoint_url: Some(url),
                ..
            } => check_endpoint(url)?,
            Source::User { endpoint_url: None, .. } => {
                // The environment variable that every AWS tool reads.
                if let Some(url) = std::env::var("AWS_ENDPOINT_URL").ok().filter(|url| !url.is_empty()) {
                    check_endpoint(&url).context("AWS_ENDPOINT_URL")?;
                }
            }
        }
        Ok(Self {
            source,
            user: OnceCell::new(),
            accounts: Mutex::default(),
        })
    }

    /// The hub in a Region.
    ///
    /// # Errors
    /// If no credentials are found, or if they give no access to the account.
    pub async fn hub(&self, id: &str, region: &str) -> Result<Account> {
        self.account(id, region, None).await
    }

    /// The account of the credentials in a Region; in a local cloud, the hub.
    ///
    /// # Errors
    /// If no credentials are found, or if AWS does not accept them.
    pub async fn own(&self, region: &str) -> Result<Account> {
        let endpoint_url = match &self.source {
            Source::LocalCloud { url } => return Ok(Account::new(url, crate::LOCAL_HUB, region)),
            Source::User { endpoint_url, .. } => endpoint_url.as_deref(),
        };
        let (id, user) = self.user.get_or_try_init(|| user(endpoint_url, region)).await?;
        let mut account = user.at(region);
        account.id.clone_from(id);
        Ok(account)
    }

    /// A source account in a Region.
    ///
    /// # Errors
    /// If no credentials are found, or if they give no access to the account.
    pub async fn source(&self, id: &str, region: &str) -> Result<Account> {
        self.account(id, region, Some(SOURCE_READER)).await
    }

    /// A target account in a Region.
    ///
    /// # Errors
    /// If no credentials are found, or if they give no access to the account.
    pub async fn target(&self, id: &str, region: &str) -> Result<Account> {
        self.account(id, region, Some(TARGET_READER)).await
    }

    async fn account(&self, id: &str, region: &str, reader: Option<&str>) -> Result<Account> {
        let cell = {
            let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            let key = format!("{id} {}", reader.unwrap_or_default());
            accounts.entry(key).or_default().clone()
        };
        let account = cell.get_or_try_init(|| self.sign_in(id, region, reader)).await?;
        Ok(account.at(region))
    }

    /// The Region of the user's configuration, or of the demo in a local cloud.
    ///
    /// # Errors
    /// If no Region is configured.
    pub async fn region(&self) -> Result<String> {
        match self.source {
            Source::LocalCloud { .. } => Ok(crate::LOCAL_REGION.to_owned()),
            Source::User { .. } => {
                let region = account::configured_region().await;
                region.context("no Region is configured: name some with --regions, or set AWS_REGION")
            }
        }
    }

    async fn sign_in(&self, id: &str, region: &str, reader: Option<&str>) -> Result<Account> {
        let (endpoint_url, role) = match &self.source {
            Source::LocalCloud { url } => return Ok(Account::new(url, id, region)),
            Source::User { endpoint_url, role } => (endpoint_url.as_deref(), role),
        };
        let user = self.user.get_or_try_init(|| user(endpoint_url, region));
        let (own_id, user) = user.await?;
        match (role, reader) {
            (Role::Readers, Some(reader)) => user.at(region).assume(id, &installation().role(reader)).await,
            _ if own_id == id => Ok(user.at(region)),
            (Role::Named(role), _) => user.at(region).assume(id, &format!("role/{role}")).await,
            _ => bail!(
                "the credentials are of account {own_id}; to read {id}, name a role with --role-name, or use --readers"
            ),
        }
    }
}

/// The account of the user's credentials, and its id.
async fn user(endpoint_url: Option<&str>, region: &str) -> Result<(String, Account)> {
    let account = Account::of_user(endpoint_url, region).await?;
    let caller = account.sts().get_caller_identity().send().await;
    let caller = caller
        .map_err(ampxa::Error::from)
        .context("AWS did not accept the credentials")?;
    let id = caller
        .account()
        .context("STS returned no account id for the credentials")?;
    Ok((id.to_owned(), account))
}

/// Checks that a local cloud accepts its URL, whose path is a secret.
fn check_local_cloud(url: &str) -> Result<()> {
    check_endpoint(url)?;
    let request = ureq::get(format!("{}/_cloud/health", url.trim_end_matches('/'))).config();
    let request = request
        .timeout_global(Some(CONNECT_TIMEOUT))
        .http_status_as_error(false);
    let response = request.build().call();
    let mut response = response.with_context(|| format!("{url} is not a local cloud"))?;
    let reason = response.body_mut().read_to_string().unwrap_or_default();
    ensure!(
        response.status().is_success(),
        "{url} answered {}: {}",
        response.status(),
        reason.trim_end()
    );
    Ok(())
}

/// Checks that a URL is valid and that a server listens there.
fn check_endpoint(url: &str) -> Result<()> {
    let expected = "expected a URL such as http://127.0.0.1:4566/<secret>";
    let uri: ureq::http::Uri = url.parse().map_err(|_| anyhow!("{url:?} is not a URL; {expected}"))?;
    let port = match (uri.scheme_str(), uri.port_u16()) {
        (Some("http"), port) => port.unwrap_or(80),
        (Some("https"), port) => port.unwrap_or(443),
        _ => bail!("{url:?} is not a URL; {expected}"),
    };
    let host = uri.host().filter(|host| !host.is_empty());
    let host = host.with_context(|| format!("{url:?} has no host; {expected}"))?;
    let unbracketed = host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<_> = match (unbracketed, port).to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => bail!("the host {host} of {url} cannot be resolved: {error}"),
    };
    let mut errors = Vec::new();
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(_) => return Ok(()),
            Err(error) => errors.push(error.to_string()),
        }
    }
    ensure!(
        errors.is_empty(),
        "nothing listens at {url} ({}): start it, or correct the URL",
        errors.join(", ")
    );
    bail!("the host {host} of {url} has no address")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn an_invalid_url_is_reported_in_one_line_with_an_example() {
        for url in ["", "4566", "ftp://127.0.0.1", "http://", "127.0.0.1:4566"] {
            let error = format!("{:#}", check_endpoint(url).unwrap_err());
            assert!(
                error.contains("expected a URL such as http://127.0.0.1:4566/<secret>"),
                "{url}: {error}"
            );
            assert_eq!(error.lines().count(), 1);
        }
    }

    #[test]
    fn a_closed_port_is_reported_with_its_url() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        check_endpoint(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        // Another process can get the port of a listener that was closed, but not this one.
        let url = "http://127.0.0.1:1";
        let error = check_endpoint(url).unwrap_err().to_string();
        assert!(error.starts_with(&format!("nothing listens at {url} (")), "{error}");
    }
}
