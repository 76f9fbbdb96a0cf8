//! EKS and EC2: a cluster that meets the prerequisites of a scraper, and its network.

use super::{Call, CallResult, ServiceError};
use serde_json::json;
use std::collections::BTreeMap;

const SUBNETS: [(&str, &str); 2] = [("subnet-a", "us-a"), ("subnet-b", "us-b")];
const VPC: &str = "vpc-1";
const GROUP: &str = "sg-1";

/// `DescribeCluster` of EKS.
pub fn describe_cluster(clusters: &BTreeMap<String, f64>, region: &str, call: &Call) -> CallResult {
    let arn = format!("arn:aws:eks:{region}:{}:cluster/{}", call.account, call.id);
    let Some(created_at) = clusters.get(&arn) else {
        let message = format!("No cluster found for name: {}.", call.id);
        return Err(ServiceError(404, "ResourceNotFoundException", message));
    };
    Ok(json!({ "cluster": {
        "name": call.id,
        "arn": arn,
        "createdAt": created_at,
        "status": "ACTIVE",
        "accessConfig": { "authenticationMode": "API" },
        "resourcesVpcConfig": {
            "vpcId": VPC,
            "subnetIds": SUBNETS.map(|(id, _)| id),
            "securityGroupIds": [],
            "clusterSecurityGroupId": GROUP,
            "endpointPrivateAccess": true,
        },
    } })
    .to_string())
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
