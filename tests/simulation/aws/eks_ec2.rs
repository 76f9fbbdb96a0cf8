//! EKS and EC2: a cluster that a scraper can enter, and its network.

use super::{Answered, Call, Refusal};
use serde_json::json;
use std::collections::BTreeMap;

const SUBNETS: [(&str, &str); 2] = [("subnet-a", "us-a"), ("subnet-b", "us-b")];
const VPC: &str = "vpc-1";
const GROUP: &str = "sg-1";

pub fn cluster(clusters: &BTreeMap<String, f64>, region: &str, call: &Call) -> Answered {
    let arn = format!("arn:aws:eks:{region}:{}:cluster/{}", call.account, call.id);
    let Some(made_at) = clusters.get(&arn) else {
        let why = format!("No cluster found for name: {}.", call.id);
        return Err(Refusal(404, "ResourceNotFoundException", why));
    };
    Ok(json!({ "cluster": {
        "name": call.id,
        "arn": arn,
        "createdAt": made_at,
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
        other => panic!("EC2 is asked for {other}"),
    }
}
