//! The arguments of commands that only read.

use super::{Clock, Endpoint, Hub, Roles, account_id};
use ampxa::arn::ClusterArn;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The arguments of `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// Prints CSV for a spreadsheet: account, region, cluster, workspace, verdict, error, reason, fix.
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Prints one JSON document on standard output.
    #[arg(long)]
    pub json: bool,
    /// Prints only clusters with this verdict, such as FAILED. Can be repeated.
    #[arg(long = "verdict", value_name = "VERDICT")]
    pub verdicts: Vec<String>,
    /// The hub.
    #[command(flatten)]
    pub hub: Hub,
}

/// The arguments of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Reads the accounts now, instead of the last report. Needs --accounts, except for a local cloud.
    #[arg(long)]
    pub live: bool,
    /// Source accounts, separated by commas. Default for a local cloud: its source account.
    #[arg(long, value_name = "IDS", value_delimiter = ',', value_parser = account_id, requires = "live")]
    pub accounts: Vec<String>,
    /// Regions, separated by commas. Default: the Region of your configuration.
    #[arg(long, value_name = "REGIONS", value_delimiter = ',', requires = "live")]
    pub regions: Vec<String>,
    /// Exits with 1 if there are no pairs, if a pair or cluster needs an action, if an account lacks the roles of ampxa,
    /// or if something could not be read. Without --check, only the last is a failure.
    #[arg(long)]
    pub check: bool,
    /// The hub.
    #[command(flatten)]
    pub hub: Hub,
    /// The roles.
    #[command(flatten)]
    pub roles: Roles,
    /// Prints one JSON document on standard output.
    #[arg(long)]
    pub json: bool,
}

/// The commands of `routes`.
#[derive(Debug, Subcommand)]
pub enum Routes {
    /// Checks a routing table in a file. Makes no call to AWS.
    #[command(after_help = "\
Example:
  ampxa routes check routes.json")]
    Check(RoutesCheck),
    /// Explains which rule routes a cluster, and why each other rule does not.
    #[command(after_help = "\
Examples:
  ampxa routes explain arn:aws:eks:us-west-2:222222222222:cluster/payments
  ampxa routes explain CLUSTER_ARN --file routes.json --tags team=payments env=prod --ou ou-a1b2-c3d4e5f6")]
    Explain(Box<RoutesExplain>),
}

/// The arguments of `routes check`.
#[derive(Debug, Args)]
pub struct RoutesCheck {
    /// The file with the table.
    pub file: PathBuf,
    /// The name of the hub's stack. Parameters that the table names begin with it.
    #[arg(long, value_name = "STACK", default_value = "ampxa")]
    pub hub: String,
    /// Prints one JSON document on standard output.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `routes explain`.
#[derive(Debug, Args)]
pub struct RoutesExplain {
    /// The ARN of the cluster. It need not exist.
    pub cluster: ClusterArn,
    /// The tags of the cluster. Default: those of the cluster in EKS, if it can be read.
    #[arg(long, value_name = "KEY=VALUE", num_args = 1.., value_parser = tag)]
    pub tags: Vec<(String, String)>,
    /// The organizational units above the account. Default: those in AWS Organizations, if they can be read.
    #[arg(long = "ou", value_name = "ID", num_args = 1..)]
    pub organizational_units: Vec<String>,
    /// A file with the table. Default: the table of the hub.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The hub.
    #[command(flatten)]
    pub hub: Hub,
    /// The roles.
    #[command(flatten)]
    pub roles: Roles,
    /// Prints one JSON document on standard output.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Source accounts, separated by commas. Default: the source and target accounts of the last report.
    #[arg(long, value_name = "IDS", value_delimiter = ',', value_parser = account_id)]
    pub accounts: Vec<String>,
    /// The hub.
    #[command(flatten)]
    pub hub: Hub,
    /// The roles.
    #[command(flatten)]
    pub roles: Roles,
    /// Prints one JSON document on standard output.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `page`.
#[derive(Debug, Args)]
pub struct Page {
    /// The ARN of an execution of ampxa-onboard.
    pub execution: String,
    /// The endpoint.
    #[command(flatten)]
    pub endpoint: Endpoint,
    /// The roles.
    #[command(flatten)]
    pub roles: Roles,
    /// The clock.
    #[command(flatten)]
    pub clock: Clock,
    /// The file of the page.
    #[arg(long, value_name = "FILE", default_value = "onboard.html")]
    pub page: PathBuf,
}

fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected a tag such as team=payments".to_owned()),
    }
}
