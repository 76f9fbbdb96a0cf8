//! The network of a scraper: the subnets and security groups of its network interfaces.
//!
//! The rules are AMP's (user guide, "Set up managed collectors for Amazon EKS").

use crate::{
    aws::ec2::{self, SecurityGroup, Subnet},
    error::Error,
    problems::Problems,
    request::Request,
};
use aws_sdk_eks::types::{Cluster, VpcConfigResponse};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The maximum number of subnets, and of security groups, in CreateScraper (AMP API reference).
const MAX_IDS: usize = 5;

/// The network of a scraper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// One subnet for each Availability Zone, in two to five zones.
    pub subnet_ids: Vec<String>,
    /// Up to five security groups.
    pub security_group_ids: Vec<String>,
}

/// Selects the network of a cluster's scraper: the subnets and security groups of the request, or else those of the
/// cluster. `None` if there is a problem.
///
/// The problems: `NotReady` if a DNS attribute of the VPC is disabled, or if the cluster's subnets have free IP addresses
/// in fewer than two Availability Zones; `InvalidRequest` if the request names a subnet or security group that cannot be
/// used.
///
/// # Errors
/// Those of [`Problems::note`].
pub(crate) async fn select(
    ec2: &ec2::Client,
    cluster: &Cluster,
    request: &Request,
    problems: &mut Problems,
) -> Result<Option<Network>, Error> {
    let vpc_config = cluster.resources_vpc_config();
    let vpc = vpc_config.and_then(|vpc| vpc.vpc_id()).unwrap_or_default();
    for attribute in DNS_ATTRIBUTES {
        problems.note(check_dns(ec2, vpc, attribute).await)?;
    }
    let of_cluster = vpc_config.map_or(&[][..], |vpc| vpc.subnet_ids());
    let subnet_ids = select_subnets(ec2, request, of_cluster, vpc).await;
    let security_group_ids = select_groups(ec2, request, vpc_config, vpc).await;
    Ok(match (problems.note(subnet_ids)?, problems.note(security_group_ids)?) {
        (Some(subnet_ids), Some(security_group_ids)) => Some(Network {
            subnet_ids,
            security_group_ids,
        }),
        _ => None,
    })
}

async fn select_subnets(
    ec2: &ec2::Client,
    request: &Request,
    of_cluster: &[String],
    vpc: &str,
) -> Result<Vec<String>, Error> {
    match &request.subnet_ids {
        Some(requested) => {
            let subnets = ec2.subnets(requested).await?;
            check_requested_subnets(requested, &subnets, vpc)?;
            Ok(requested.clone())
        }
        None => one_per_zone(&ec2.subnets(of_cluster).await?),
    }
}

async fn select_groups(
    ec2: &ec2::Client,
    request: &Request,
    vpc_config: Option<&VpcConfigResponse>,
    vpc: &str,
) -> Result<Vec<String>, Error> {
    if let Some(requested) = &request.security_group_ids {
        let groups = ec2.security_groups(requested).await?;
        check_requested_groups(requested, &groups, vpc)?;
        return Ok(requested.clone());
    }
    let cluster_group = vpc_config.and_then(|vpc| vpc.cluster_security_group_id());
    let additional = vpc_config.map_or(&[][..], |vpc| vpc.security_group_ids());
    let mut all: Vec<String> = cluster_group.map(str::to_owned).into_iter().collect();
    all.extend(additional.iter().filter(|id| cluster_group != Some(id)).cloned());
    all.truncate(MAX_IDS);
    Ok(all)
}

/// The attributes of a VPC that the scraper needs, with the options of the command that enables them.
const DNS_ATTRIBUTES: [(&str, &str); 2] = [
    ("enableDnsSupport", "--enable-dns-support"),
    ("enableDnsHostnames", "--enable-dns-hostnames"),
];

async fn check_dns(ec2: &ec2::Client, vpc: &str, (attribute, option): (&str, &str)) -> Result<(), Error> {
    if ec2.vpc_attribute(vpc, attribute).await? {
        return Ok(());
    }
    Err(Error::NotReady(format!(
        "The attribute {attribute} of the VPC {vpc} is disabled. The scraper needs it to resolve the name of the \
         cluster. Enable it:\n  \
         aws ec2 modify-vpc-attribute --vpc-id {vpc} {option}"
    )))
}

/// Checks the subnets of the request. One that cannot be used is an error; none is left out silently.
fn check_requested_subnets(requested: &[String], subnets: &[Subnet], vpc: &str) -> Result<(), Error> {
    let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, id) in requested.iter().enumerate() {
        let invalid = |reason: String| Err(Error::invalid(&format!("subnetIds[{i}]"), format!("{id} {reason}")));
        let Some(subnet) = subnets.iter().find(|subnet| subnet.subnet_id == *id) else {
            return invalid("does not exist in the cluster's account and Region".to_owned());
        };
        if subnet.vpc_id != vpc {
            return invalid(format!("is in {}, not in the cluster's VPC {vpc}", subnet.vpc_id));
        }
        if subnet.available_ip_address_count == 0 {
            return invalid("has no free IP address; the scraper needs one in each subnet".to_owned());
        }
        if let Some(first) = zones.insert(&subnet.availability_zone, i) {
            let zone = &subnet.availability_zone;
            return invalid(format!(
                "is in the Availability Zone {zone}, like subnetIds[{first}]; name one subnet for each zone"
            ));
        }
    }
    if zones.len() < 2 {
        return Err(Error::invalid(
            "subnetIds",
            "all subnets are in one Availability Zone; name subnets in at least two",
        ));
    }
    Ok(())
}

/// The subnet with the most free IP addresses in each zone, ordered by zone, at most five.
fn one_per_zone(subnets: &[Subnet]) -> Result<Vec<String>, Error> {
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
            "The cluster's subnets have free IP addresses in {} Availability Zone(s); the scraper needs two. Free IP \
             addresses, or name other subnets of the VPC in the field \"subnetIds\" of the request.",
            best.len()
        )));
    }
    Ok(best
        .values()
        .take(MAX_IDS)
        .map(|subnet| subnet.subnet_id.clone())
        .collect())
}

fn check_requested_groups(requested: &[String], groups: &[SecurityGroup], vpc: &str) -> Result<(), Error> {
    for (i, id) in requested.iter().enumerate() {
        let invalid = |reason: String| {
            Err(Error::invalid(
                &format!("securityGroupIds[{i}]"),
                format!("{id} {reason}"),
            ))
        };
        let Some(group) = groups.iter().find(|group| group.group_id == *id) else {
            return invalid("does not exist in the cluster's account and Region".to_owned());
        };
        if group.vpc_id.as_deref() != Some(vpc) {
            let actual = group.vpc_id.as_deref().unwrap_or("no VPC");
            return invalid(format!("is in {actual}, not in the cluster's VPC {vpc}"));
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
    fn the_subnet_with_the_most_free_addresses_in_each_zone_is_selected() {
        let selected = one_per_zone(&[
            subnet("1", "b", 9),
            subnet("2", "a", 5),
            subnet("3", "a", 7),
            subnet("4", "c", 0),
        ]);
        assert_eq!(selected.unwrap(), ["subnet-3", "subnet-1"]);
    }

    #[test]
    fn at_most_five_zones_are_used() {
        let zones: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(|zone| subnet(zone, zone, 1)).into();
        assert_eq!(one_per_zone(&zones).unwrap().len(), 5);
    }

    #[test]
    fn fewer_than_two_zones_are_not_ready() {
        let error = one_per_zone(&[subnet("1", "a", 9), subnet("2", "b", 0)]).unwrap_err();
        assert_eq!(error.name(), "NotReady");
    }

    #[test]
    fn the_error_for_a_requested_subnet_that_cannot_be_used_names_it() {
        let requested = |ids: &[&str]| -> Vec<String> { ids.iter().map(|id| format!("subnet-{id}")).collect() };
        let existing = [
            subnet("1", "a", 9),
            subnet("2", "a", 9),
            subnet("3", "b", 0),
            subnet("4", "c", 1),
        ];
        for (ids, field) in [
            (requested(&["1", "9"]), "subnetIds[1]: subnet-9 does not exist"),
            (
                requested(&["1", "2"]),
                "subnetIds[1]: subnet-2 is in the Availability Zone a, like subnetIds[0]",
            ),
            (requested(&["1", "3"]), "subnetIds[1]: subnet-3 has no free IP address"),
            (requested(&["1"]), "subnetIds: all subnets are in one Availability Zone"),
        ] {
            let error = check_requested_subnets(&ids, &existing, "vpc-1").unwrap_err();
            assert!(error.to_string().starts_with(field), "{error}");
            assert_eq!(error.name(), "InvalidRequest");
        }
        assert!(check_requested_subnets(&requested(&["1", "4"]), &existing, "vpc-1").is_ok());
        assert!(check_requested_subnets(&requested(&["1", "4"]), &existing, "vpc-2").is_err());
    }
}
