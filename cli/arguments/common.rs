//! The arguments that commands have in common: hub, endpoint, clock and roles.

use crate::{
    credentials::{Credentials, Role, Source},
    terminal::minute,
};
use anyhow::Result;
use clap::{Args, builder::ArgPredicate};

/// The stack of the hub.
#[derive(Debug, Args)]
pub struct Hub {
    /// The name of the hub's stack.
    #[arg(long, value_name = "STACK", default_value = "ampxa")]
    pub hub: String,
    /// The Region of the hub. Default: the Region of your configuration.
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// The endpoint.
    #[command(flatten)]
    pub endpoint: Endpoint,
    /// The clock.
    #[command(flatten)]
    pub clock: Clock,
}

/// Where the calls are sent.
#[derive(Debug, Args)]
pub struct Endpoint {
    /// The URL of a running local cloud, with its path. The command uses the root user of each account.
    #[arg(long, value_name = "URL")]
    pub local_cloud: Option<String>,
    /// The endpoint URL for all services. Your credentials are used there.
    #[arg(long, value_name = "URL", conflicts_with = "local_cloud")]
    pub endpoint_url: Option<String>,
}

/// The clock of a local cloud.
#[derive(Debug, Args)]
pub struct Clock {
    /// Real seconds that a minute takes: 60 in AWS; in a local cloud the value of its --minute (default 1).
    #[arg(
        long,
        default_value_t = 60.0,
        default_value_if("local_cloud", ArgPredicate::IsPresent, "1"),
        value_parser = minute,
        hide_default_value = true
    )]
    pub minute: f64,
}

/// The role that is assumed in an account.
#[derive(Debug, Args)]
pub struct Roles {
    /// The role to assume in every account other than that of your credentials, including target accounts.
    #[arg(long, value_name = "NAME", conflicts_with = "local_cloud")]
    pub role_name: Option<String>,
    /// Assumes ampxa's readers: ampxa-reader-source in source accounts, ampxa-reader-target in target accounts. The
    /// parameter ReaderPrincipalArns of the account templates must contain your role.
    #[arg(long, conflicts_with_all = ["local_cloud", "role_name"])]
    pub readers: bool,
}

impl Endpoint {
    /// The credentials for this endpoint. Makes no call to AWS.
    ///
    /// # Errors
    /// If the endpoint does not answer.
    pub fn credentials(&self, roles: Option<&Roles>) -> Result<Credentials> {
        Credentials::new(match &self.local_cloud {
            Some(url) => Source::LocalCloud { url: url.clone() },
            None => Source::User {
                endpoint_url: self.endpoint_url.clone(),
                role: match roles {
                    Some(Roles {
                        role_name: Some(name), ..
                    }) => Role::Named(name.clone()),
                    Some(Roles { readers: true, .. }) => Role::Readers,
                    _ => Role::None,
                },
            },
        })
    }
}
