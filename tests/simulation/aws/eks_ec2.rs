//! EKS and EC2: clusters, their updates, and their network.

use super::{Call, CallResult, ServiceError};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

const SUBNETS: [(&str, &str); 2] = [("subnet-a", "us-a"), ("subnet-b", "us-b")];
const VPC: &str = "vpc-1";
const GROUP: &str = "sg-1";

/// The time that an update of a cluster takes.
const UPDATE: Duration = Duration::from_secs(100);
/// The time until DescribeCluster shows that an update is in progress.
const PROPAGATION: Duration = Duration::from_secs(5);

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    /// In seconds since the epoch.
    pub created_at: f64,
    pub has_private_endpoint: bool,
    pub authentication_mode: String,
    pub updates: Vec<Update>,
}

/// An update of a cluster.
#[derive(Debug)]
pub struct Update {
    token: Value,
    request: Value,
    started_at: Duration,
    is_applied: bool,
}

impl Cluster {
    /// A cluster that a scraper can access.
    pub fn new(created_at: f64) -> Self {
        Self {
            created_at,
            has_private_endpoint: true,
            authentication_mode: "API".to_owned(),
            updates: Vec::new(),
        }
    }

    /// Applies the updates that have ended.
    fn apply(&mut self, now: Duration) {
        for update in &mut self.updates {
            if now < update.started_at + UPDATE || std::mem::replace(&mut update.is_applied, true) {
                continue;
            }
            if let Some(access) = update.request["resourcesVpcConfig"]["endpointPrivateAccess"].as_bool() {
                self.has_private_endpoint = access;
            }
            if let Some(mode) = update.request["accessConfig"]["authenticationMode"].as_str() {
                mode.clone_into(&mut self.authentication_mode);
            }
        }
    }

    /// `UpdateClusterConfig`. A repeated token returns the same update.
    fn update(&mut self, request: &Value, now: Duration) -> Result<Value, ServiceError> {
        let token = &request["clientRequestToken"];
        if let Some(index) = self.updates.iter().position(|update| update.token == *token) {
            return Ok(self.described(index));
        }
        if self.updates.iter().any(|update| !update.is_applied) {
            let message = "Cannot UpdateClusterConfig because the cluster has an update in progress".to_owned();
            return Err(ServiceError(409, "ResourceInUseException", message));
        }
        self.updates.push(Update {
            token: token.clone(),
            request: request.clone(),
            started_at: now,
            is_applied: false,
        });
        Ok(self.described(self.updates.len() - 1))
    }

    /// An update. Its id is its position.
    fn described(&self, index: usize) -> Value {
        let update = &self.updates[index];
        let kind = match update.request["accessConfig"].is_null() {
            true => "EndpointAccessUpdate",
            false => "AccessConfigUpdate",
        };
        let status = if update.is_applied { "Successful" } else { "InProgress" };
        json!({ "update": { "id": index.to_string(), "type": kind, "status": status, "errors": [] } })
    }
}

/// A call to EKS.
pub fn eks(clusters: &mut BTreeMap<String, Cluster>, region: &str, call: &Call, now: Duration) -> CallResult {
    let (name, rest) = call.id.split_once('/').unwrap_or((&call.id, ""));
    let arn = format!("arn:aws:eks:{region}:{}:cluster/{name}", call.account);
    let Some(cluster) = clusters.get_mut(&arn) else {
        let message = format!("No cluster found for name: {name}.");
        return Err(ServiceError(404, "ResourceNotFoundException", message));
    };
    cluster.apply(now);
    let response = match call.action.as_str() {
        "DescribeCluster" => describe_cluster(name, &arn, cluster, now),
        "UpdateClusterConfig" => cluster.update(&call.body, now)?,
        "DescribeAccessEntry" => json!({ "accessEntry": { "clusterName": name } }),
        "ListAssociatedAccessPolicies" => {
            let policy = "arn:aws:eks::aws:cluster-access-policy/AmazonPrometheusScraperPolicy";
            json!({ "associatedAccessPolicies": [{ "policyArn": policy }] })
        }
        "DescribeUpdate" => {
            let index = rest.rsplit('/').next().and_then(|id| id.parse().ok());
            cluster.described(index.expect("an update"))
        }
        other => panic!("EKS does not simulate {other}"),
    };
    Ok(response.to_string())
}

fn describe_cluster(name: &str, arn: &str, cluster: &Cluster, now: Duration) -> Value {
    let mut updates = cluster.updates.iter();
    let is_updating = updates.any(|update| !update.is_applied && now >= update.started_at + PROPAGATION);
    json!({ "cluster": {
        "name": name,
        "arn": arn,
        "createdAt": cluster.created_at,
        "status": if is_updating { "UPDATING" } else { "ACTIVE" },
        "accessConfig": { "authenticationMode": cluster.authentication_mode },
        "resourcesVpcConfig": {
            "vpcId": VPC,
            "subnetIds": SUBNETS.map(|(id, _)| id),
            "securityGroupIds": [],
            "clusterSecurityGroupId": GROUP,
            "endpointPrivateAccess": cluster.has_private_endpoint,
        },
    } })
}

/// A call to EC2's query API.
pub fn ec2(call: &Call) -> String {
    match call.action.as_str() {
        "DescribeSubnets" => {
            let items = SUBNETS.map(|(id, zone)| {
                format!(
                    "<item><subnetId>{id}</subnetId><vpcId>{VPC}</vpcId><availabilityZone>{zone}</availabilityZone>\
                     <availableIpAddressCount>200</availableIpAddressCount></item>"
                )
            });
            format!(
                "<DescribeSubnetsResponse><subnetSet>{}</subnetSet></DescribeSubnetsResponse>",
                items.concat()
            )
        }
        "DescribeSecurityGroups" => format!(
            "<DescribeSecurityGroupsResponse><securityGroupInfo><item><groupId>{GROUP}</groupId><vpcId>{VPC}</vpcId>\
             </item></securityGroupInfo></DescribeSecurityGroupsResponse>"
        ),
        "DescribeVpcAttribute" => {
            let attribute = call.field("Attribute");
            format!(
                "<DescribeVpcAttributeResponse><vpcId>{VPC}</vpcId><{attribute}><value>true</value></{attribute}>\
                 </DescribeVpcAttributeResponse>"
            )
        }
        other => panic!("EC2 does not simulate {other}"),
    }
}
