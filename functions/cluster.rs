//! The look before anything is touched: is the cluster, its network, the workspace and the quota
//! such that a scraper can work?
//!
//! The rules are AMP's (user guide, "Using an AWS managed collector": limitations, and "Set up
//! managed collectors for Amazon EKS").

use crate::{
    arn::ClusterArn,
    aws::{ec2, unless},
    error::Error,
    network::{self, Network},
    pair::Pair,
    request::ClusterAccess,
    scraper::{self, Found, Inventory, StaleScraper},
    task::Task,
};
use aws_sdk_amp::{primitives::DateTime, types::WorkspaceStatusCode};
use aws_sdk_eks::types::{AuthenticationMode, Cluster, ClusterStatus};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Scrapers a Region and account may have, unless AWS raised it (AMP service quotas).
pub const DEFAULT_SCRAPER_QUOTA: usize = 10;

/// The clients that the look needs.
#[derive(Debug)]
pub struct Clients {
    /// EKS of the source account.
    pub eks: aws_sdk_eks::Client,
    /// EC2 of the source account.
    pub ec2: ec2::Client,
    /// AMP of the source account.
    pub source_amp: aws_sdk_amp::Client,
    /// AMP of the target account.
    pub target_amp: aws_sdk_amp::Client,
}

/// Input is known before the look.
#[derive(Debug, Deserialize)]
pub struct Input {}

/// What the look found.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Whether the cluster can be scraped now.
    pub readiness: Readiness,
    /// Where the scraper's network interfaces go; known when the cluster is ready.
    pub network: Option<Network>,
    /// The scraper that the pair has already.
    #[serde(flatten)]
    pub scraper: Option<Found>,
    /// Scrapers of ours that have to go first.
    pub stale_scrapers: Vec<StaleScraper>,
    /// Whether a person must let the scraper into the cluster.
    pub manual_access: bool,
    /// How many scrapers the Region and account will have with this one.
    pub scrapers: usize,
    /// How many it may have.
    pub quota: usize,
}

/// Whether the cluster can be scraped now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Readiness {
    /// It can.
    Ready,
    /// It is being made or changed: ask again.
    Waiting,
}

/// How many scrapers a Region of an account may have, by account and Region.
#[derive(Debug, Default)]
pub struct Quotas(HashMap<String, usize>);

impl Quotas {
    /// The quotas to keep within, from `AMPXA_SCRAPER_QUOTA`: `10,222222222222=20,222222222222/us-west-2=50` is 50 in
    /// that Region of that account, 20 in its others, and 10 elsewhere.
    pub fn from_environment() -> Self {
        Self::read(&std::env::var("AMPXA_SCRAPER_QUOTA").unwrap_or_default())
    }

    /// Reads them; what is no quota is left out, since the template's pattern admits none.
    pub fn read(text: &str) -> Self {
        let quota = |one: &str| {
            let (place, quota) = one.split_once('=').unwrap_or(("", one));
            Some((place.to_owned(), quota.parse().ok()?))
        };
        Self(text.split(',').filter_map(quota).collect())
    }

    /// The quota where a cluster is: the most special one, else [`DEFAULT_SCRAPER_QUOTA`].
    pub fn of(&self, cluster: &ClusterArn) -> usize {
        let account = cluster.account();
        let places = [
            format!("{account}/{}", cluster.region()),
            account.to_owned(),
            String::new(),
        ];
        let quota = places.iter().find_map(|place| self.0.get(place));
        quota.copied().unwrap_or(DEFAULT_SCRAPER_QUOTA)
    }
}

/// Looks, and touches nothing.
///
/// # Errors
/// `NotReady` with what to mend; `InvalidRequest` when the request names a subnet or security
/// group that cannot be used; `QuotaExceeded` when the quota is full; `Conflict` when the pair's scraper
/// is not ours.
pub async fn check(aws: &Clients, task: &Task<Input>, quota: usize) -> Result<Output, Error> {
    let cluster = describe(aws, &task.pair).await?;
    let manual_access = check_access(&cluster, task)?;
    check_workspace(aws, &task.pair).await?;
    let (
        Inventory {
            scraper,
            stale_scrapers,
        },
        scrapers,
    ) = check_scrapers(aws, &task.pair, cluster.created_at(), quota).await?;
    let ready = *cluster.status().unwrap_or(&ClusterStatus::Creating) == ClusterStatus::Active;
    Ok(Output {
        readiness: if ready { Readiness::Ready } else { Readiness::Waiting },
        network: match ready {
            true => Some(network::pick(&aws.ec2, &cluster, &task.request).await?),
            false => None,
        },
        scraper,
        stale_scrapers,
        manual_access,
        scrapers,
        quota,
    })
}

async fn describe(aws: &Clients, pair: &Pair) -> Result<Cluster, Error> {
    let answer = aws.eks.describe_cluster().name(pair.cluster.id()).send().await;
    let absent = || Error::NotReady(format!("There is no cluster {}.", pair.cluster));
    let cluster = unless(answer, |e| e.is_resource_not_found_exception())?
        .and_then(|answer| answer.cluster)
        .ok_or_else(absent)?;
    match cluster.status() {
        Some(status @ (ClusterStatus::Failed | ClusterStatus::Deleting)) => {
            Err(Error::NotReady(format!("The cluster {} is {status}.", pair.cluster)))
        }
        _ => Ok(cluster),
    }
}

/// Whether a person must let the scraper in; refuses a cluster that cannot let it in at all.
fn check_access(cluster: &Cluster, task: &Task<Input>) -> Result<bool, Error> {
    let (name, region) = (task.pair.cluster.id(), task.pair.cluster.region());
    let update = format!("aws eks update-cluster-config --region {region} --name {name}");
    let mut mend = Vec::new();
    if !cluster
        .resources_vpc_config()
        .is_some_and(|vpc| vpc.endpoint_private_access())
    {
        mend.push(format!(
            "Its endpoint has no private access, and the scraper comes through the VPC. Switch it on:\n  \
             {update} --resources-vpc-config endpointPrivateAccess=true"
        ));
    }
    let mode = cluster.access_config().and_then(|access| access.authentication_mode());
    let manual = !matches!(
        mode,
        Some(AuthenticationMode::Api | AuthenticationMode::ApiAndConfigMap)
    );
    if manual && task.request.cluster_access == ClusterAccess::Automatic {
        mend.push(format!(
            "Its authentication mode is CONFIG_MAP, in which AMP cannot let the scraper in by itself. Either change \
             the mode, which cannot be undone:\n  {update} --access-config authenticationMode=API_AND_CONFIG_MAP\n\
             or say \"clusterAccess\": \"MANUAL\" in the request and map the scraper in aws-auth yourself."
        ));
    }
    if mend.is_empty() {
        return Ok(manual);
    }
    let cluster = &task.pair.cluster;
    Err(Error::NotReady(format!(
        "The cluster {cluster} cannot be scraped yet. {}",
        mend.join("\n")
    )))
}

async fn check_workspace(aws: &Clients, pair: &Pair) -> Result<(), Error> {
    let workspace = &pair.workspace;
    let answer = aws
        .target_amp
        .describe_workspace()
        .workspace_id(workspace.id())
        .send()
        .await;
    let status = unless(answer, |e| e.is_resource_not_found_exception())?
        .and_then(|answer| answer.workspace?.status)
        .map(|status| status.status_code);
    match status {
        // An update of its alias or logging does not stop a workspace from taking samples.
        Some(WorkspaceStatusCode::Active | WorkspaceStatusCode::Updating) => Ok(()),
        Some(status) => Err(Error::NotReady(format!(
            "The workspace {workspace} is {status}, not ACTIVE."
        ))),
        None => Err(Error::NotReady(format!("There is no workspace {workspace}."))),
    }
}

async fn check_scrapers(
    aws: &Clients,
    pair: &Pair,
    cluster_created_at: Option<&DateTime>,
    quota: usize,
) -> Result<(Inventory, usize), Error> {
    let all = scraper::list(aws.source_amp.list_scrapers()).await?;
    let inventory = scraper::inventory(&all, pair, cluster_created_at)?;
    let others = all.len() - inventory.stale_scrapers.len();
    if inventory.scraper.is_none() && others >= quota {
        let (account, region) = (pair.cluster.account(), pair.cluster.region());
        return Err(Error::QuotaExceeded(format!(
            "Account {account} has {} scrapers in {region} already, and its quota is {quota}. Delete one, or have the \
             quota \"Scrapers per Region\" raised there and add {account}/{region}=<quota> to the hub's parameter \
             ScraperQuota.",
            all.len()
        )));
    }
    let own = usize::from(inventory.scraper.is_none());
    Ok((inventory, others + own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_special_quota_holds() {
        let cluster = |account: &str, region: &str| -> ClusterArn {
            let arn = format!("arn:aws:eks:{region}:{account}:cluster/demo");
            arn.parse().unwrap()
        };
        let quotas = Quotas::read("12,222222222222=20,222222222222/us-west-2=50");
        assert_eq!(quotas.of(&cluster("222222222222", "us-west-2")), 50);
        assert_eq!(quotas.of(&cluster("222222222222", "us-east-1")), 20);
        assert_eq!(quotas.of(&cluster("333333333333", "us-west-2")), 12);
        for text in ["", "many", "222222222222=20"] {
            assert_eq!(
                Quotas::read(text).of(&cluster("333333333333", "us-west-2")),
                DEFAULT_SCRAPER_QUOTA
            );
        }
    }
}
