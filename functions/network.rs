//! The network of a scraper: the subnets and security groups of its interfaces.
//!
//! The rules are AMP's (user guide, "Set up managed collectors for Amazon EKS").

use crate::{
    aws::ec2::{self, SecurityGroup, Subnet},
    error::Error,
    request::Request,
};
use aws_sdk_eks::types::Cluster;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Subnets and security groups that CreateScraper takes of each (AMP API reference).
const MOST_OF_EACH: usize = 5;

/// Where the scraper's network interfaces go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// One subnet a zone, in two to five zones.
    pub subnet_ids: Vec<String>,
    /// Up to five security groups.
    pub security_group_ids: Vec<String>,
}

/// Picks the network of a cluster's scraper: what the request names, or else the cluster's own.
///
/// # Errors
/// `NotReady` when the VPC or the cluster's own subnets do not suffice; `InvalidRequest` when the request names a subnet
/// or security group that cannot be used; and as AWS answers.
pub async fn pick(ec2: &ec2::Client, cluster: &Cluster, request: &Request) -> Result<Network, Error> {
    let vpc_config = cluster.resources_vpc_config();
    let vpc = vpc_config.and_then(|vpc| vpc.vpc_id()).unwrap_or_default();
    check_dns(ec2, vpc).await?;
    let subnet_ids = match &request.subnet_ids {
        Some(wanted) => {
            let subnets = ec2.subnets(wanted).await?;
            check_wanted_subnets(wanted, &subnets, vpc)?;
            wanted.clone()
        }
        None => {
            let theirs = vpc_config.map_or(&[][..], |vpc| vpc.subnet_ids());
            one_a_zone(&ec2.subnets(theirs).await?)?
        }
    };
    let security_group_ids = match &request.security_group_ids {
        Some(wanted) => {
            let groups = ec2.security_groups(wanted).await?;
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

async fn check_dns(ec2: &ec2::Client, vpc: &str) -> Result<(), Error> {
    for (attribute, option) in [
        ("enableDnsSupport", "--enable-dns-support"),
        ("enableDnsHostnames", "--enable-dns-hostnames"),
    ] {
        if !ec2.vpc_attribute(vpc, attribute).await? {
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

fn check_wanted_groups(wanted: &[String], groups: &[SecurityGroup], vpc: &str) -> Result<(), Error> {
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
