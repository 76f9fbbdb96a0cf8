//! The step `Check cluster`: checks cluster, network, workspace, consent and quota before anything is created.
//!
//! The rules are AMP's (user guide, "Using an AWS managed collector": limitations, and "Set up managed collectors for
//! Amazon EKS").

use crate::{
    arn::{ClusterArn, WorkspaceArn},
    aws::{Account, ec2, none_if},
    consent, environment,
    error::Error,
    network::{self, Network},
    pair::Pair,
    permission::Permission,
    problems::Problems,
    request::{ClusterAccess, Preparation},
    roles::{self, EnsureInput},
    routing::glob,
    scraper::{self, ExistingScraper, Inventory, StaleScraper},
    task::Task,
};
use aws_sdk_amp::{
    primitives::DateTime,
    types::{WorkspaceDescription, WorkspaceStatusCode},
};
use aws_sdk_eks::types::{Cluster, ClusterStatus};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// AMP's default quota of scrapers in a Region of an account (AMP service quotas).
pub const DEFAULT_SCRAPER_QUOTA: usize = 10;

/// The clients of this step.
#[derive(Debug)]
pub struct Clients {
    /// EKS of the source account.
    pub eks: aws_sdk_eks::Client,
    /// EC2 of the source account.
    pub ec2: ec2::Client,
    /// IAM of the source account.
    pub source_iam: aws_sdk_iam::Client,
    /// AMP of the source account.
    pub source_amp: aws_sdk_amp::Client,
    /// AMP of the target account.
    pub target_amp: aws_sdk_amp::Client,
    /// The clients of the check of consent.
    pub consent: consent::Clients,
}

impl Clients {
    /// Clients with the readers of both accounts.
    pub fn new(hub: &Account, source: &Account, target: &Account) -> Self {
        Self {
            eks: source.eks(),
            ec2: source.ec2(),
            source_iam: source.iam(),
            source_amp: source.amp(),
            target_amp: target.amp(),
            consent: consent::Clients {
                organizations: hub.organizations(),
                target_iam: target.iam(),
            },
        }
    }
}

/// The parameters of the hub's template that concern this step.
#[derive(Debug)]
pub struct Settings {
    /// The quotas of scrapers.
    pub quotas: Quotas,
    /// Patterns of the ARNs of workspaces that clusters may be connected to. Empty: every workspace.
    pub allowed_workspaces: Vec<String>,
    /// Those of the check of consent.
    pub consent: consent::Settings,
}

impl Settings {
    /// Reads `AMPXA_ALLOWED_WORKSPACES`, and the environment variables of [`Quotas`] and [`consent::Settings`].
    ///
    /// # Errors
    /// [`environment::Missing`] if one of them is not set.
    pub fn from_environment() -> Result<Self, environment::Missing> {
        Ok(Self {
            quotas: Quotas::from_environment()?,
            allowed_workspaces: environment::required("AMPXA_ALLOWED_WORKSPACES")?
                .split(',')
                .filter(|pattern| !pattern.is_empty())
                .map(str::to_owned)
                .collect(),
            consent: consent::Settings::from_environment()?,
        })
    }

    /// Checks a workspace against the parameter `AllowedWorkspaces`, before any call.
    ///
    /// # Errors
    /// `InvalidRequest` if the parameter is set and no pattern of it matches.
    pub fn check_is_allowed(&self, workspace: &WorkspaceArn) -> Result<(), Error> {
        let (arn, allowed) = (workspace.to_string(), &self.allowed_workspaces);
        if allowed.is_empty() || allowed.iter().any(|pattern| glob::matches(pattern, &arn)) {
            return Ok(());
        }
        Err(Error::invalid(
            "workspaceArn",
            format!(
                "the hub's parameter AllowedWorkspaces does not allow {arn}; expected a workspace that matches {}",
                allowed.join(" or ")
            ),
        ))
    }
}

/// No values from earlier steps.
#[derive(Debug, Deserialize)]
pub struct Input {}

/// The result of the checks.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Whether the cluster can be scraped now.
    pub readiness: Readiness,
    /// The changes of the cluster that the request and its account allow, and that the scraper needs first, in order.
    pub preparations: Vec<Preparation>,
    /// The network of the scraper, if the cluster is ready.
    pub network: Option<Network>,
    /// The existing scraper of the pair.
    #[serde(flatten)]
    pub scraper: Option<ExistingScraper>,
    /// Scrapers of the pair that must be deleted first.
    pub stale_scrapers: Vec<StaleScraper>,
    /// Whether a person must map the scraper in the ConfigMap `aws-auth`.
    pub manual_access: bool,
    /// The number of scrapers of the account in the Region, including this one and without stale ones.
    pub scrapers: usize,
    /// The quota of scrapers of the account in the Region.
    pub quota: usize,
}

/// Whether the cluster can be scraped now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Readiness {
    /// It is ACTIVE. It may have to be prepared.
    Ready,
    /// It is being created or updated: poll again.
    Waiting,
}

/// The quotas of scrapers, by account and Region.
#[derive(Debug, Default)]
pub struct Quotas(HashMap<String, usize>);

impl Quotas {
    /// Reads the quotas from `AMPXA_SCRAPER_QUOTA`. `10,222222222222=20,222222222222/us-west-2=50` is 50 in that Region
    /// of that account, 20 in its other Regions, and 10 in all other accounts.
    ///
    /// # Errors
    /// [`environment::Missing`] if the variable is not set.
    pub fn from_environment() -> Result<Self, environment::Missing> {
        Ok(Self::parse(&environment::required("AMPXA_SCRAPER_QUOTA")?))
    }

    /// Parses the quotas. An item that is not valid is ignored: the pattern of the template's parameter admits none.
    pub fn parse(text: &str) -> Self {
        let mut quotas = HashMap::new();
        for item in text.split(',') {
            let (location, quota) = item.split_once('=').unwrap_or(("", item));
            if let Ok(quota) = quota.parse() {
                quotas.insert(location.to_owned(), quota);
            }
        }
        Self(quotas)
    }

    /// The quota for an account and Region: the most specific one, else [`DEFAULT_SCRAPER_QUOTA`].
    pub fn of(&self, account: &str, region: &str) -> usize {
        let locations = [format!("{account}/{region}"), account.to_owned(), String::new()];
        let quota = locations.iter().find_map(|location| self.0.get(location));
        quota.copied().unwrap_or(DEFAULT_SCRAPER_QUOTA)
    }
}

/// Checks the prerequisites of a pair. Read-only.
///
/// Every check is made, so that a person learns of all prerequisites that are not met at once. The name of the error is
/// that of the first one, and its message lists all of them.
///
/// # Errors
/// `NotReady` if a prerequisite is not met, with the command that fixes it, if one exists; `NotAccepted` if the
/// workspace does not accept the account of the cluster; `InvalidRequest` if the
/// request names a subnet or security group that cannot be used; `QuotaExceeded` if the quota is reached; `Conflict` if
/// a scraper of the cluster and workspace does not have our tags, and the request does not adopt it or it cannot be
/// adopted; and those of the calls to EKS, EC2 and AMP.
pub async fn check(aws: &Clients, task: &Task<Input>, settings: &Settings) -> Result<Output, Error> {
    let (output, mut problems) = examine(aws, task, settings).await?;
    if !output.preparations.is_empty() {
        // A cluster is not changed, which may be irreversible, for a pair whose roles cannot be ensured.
        let ensure = task.with_input(EnsureInput::default());
        problems.note(roles::compare(&aws.source_iam, &roles::source(&ensure)).await)?;
        problems.note(roles::compare(&aws.consent.target_iam, &roles::target(&ensure)).await)?;
    }
    problems.into_result()?;
    Ok(output)
}

/// As [`check`]. The prerequisites that are not met are a result instead of an error; what they prevent from being known
/// is missing in the output.
///
/// # Errors
/// Those of [`Problems::note`].
pub(crate) async fn examine<I>(
    aws: &Clients,
    task: &Task<I>,
    settings: &Settings,
) -> Result<(Output, Problems), Error> {
    let mut problems = Problems::default();
    let quota = settings
        .quotas
        .of(task.pair.cluster.account(), task.pair.cluster.region());
    let cluster = problems.note(describe(&aws.eks, &task.pair.cluster).await)?;
    let access = match &cluster {
        Some(cluster) => problems.note(check_access(&aws.source_iam, cluster, task).await)?,
        None => None,
    };
    let access = access.unwrap_or_default();
    let tags = problems.note(check_workspace(aws, &task.pair).await)?;
    let created_at = cluster.as_ref().and_then(Cluster::created_at);
    let (inventory, scrapers) = problems
        .note(check_scrapers(aws, task, created_at, quota).await)?
        .unwrap_or_default();
    if let Some(tags) = tags {
        let connected = inventory
            .scraper
            .as_ref()
            .is_some_and(|scraper| scraper.adoption.is_none());
        problems.note(consent::check(&aws.consent, settings.consent, &task.pair, &tags, connected).await)?;
    }
    let ready = cluster.filter(|cluster| cluster.status() == Some(&ClusterStatus::Active));
    let network = match &ready {
        Some(cluster) => network::select(&aws.ec2, cluster, &task.request, &mut problems).await?,
        None => None,
    };
    let output = Output {
        readiness: if ready.is_some() {
            Readiness::Ready
        } else {
            Readiness::Waiting
        },
        preparations: access.preparations,
        network,
        scraper: inventory.scraper,
        stale_scrapers: inventory.stale_scrapers,
        manual_access: access.is_manual,
        scrapers,
        quota,
    };
    Ok((output, problems))
}

/// Describes a cluster; none if it does not exist.
pub(crate) async fn find(eks: &aws_sdk_eks::Client, cluster: &ClusterArn) -> Result<Option<Cluster>, Error> {
    let result = eks.describe_cluster().name(cluster.id()).send().await;
    let output = none_if(result, |e| e.is_resource_not_found_exception())?;
    Ok(output.and_then(|output| output.cluster))
}

/// Describes a cluster.
///
/// # Errors
/// `NotReady` if it does not exist, failed or is being deleted; and those of the call.
pub(crate) async fn describe(eks: &aws_sdk_eks::Client, arn: &ClusterArn) -> Result<Cluster, Error> {
    let missing = || Error::NotReady(format!("The cluster {arn} does not exist."));
    let cluster = find(eks, arn).await?.ok_or_else(missing)?;
    match cluster.status() {
        Some(status @ (ClusterStatus::Failed | ClusterStatus::Deleting)) => Err(Error::NotReady(format!(
            "The cluster {arn} is {status}; it must be ACTIVE."
        ))),
        _ => Ok(cluster),
    }
}

/// How a scraper gets access to the cluster.
#[derive(Debug, Default)]
struct Access {
    /// Whether a person must map the scraper in the ConfigMap `aws-auth`.
    is_manual: bool,
    /// The changes of the cluster that must be made first.
    preparations: Vec<Preparation>,
}

/// Checks that a scraper can access the cluster, or that the request and the account allow the changes that it needs.
async fn check_access<I>(source_iam: &aws_sdk_iam::Client, cluster: &Cluster, task: &Task<I>) -> Result<Access, Error> {
    let mut missing: Vec<Preparation> = Preparation::ALL.map(|(_, change)| change).to_vec();
    missing.retain(|change| !change.is_done(cluster));
    let mut is_manual = missing.contains(&Preparation::AccessEntries);
    if task.request.cluster_access == ClusterAccess::Manual {
        missing.retain(|change| *change != Preparation::AccessEntries);
    }
    let requested = |change: &Preparation| task.request.prepare_cluster.contains(change);
    let is_requested = !missing.is_empty() && missing.iter().all(requested);
    if missing.is_empty() || is_requested && Permission::PrepareClusters.is_given(source_iam).await? {
        is_manual &= !missing.contains(&Preparation::AccessEntries);
        return Ok(Access {
            is_manual,
            preparations: missing,
        });
    }
    Err(cannot_access(&task.pair.cluster, &missing, is_requested))
}

/// The error of a cluster without the `missing` changes. `is_requested`: the request allows them, but not the account.
fn cannot_access(cluster: &ClusterArn, missing: &[Preparation], is_requested: bool) -> Error {
    let (name, region) = (cluster.id(), cluster.region());
    let update = format!("aws eks update-cluster-config --region {region} --name {name}");
    let fixes = missing.iter().map(|change| match change {
        Preparation::PrivateEndpoint => format!(
            "Private access to its endpoint is disabled, and the scraper connects through the VPC. Enable it:\n  \
             {update} --resources-vpc-config endpointPrivateAccess=true"
        ),
        Preparation::AccessEntries => format!(
            "Its authentication mode is CONFIG_MAP, in which AMP cannot add an access entry for the scraper. Either \
             change the mode, which cannot be reverted:\n  \
             {update} --access-config authenticationMode=API_AND_CONFIG_MAP\n\
             or set \"clusterAccess\": \"MANUAL\" in the request and map the scraper in the ConfigMap aws-auth."
        ),
    });
    // EKS refuses an update while another one is in progress.
    let wait = format!(
        "\nBefore the next command, wait until EKS has finished the update:\n  \
         aws eks wait cluster-active --region {region} --name {name}\n"
    );
    let fixes: Vec<String> = fixes.collect();
    let names: Vec<String> = missing
        .iter()
        .map(|change| format!("\"{}\"", change.as_str()))
        .collect();
    let account = cluster.account();
    let permit = format!("the stack of infra/source-account.yaml in the account {account} with MayPrepareClusters=yes");
    let prepare = match is_requested {
        true => format!("The request allows ampxa to make these changes, but the account does not: deploy {permit}."),
        false => format!(
            "ampxa makes these changes itself with \"prepareCluster\": [{}] in the request or the rule of the routing \
             table, if you deploy {permit}.",
            names.join(", ")
        ),
    };
    Error::NotReady(format!(
        "A scraper cannot access the cluster {cluster} yet. {}\n{prepare}",
        fixes.join(&wait)
    ))
}

/// Describes a workspace. `None` if it does not exist.
///
/// # Errors
/// Those of the call.
pub(crate) async fn find_workspace(
    target_amp: &aws_sdk_amp::Client,
    workspace: &WorkspaceArn,
) -> Result<Option<WorkspaceDescription>, Error> {
    let result = target_amp
        .describe_workspace()
        .workspace_id(workspace.id())
        .send()
        .await;
    Ok(none_if(result, |e| e.is_resource_not_found_exception())?.and_then(|output| output.workspace))
}

/// Checks the status of the workspace; returns its tags.
async fn check_workspace(aws: &Clients, pair: &Pair) -> Result<HashMap<String, String>, Error> {
    let workspace = &pair.workspace;
    let (status, tags) = match find_workspace(&aws.target_amp, workspace).await? {
        Some(workspace) => (workspace.status, workspace.tags.unwrap_or_default()),
        None => (None, HashMap::new()),
    };
    match status.map(|status| status.status_code) {
        // A workspace receives samples also during an update of its alias or logging.
        Some(WorkspaceStatusCode::Active | WorkspaceStatusCode::Updating) => Ok(tags),
        Some(status) => Err(Error::NotReady(format!(
            "The workspace {workspace} is {status}; it must be ACTIVE."
        ))),
        None => Err(Error::NotReady(format!("The workspace {workspace} does not exist."))),
    }
}

async fn check_scrapers<I>(
    aws: &Clients,
    task: &Task<I>,
    cluster_created_at: Option<&DateTime>,
    quota: usize,
) -> Result<(Inventory, usize), Error> {
    let pair = &task.pair;
    let all = scraper::list(aws.source_amp.list_scrapers()).await?;
    let (mut inventory, unmanaged) = scraper::with_unmanaged(&all, pair, cluster_created_at)?;
    if let Some(other) = unmanaged.first() {
        if !task.request.adopt {
            return Err(Error::Conflict(scraper::foreign_scraper(other, pair)));
        }
        let adoption =
            scraper::adoptable(&aws.source_iam, &aws.source_amp, &unmanaged, task, cluster_created_at).await?;
        inventory.scraper = Some(ExistingScraper::adopted(adoption));
    }
    let others = all.len() - inventory.stale_scrapers.len();
    if inventory.scraper.is_none() && others >= quota {
        let (account, region) = (pair.cluster.account(), pair.cluster.region());
        return Err(Error::QuotaExceeded(format!(
            "The account {account} has {} scrapers in {region}, and its quota is {quota}. Delete a scraper, or request \
             an increase of the quota \"Scrapers per Region\" and add {account}/{region}=<quota> to the parameter \
             ScraperQuota of the hub's stack.",
            all.len()
        )));
    }
    let new = usize::from(inventory.scraper.is_none());
    Ok((inventory, others + new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_outside_the_allowed_ones_is_an_invalid_request() {
        let settings = |patterns: &[&str]| Settings {
            quotas: Quotas::default(),
            allowed_workspaces: patterns.iter().map(|pattern| (*pattern).to_owned()).collect(),
            consent: consent::Settings {
                organization: false,
                organizations_access: false,
            },
        };
        let workspace = "arn:aws:aps:us-west-2:333333333333:workspace/ws-1".parse().unwrap();
        for allowed in [
            &[][..],
            &["*"],
            &["arn:aws:aps:eu-*", "arn:aws:aps:*:333333333333:workspace/ws-?"],
        ] {
            assert_eq!(settings(allowed).check_is_allowed(&workspace), Ok(()));
        }
        let error = settings(&["arn:aws:aps:*:44*", "arn:aws:aps:*:workspace/ws-2"]).check_is_allowed(&workspace);
        assert_eq!(
            error,
            Err(Error::InvalidRequest(
                "workspaceArn: the hub's parameter AllowedWorkspaces does not allow \
                 arn:aws:aps:us-west-2:333333333333:workspace/ws-1; expected a workspace that matches \
                 arn:aws:aps:*:44* or arn:aws:aps:*:workspace/ws-2"
                    .to_owned()
            ))
        );
    }

    #[test]
    fn the_most_specific_quota_applies() {
        let quotas = Quotas::parse("12,222222222222=20,222222222222/us-west-2=50");
        assert_eq!(quotas.of("222222222222", "us-west-2"), 50);
        assert_eq!(quotas.of("222222222222", "us-east-1"), 20);
        assert_eq!(quotas.of("333333333333", "us-west-2"), 12);
        for text in ["", "many", "222222222222=20"] {
            assert_eq!(
                Quotas::parse(text).of("333333333333", "us-west-2"),
                DEFAULT_SCRAPER_QUOTA
            );
        }
    }
}
