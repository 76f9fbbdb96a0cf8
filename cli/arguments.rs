//! The arguments of the command `ampxa`.

use crate::{
    credentials::{Credentials, Role, Source},
    terminal::minute,
};
use ampxa::arn::{AccountId, ClusterArn, WorkspaceArn};
use anyhow::Result;
use clap::{ArgGroup, Args, Parser, Subcommand, builder::ArgPredicate};
use std::path::PathBuf;

/// Connects EKS clusters to AMP workspaces in other accounts: shows plans, starts and follows executions, reports.
///
/// Credentials come from the environment, a profile, `aws login`, IAM Identity Center or a credential process.
/// AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_<SERVICE> change the endpoints of AWS; the credentials stay the same.
#[derive(Debug, Parser)]
#[command(name = "ampxa", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    success
  1    a failure, or a finding of a check
  2    arguments that are not valid
  3    an execution would fail, or the plan has changed
  130  interrupted; an execution that was started continues";

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows what an onboarding, an offboarding or a reconciliation would change. Changes nothing.
    #[command(after_help = "\
Examples:
  ampxa plan arn:aws:eks:us-west-2:222222222222:cluster/payments arn:aws:aps:us-west-2:333333333333:workspace/ws-0a1b
  ampxa plan arn:aws:eks:us-west-2:222222222222:cluster/payments --offboard
  ampxa plan --organization --regions us-west-2,eu-west-1")]
    Plan(Plan),
    /// Connects a cluster to a workspace: shows the plan, asks, and follows the execution.
    #[command(after_help = "\
Examples:
  ampxa onboard arn:aws:eks:us-west-2:222222222222:cluster/payments arn:aws:aps:us-west-2:333333333333:workspace/ws-0a1b
  ampxa onboard CLUSTER_ARN WORKSPACE_ARN --request labels.json --yes")]
    Onboard(Onboard),
    /// Disconnects a cluster from a workspace, or from all: shows the plan, asks, and follows the execution.
    #[command(after_help = "\
Examples:
  ampxa offboard arn:aws:eks:us-west-2:222222222222:cluster/payments
  ampxa offboard CLUSTER_ARN WORKSPACE_ARN --yes --json")]
    Offboard(Offboard),
    /// Connects the clusters of many accounts by the routing table: shows the plan, asks, and follows the execution.
    #[command(after_help = "\
Examples:
  ampxa reconcile --organization --plan
  ampxa reconcile --accounts 222222222222,444444444444 --regions us-west-2
  ampxa reconcile --accounts 222222222222 --disconnect")]
    Reconcile(Reconcile),
    /// Follows an execution until it ends, and prints its result.
    #[command(after_help = "\
Example:
  ampxa follow arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:0a1b2c3d")]
    Follow(Follow),
    /// Prints the report of the last reconciliation.
    #[command(after_help = "\
Examples:
  ampxa report --verdict FAILED --verdict UNREACHABLE
  ampxa report --csv > clusters.csv")]
    Report(Report),
    /// Lists pairs: those of the last report, or, with --live, those that the accounts have now.
    #[command(after_help = "\
Examples:
  ampxa status --check
  ampxa status --live --accounts 222222222222 --regions us-west-2 --readers")]
    Status(Status),
    /// Checks a routing table, or explains the route of a cluster.
    #[command(subcommand)]
    Routes(Routes),
    /// Checks the installation: stack, executions, alerts, trail, rules, roles. Each finding has its fix.
    #[command(after_help = "\
Examples:
  ampxa doctor
  ampxa doctor --accounts 222222222222 --readers")]
    Doctor(Doctor),
    /// Writes an HTML page of an onboarding: states, trust policies, calls, samples.
    Page(Page),
}

/// The arguments of `plan`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true).args(["cluster", "accounts", "organization"]))]
pub struct Plan {
    /// The ARN of the cluster.
    #[arg(conflicts_with_all = ["accounts", "organization", "regions", "disconnect"])]
    pub cluster: Option<ClusterArn>,
    /// The ARN of the workspace. Optional with --offboard.
    pub workspace: Option<WorkspaceArn>,
    /// Shows the plan of an offboarding.
    #[arg(long, conflicts_with_all = ["accounts", "organization"])]
    pub offboard: bool,
    /// A file with further fields of the request, as a JSON object.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["accounts", "organization"])]
    pub request: Option<PathBuf>,
    /// The clusters of a reconciliation.
    #[command(flatten)]
    pub fleet: Fleet,
    /// The hub.
    #[command(flatten)]
    pub hub: Hub,
    /// Prints one JSON document on standard output.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `onboard`.
#[derive(Debug, Args)]
pub struct Onboard {
    /// The ARN of the cluster.
    pub cluster: ClusterArn,
    /// The ARN of the workspace.
    pub workspace: WorkspaceArn,
    /// What both commands for a pair have in common.
    #[command(flatten)]
    pub pair: Pair,
}

/// The arguments of `offboard`.
#[derive(Debug, Args)]
pub struct Offboard {
    /// The ARN of the cluster.
    pub cluster: ClusterArn,
    /// The ARN of the workspace. Default: all workspaces that the cluster is connected to.
    pub workspace: Option<WorkspaceArn>,
    /// What both commands for a pair have in common.
    #[command(flatten)]
    pub pair: Pair,
}

/// What `onboard` and `offboard` have in common.
#[derive(Debug, Args)]
pub struct Pair {
    /// A file with further fields of the request, as a JSON object.
    #[arg(long, value_name = "FILE")]
    pub request: Option<PathBuf>,
    /// Applies the plan without asking.
    #[arg(long)]
    pub yes: bool,
    /// The hub.
    #[command(flatten)]
    pub hub: Hub,
    /// Prints one JSON document on standard output.
    #[arg(long)]
    pub json: bool,
}

/// The clusters of a reconciliation.
#[derive(Debug, Args)]
pub struct Fleet {
    /// The accounts, separated by commas. Default: those of the hub's parameters.
    #[arg(long, value_name = "IDS", value_delimiter = ',', value_parser = account_id, conflicts_with = "organization")]
    pub accounts: Vec<String>,
    /// All accounts of the organization.
    #[arg(long)]
    pub organization: bool,
    /// The Regions, separated by commas. Default: those of the hub's parameters.
    #[arg(long, value_name = "REGIONS", value_delimiter = ',')]
    pub regions: Vec<String>,
    /// Disconnects the clusters instead of connecting them.
    #[arg(long)]
    pub disconnect: bool,
}

/// The arguments of `reconcile`.
#[derive(Debug, Args)]
pub struct Reconcile {
    /// The clusters.
    #[command(flatten)]
    pub fleet: Fleet,
    /// Shows the plan only.
    #[arg(long, conflicts_with = "yes")]
    pub plan: bool,
    /// Applies the plan without asking.
    #[arg(long)]
    pub yes: bool,
    /// The hub.
    #[command(flatten)]
    pub hub: Hub,
    /// Prints one JSON document on standard output.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `follow`.
#[derive(Debug, Args)]
pub struct Follow {
    /// The ARN of the execution.
    pub execution: String,
    /// The endpoint.
    #[command(flatten)]
    pub endpoint: Endpoint,
    /// The clock.
    #[command(flatten)]
    pub clock: Clock,
    /// Prints one JSON document on standard output.
    #[arg(long)]
    pub json: bool,
}

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

fn account_id(text: &str) -> Result<String, String> {
    text.parse::<AccountId>().map(String::from)
}

fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected a tag such as team=payments".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn arguments_that_exclude_each_other_are_rejected() {
        let cluster = "arn:aws:eks:us-west-2:222222222222:cluster/a";
        let valid = |arguments: &[&str]| Cli::try_parse_from([&["ampxa"], arguments].concat()).is_ok();
        assert!(valid(&["plan", cluster, "--offboard"]));
        assert!(valid(&["plan", "--organization", "--regions", "us-west-2"]));
        assert!(!valid(&["plan"]));
        assert!(!valid(&["plan", cluster, "--organization"]));
        assert!(!valid(&["plan", "--organization", "--offboard"]));
        assert!(!valid(&["reconcile", "--plan", "--yes"]));
        assert!(!valid(&["onboard", cluster]));
        assert!(!valid(&["status", "--accounts", "222222222222"]));
        assert!(!valid(&["report", "--csv", "--json"]));
        assert!(!valid(&["routes", "explain", cluster, "--tags", "team"]));
    }
}
