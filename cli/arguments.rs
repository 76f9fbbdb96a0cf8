//! The arguments of the command `ampxa`.

mod common;
mod reading;

pub use common::{Clock, Endpoint, Hub, Roles};
pub use reading::{Doctor, Page, Report, Routes, RoutesCheck, RoutesExplain, Status};

use ampxa::arn::{AccountId, ClusterArn, WorkspaceArn};
use clap::{ArgGroup, Args, Parser, Subcommand};
use std::path::PathBuf;

/// Connects EKS clusters to AMP workspaces in other accounts: shows plans, starts and follows executions, reports.
///
/// Credentials come from the environment, a profile, `aws login`, IAM Identity Center or a credential process.
/// AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_… change the endpoints of AWS; the credentials stay the same.
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
  ampxa onboard CLUSTER_ARN WORKSPACE_ARN --request labels.json --yes
  ampxa onboard CLUSTER_ARN WORKSPACE_ARN --adopt")]
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
    /// Adopts an existing scraper that ampxa did not create.
    #[arg(long, conflicts_with_all = ["accounts", "organization", "offboard"])]
    pub adopt: bool,
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
    /// Adopts an existing scraper that ampxa did not create.
    #[arg(long)]
    pub adopt: bool,
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
    /// Applies the plan without asking, if this is its fingerprint.
    #[arg(long, value_name = "FINGERPRINT", conflicts_with = "yes")]
    pub expected_plan: Option<String>,
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
    #[arg(long, conflicts_with_all = ["yes", "expected_plan"])]
    pub plan: bool,
    /// Applies the plan without asking.
    #[arg(long)]
    pub yes: bool,
    /// Applies the plan without asking, if this is its fingerprint.
    #[arg(long, value_name = "FINGERPRINT", conflicts_with = "yes")]
    pub expected_plan: Option<String>,
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

fn account_id(text: &str) -> Result<String, String> {
    text.parse::<AccountId>().map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use std::{fs, path::Path, process::Command};

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

    /// The calls of `ampxa` in a block of a document, as Bash passes them on. All other commands do nothing.
    fn calls_in(block: &str) -> Vec<Vec<String>> {
        let script = format!(
            r#"PATH=
ampxa() {{ printf '%s\0' "$@"; printf '\n\0'; }} >&3
command_not_found_handle() {{ :; }}
cluster=arn:aws:eks:us-west-2:222222222222:cluster/demo workspace=arn:aws:aps:us-west-2:333333333333:workspace/ws-0a1b
exec 3>&1
{{
{block}
}} > /dev/null 2>&1
"#
        );
        // Some of the commands write files.
        let folder = std::env::temp_dir().join(format!("ampxa-documents-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let run = Command::new("/bin/bash")
            .args(["-c", &script])
            .current_dir(&folder)
            .output();
        let printed = String::from_utf8(run.expect("Bash").stdout).expect("UTF-8");
        let calls = printed.split("\0\n\0").filter(|call| !call.is_empty());
        calls
            .map(|call| call.split('\0').map(str::to_owned).collect())
            .collect()
    }

    #[test]
    fn the_calls_of_the_command_in_the_documents_are_valid() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut documents: Vec<PathBuf> = fs::read_dir(root.join("docs"))
            .expect("docs")
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
            .collect();
        documents.push(root.join("README.md"));
        let mut number = 0;
        for document in documents {
            let text = fs::read_to_string(&document).expect("a document");
            let blocks = text.split("```").skip(1).step_by(2);
            for block in blocks.filter_map(|block| block.strip_prefix('\n')) {
                for mut call in calls_in(block) {
                    number += 1;
                    call.insert(0, "ampxa".to_owned());
                    let parsed = Cli::try_parse_from(&call);
                    assert!(parsed.is_ok(), "{}: {call:?}: {:?}", document.display(), parsed.err());
                }
            }
        }
        assert!(number >= 12, "{number}");
        let folder = std::env::temp_dir().join(format!("ampxa-documents-{}", std::process::id()));
        drop(fs::remove_dir_all(folder));
    }
}
