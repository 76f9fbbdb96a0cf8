//! The look before anything is touched: is the cluster, its network, the workspace and the quota
//! such that a scraper can work?
//!
//! The rules are AMP's (user guide, "Using an AWS managed collector": limitations, and "Set up
//! managed collectors for Amazon EKS").

use crate::{
    arn::ClusterArn,
    aws::{
        ec2::{self, Subnet},
        unless,
    },
    error::Error,
    pair::Pair,
    request::{ClusterAccess, Request},
    scraper::{self, Found, InTheWay, Standing},
    task::Task,
};
use aws_sdk_amp::{primitives::DateTime, types::WorkspaceStatusCode};
use aws_sdk_eks::types::{AuthenticationMode, Cluster, ClusterStatus};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Scrapers a Region and account may have, unless AWS raised it (AMP service quotas).
pub const DEFAULT_SCRAPER_QUOTA: usize = 10;
/// Subnets and security groups that CreateScraper takes of each (AMP API reference).
const MOST_OF_EACH: usize = 5;

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

/// Nothing is known before the look.
#[derive(Debug, Deserialize)]
pub struct Nothing {}

/// What the look found.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// Whether the cluster can be scraped now.
    pub readiness: Readiness,
    /// Where the scraper's network interfaces go; known when the cluster is ready.
    pub network: Option<Network>,
    /// The scraper that the pair has already.
    #[serde(flatten)]
    pub scraper: Option<Found>,
    /// Scrapers of ours that have to go first.
    pub in_the_way: Vec<InTheWay>,
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

/// Where the scraper's network interfaces go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// One subnet a zone, in two to five zones.
    pub subnet_ids: Vec<String>,
    /// Up to five security groups.
    pub security_group_ids: Vec<String>,
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
/// group that cannot be used; `Refused` when the quota is full; `Conflict` when the pair's scraper
/// is not ours.
pub async fn check(aws: &Clients, task: &Task<Nothing>, quota: usize) -> Result<Checked, Error> {
    let cluster = describe(aws, &task.pair).await?;
    let manual_access = check_access(&cluster, task)?;
    check_workspace(aws, &task.pair).await?;
    let (Standing { scraper, in_the_way }, scrapers) =
        check_scrapers(aws, &task.pair, cluster.created_at(), quota).await?;
    let ready = *cluster.status().unwrap_or(&ClusterStatus::Creating) == ClusterStatus::Active;
    Ok(Checked {
        readiness: if ready { Readiness::Ready } else { Readiness::Waiting },
        network: match ready {
            true => Some(pick_network(aws, &cluster, &task.request).await?),
            false => None,
        },
        scraper,
        in_the_way,
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
fn check_access(cluster: &Cluster, task: &Task<Nothing>) -> Result<bool, Error> {
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
    cluster_made_at: Option<&DateTime>,
    quota: usize,
) -> Result<(Standing, usize), Error> {
    let all = scraper::list(aws.source_amp.list_scrapers()).await?;
    let standing = scraper::standing(&all, pair, cluster_made_at)?;
    let others = all.len() - standing.in_the_way.len();
    if standing.scraper.is_none() && others >= quota {
        let (account, region) = (pair.cluster.account(), pair.cluster.region());
        return Err(Error::Refused(format!(
            "Account {account} has {} scrapers in {region} already, and its quota is {quota}. Delete one, or have the \
             quota \"Scrapers per Region\" raised there and add {account}/{region}=<quota> to the hub's parameter \
             ScraperQuota.",
            all.len()
        )));
    }
    let own = usize::from(standing.scraper.is_none());
    Ok((standing, others + own))
}

async fn pick_network(aws: &Clients, cluster: &Cluster, request: &Request) -> Result<Network, Error> {
    let vpc_config = cluster.resources_vpc_config();
    let vpc = vpc_config.and_then(|vpc| vpc.vpc_id()).unwrap_or_default();
    check_dns(aws, vpc).await?;
    let subnet_ids = match &request.subnet_ids {
        Some(wanted) => {
            let subnets = aws.ec2.subnets(wanted).await?;
            check_wanted_subnets(wanted, &subnets, vpc)?;
            wanted.clone()
        }
        None => {
            let theirs = vpc_config.map_or(&[][..], |vpc| vpc.subnet_ids());
            one_a_zone(&aws.ec2.subnets(theirs).await?)?
        }
    };
    let security_group_ids = match &request.security_group_ids {
        Some(wanted) => {
            let groups = aws.ec2.security_groups(wanted).await?;
            check_wanted_groups(wanted, &groups, vpc)?;
            wanted.clone()
        }
        None => {
            let own = vpc_config.and_then(|vpc| vpc.cluster_security_group_id());
            let more = vpc_config.map_or(&[][..], |vpc| vpc.security_group_ids());
            let mut all: Vec<String> = own.map(str::to_owned).into_iter().collect();
            all.extend(more.iter().filter(|id| own != Some(id)).cloned());
            all.truncate(MOST_OF_EACH);
            all
        }
    };
    Ok(Network {
        subnet_ids,
        security_group_ids,
    })
}

async fn check_dns(aws: &Clients, vpc: &str) -> Result<(), Error> {
    for (attribute, option) in [
        ("enableDnsSupport", "--enable-dns-support"),
        ("enableDnsHostnames", "--enable-dns-hostnames"),
    ] {
        if !aws.ec2.vpc_attribute(vpc, attribute).await? {
            return Err(Error::NotReady(format!(
                "The VPC {vpc} has {attribute} off, and the scraper finds the cluster by name. Switch it on:\n  \
                 aws ec2 modify-vpc-attribute --vpc-id {vpc} {option}"
            )));
        }
    }
    Ok(())
}

/// The subnets a person chose are taken as they are, or refused: none is dropped in silence.
fn check_wanted_subnets(wanted: &[String], subnets: &[Subnet], vpc: &str) -> Result<(), Error> {
    let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, id) in wanted.iter().enumerate() {
        let refuse = |why: String| Err(Error::invalid(&format!("subnetIds[{i}]"), format!("{id} {why}")));
        let Some(subnet) = subnets.iter().find(|subnet| subnet.subnet_id == *id) else {
            return refuse("does not exist in the cluster's account and Region".to_owned());
        };
        if subnet.vpc_id != vpc {
            return refuse(format!("lies in {}, not in the cluster's VPC {vpc}", subnet.vpc_id));
        }
        if subnet.available_ip_address_count == 0 {
            return refuse("has no free address; the scraper needs one in each subnet".to_owned());
        }
        if let Some(first) = zones.insert(&subnet.availability_zone, i) {
            let zone = &subnet.availability_zone;
            return refuse(format!(
                "lies in {zone} as subnetIds[{first}] does; give one subnet a zone"
            ));
        }
    }
    if zones.len() < 2 {
        return Err(Error::invalid(
            "subnetIds",
            "give subnets in at least two Availability Zones",
        ));
    }
    Ok(())
}

/// The subnet with most free addresses of each zone, zones in order, at most five.
fn one_a_zone(subnets: &[Subnet]) -> Result<Vec<String>, Error> {
    let mut best: BTreeMap<&str, &Subnet> = BTreeMap::new();
    for subnet in subnets.iter().filter(|subnet| subnet.available_ip_address_count > 0) {
        let rank = |s: &Subnet| (s.available_ip_address_count, std::cmp::Reverse(s.subnet_id.clone()));
        let zone = best.entry(&subnet.availability_zone).or_insert(subnet);
        if rank(subnet) > rank(zone) {
            *zone = subnet;
        }
    }
    if best.len() < 2 {
        return Err(Error::NotReady(format!(
            "The cluster's subnets have a free address in {} Availability Zone(s), and the scraper needs two. Free \
             addresses, or name other subnets of its VPC in \"subnetIds\".",
            best.len()
        )));
    }
    Ok(best
        .values()
        .take(MOST_OF_EACH)
        .map(|subnet| subnet.subnet_id.clone())
        .collect())
}

fn check_wanted_groups(wanted: &[String], groups: &[ec2::SecurityGroup], vpc: &str) -> Result<(), Error> {
    for (i, id) in wanted.iter().enumerate() {
        let refuse = |why: String| Err(Error::invalid(&format!("securityGroupIds[{i}]"), format!("{id} {why}")));
        match groups
            .iter()
            .find(|group| group.group_id == *id)
            .map(|group| group.vpc_id.as_deref())
        {
            None => return refuse("does not exist in the cluster's account and Region".to_owned()),
            Some(Some(its)) if its == vpc => {}
            Some(its) => {
                let its = its.unwrap_or("no VPC");
                return refuse(format!("lies in {its}, not in the cluster's VPC {vpc}"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(id: &str, zone: &str, free: u32) -> Subnet {
        Subnet {
            subnet_id: format!("subnet-{id}"),
            vpc_id: "vpc-1".to_owned(),
            availability_zone: zone.to_owned(),
            available_ip_address_count: free,
        }
    }

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

    #[test]
    fn the_roomiest_subnet_of_each_zone_is_picked() {
        let picked = one_a_zone(&[
            subnet("1", "b", 9),
            subnet("2", "a", 5),
            subnet("3", "a", 7),
            subnet("4", "c", 0),
        ]);
        assert_eq!(picked.unwrap(), ["subnet-3", "subnet-1"]);
    }

    #[test]
    fn at_most_five_zones_are_used() {
        let zones: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(|zone| subnet(zone, zone, 1)).into();
        assert_eq!(one_a_zone(&zones).unwrap().len(), 5);
    }

    #[test]
    fn one_zone_is_not_enough() {
        let why = one_a_zone(&[subnet("1", "a", 9), subnet("2", "b", 0)]).unwrap_err();
        assert_eq!(why.name(), "NotReady");
    }

    #[test]
    fn a_wanted_subnet_that_cannot_be_used_is_named() {
        let wanted = |ids: &[&str]| -> Vec<String> { ids.iter().map(|id| format!("subnet-{id}")).collect() };
        let there = [
            subnet("1", "a", 9),
            subnet("2", "a", 9),
            subnet("3", "b", 0),
            subnet("4", "c", 1),
        ];
        for (ids, field) in [
            (wanted(&["1", "9"]), "subnetIds[1]: subnet-9 does not exist"),
            (wanted(&["1", "2"]), "subnetIds[1]: subnet-2 lies in a as subnetIds[0]"),
            (wanted(&["1", "3"]), "subnetIds[1]: subnet-3 has no free address"),
            (wanted(&["1"]), "subnetIds: give subnets in at least two"),
        ] {
            let why = check_wanted_subnets(&ids, &there, "vpc-1").unwrap_err();
            assert!(why.to_string().starts_with(field), "{why}");
            assert_eq!(why.name(), "InvalidRequest");
        }
        assert!(check_wanted_subnets(&wanted(&["1", "4"]), &there, "vpc-1").is_ok());
        assert!(check_wanted_subnets(&wanted(&["1", "4"]), &there, "vpc-2").is_err());
    }
}
