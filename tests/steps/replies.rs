//! What AWS answers, in its own wire formats.

use crate::script::{CLUSTER, EXECUTION, SCRAPER, WORKSPACE};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

/// An answer of IAM's with nothing in it.
pub fn done(action: &str) -> String {
    format!(
        "<{action}Response><{action}Result/><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{action}Response>"
    )
}

/// A refusal of IAM's or STS's.
pub fn iam_error(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
    )
}

/// A role as GetRole shows it.
#[derive(Debug, Clone)]
pub struct Role {
    pub trust: Value,
    pub boundary: Option<String>,
    pub tags: Vec<(String, String)>,
}

impl Role {
    pub fn ours(trust: Value, boundary: &str) -> Self {
        let tags = [
            ("ampxa:cluster", CLUSTER),
            ("ampxa:workspace", WORKSPACE),
            ("ampxa:created-by", "somebody"),
        ];
        Self {
            trust,
            boundary: Some(boundary.to_owned()),
            tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        }
    }

    pub fn shown(&self, action: &str) -> String {
        let boundary = self.boundary.as_ref().map_or(String::new(), |arn| {
            format!("<PermissionsBoundary><PermissionsBoundaryType>Policy</PermissionsBoundaryType><PermissionsBoundaryArn>{arn}</PermissionsBoundaryArn></PermissionsBoundary>")
        });
        let tags: String = self
            .tags
            .iter()
            .map(|(key, value)| format!("<member><Key>{key}</Key><Value>{value}</Value></member>"))
            .collect();
        format!(
            "<{action}Response><{action}Result><Role><Path>/</Path><RoleName>name</RoleName><RoleId>AROAROLE</RoleId>\
             <Arn>arn:aws:iam::222222222222:role/name</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate>\
             <AssumeRolePolicyDocument>{}</AssumeRolePolicyDocument>{boundary}<Tags>{tags}</Tags></Role></{action}Result>\
             </{action}Response>",
            encoded(&self.trust)
        )
    }
}

fn encoded(document: &Value) -> String {
    utf8_percent_encode(&document.to_string(), NON_ALPHANUMERIC).to_string()
}

/// An inline policy as GetRolePolicy shows it.
pub fn inline_policy(document: &Value) -> String {
    format!(
        "<GetRolePolicyResponse><GetRolePolicyResult><RoleName>name</RoleName><PolicyName>ampxa</PolicyName>\
         <PolicyDocument>{}</PolicyDocument></GetRolePolicyResult></GetRolePolicyResponse>",
        encoded(document)
    )
}

/// The managed policies of a role.
pub fn attached(arns: &[&str]) -> String {
    let members: String = arns
        .iter()
        .map(|arn| format!("<member><PolicyName>p</PolicyName><PolicyArn>{arn}</PolicyArn></member>"))
        .collect();
    format!(
        "<ListAttachedRolePoliciesResponse><ListAttachedRolePoliciesResult><IsTruncated>false</IsTruncated>\
         <AttachedPolicies>{members}</AttachedPolicies></ListAttachedRolePoliciesResult></ListAttachedRolePoliciesResponse>"
    )
}

/// A scraper of the demonstration pair, as lists and descriptions show it.
pub fn scraper(status: &str, ours: bool) -> Value {
    let tags = match ours {
        true => json!({ "ampxa:cluster": CLUSTER, "ampxa:workspace": WORKSPACE, "ampxa:created-by": "somebody" }),
        false => json!({}),
    };
    json!({
        "arn": SCRAPER,
        "scraperId": "s-1",
        "roleArn": "arn:aws:iam::222222222222:role/aws-service-role/scraper.aps.amazonaws.com/AWSServiceRoleForAmazonPrometheusScraper_1a2b",
        "status": { "statusCode": status },
        "createdAt": 1.0,
        "lastModifiedAt": 1.0,
        "tags": tags,
        "source": { "eksConfiguration": { "clusterArn": CLUSTER, "subnetIds": ["subnet-1"] } },
        "destination": { "ampConfiguration": { "workspaceArn": WORKSPACE } },
        "scrapeConfiguration": { "configurationBlob": "" },
    })
}

/// The same, made by the execution of the tests.
pub fn scraper_of_this_execution(status: &str) -> Value {
    let mut scraper = scraper(status, true);
    scraper["tags"]["ampxa:created-by"] = json!(EXECUTION);
    scraper
}

pub fn scrapers(all: &[Value]) -> String {
    json!({ "scrapers": all }).to_string()
}

/// A refusal of AMP's or EKS'.
pub fn rest_error(code: &str, message: &str) -> String {
    json!({ "__type": code, "message": message }).to_string()
}

/// A cluster as DescribeCluster shows it.
pub fn cluster(status: &str, private: bool, mode: &str) -> String {
    json!({ "cluster": {
        "name": "demo",
        "arn": CLUSTER,
        "status": status,
        "accessConfig": { "authenticationMode": mode },
        "resourcesVpcConfig": {
            "vpcId": "vpc-1",
            "subnetIds": ["subnet-a", "subnet-b"],
            "securityGroupIds": ["sg-2", "sg-1"],
            "clusterSecurityGroupId": "sg-1",
            "endpointPrivateAccess": private,
        },
    } })
    .to_string()
}

pub fn workspace(status: &str) -> String {
    json!({ "workspace": {
        "workspaceId": "ws-1", "arn": WORKSPACE, "status": { "statusCode": status }, "createdAt": 1.0,
    } })
    .to_string()
}

pub fn vpc_attribute(name: &str, on: bool) -> String {
    format!(
        "<DescribeVpcAttributeResponse><vpcId>vpc-1</vpcId><{name}><value>{on}</value></{name}></DescribeVpcAttributeResponse>"
    )
}

/// Subnets of the cluster's VPC: id, zone, free addresses.
pub fn subnets(all: &[(&str, &str, u32)]) -> String {
    let all: Vec<_> = all
        .iter()
        .map(|(id, zone, free)| (*id, "vpc-1", *zone, *free))
        .collect();
    subnets_of(&all)
}

/// Security groups: id, VPC.
pub fn security_groups(all: &[(&str, Option<&str>)]) -> String {
    let items: String = all
        .iter()
        .map(|(id, vpc)| {
            let vpc = vpc.map_or(String::new(), |vpc| format!("<vpcId>{vpc}</vpcId>"));
            // A rule names another group, by the same words.
            let rule = "<item><ipProtocol>-1</ipProtocol><groups><item><groupId>sg-of-a-rule</groupId><vpcId>vpc-of-a-rule\
                        </vpcId></item></groups></item>";
            format!("<item><groupId>{id}</groupId><ipPermissions>{rule}</ipPermissions>{vpc}</item>")
        })
        .collect();
    format!(
        "<DescribeSecurityGroupsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId><securityGroupInfo>{items}</securityGroupInfo></DescribeSecurityGroupsResponse>"
    )
}

/// Subnets: id, VPC, zone, free addresses.
pub fn subnets_of(all: &[(&str, &str, &str, u32)]) -> String {
    let items: String = all
        .iter()
        .map(|(id, vpc, zone, free)| {
            format!(
                "<item><subnetId>{id}</subnetId><vpcId>{vpc}</vpcId><availabilityZone>{zone}</availabilityZone>\
                 <availableIpAddressCount>{free}</availableIpAddressCount><tagSet><item><key>vpcId</key><value>of a tag</value></item></tagSet></item>"
            )
        })
        .collect();
    format!(
        "<DescribeSubnetsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId><subnetSet>{items}</subnetSet></DescribeSubnetsResponse>"
    )
}

/// A refusal of EC2's.
pub fn ec2_error(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>r</RequestID></Response>"
    )
}
