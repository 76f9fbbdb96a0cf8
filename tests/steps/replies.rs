//! Responses of AWS in the wire formats of its APIs.

use crate::script::{CLUSTER, EXECUTION, SCRAPER, WORKSPACE};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

/// An empty response of IAM.
pub fn done(action: &str) -> String {
    format!(
        "<{action}Response><{action}Result/><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{action}Response>"
    )
}

/// An error response of IAM or STS.
pub fn iam_error(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
    )
}

/// A role in responses of IAM.
#[derive(Debug, Clone)]
pub struct Role {
    pub trust: Value,
    pub boundary: Option<String>,
    pub tags: Vec<(String, String)>,
}

impl Role {
    /// A role with our tags.
    pub fn ours(trust: Value, boundary: &str) -> Self {
        let tags = [
            ("ampxa:cluster", CLUSTER),
            ("ampxa:workspace", WORKSPACE),
            ("ampxa:created-by", "another execution"),
            ("ampxa:origin", "request"),
        ];
        Self {
            trust,
            boundary: Some(boundary.to_owned()),
            tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        }
    }

    /// The response of GetRole or CreateRole.
    pub fn response(&self, action: &str) -> String {
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

/// The response of GetRolePolicy.
pub fn inline_policy(document: &Value) -> String {
    format!(
        "<GetRolePolicyResponse><GetRolePolicyResult><RoleName>name</RoleName><PolicyName>ampxa</PolicyName>\
         <PolicyDocument>{}</PolicyDocument></GetRolePolicyResult></GetRolePolicyResponse>",
        encoded(document)
    )
}

/// The response of ListAttachedRolePolicies.
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

/// A scraper of the pair of these tests, in lists and descriptions; `ours` adds our tags.
pub fn scraper(status: &str, ours: bool) -> Value {
    let tags = match ours {
        true => json!({
            "ampxa:cluster": CLUSTER, "ampxa:workspace": WORKSPACE, "ampxa:created-by": "another execution",
            "ampxa:origin": "request",
        }),
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

/// A scraper with our tags that was created by the execution of the tests.
pub fn scraper_of_this_execution(status: &str) -> Value {
    let mut scraper = scraper(status, true);
    scraper["tags"]["ampxa:created-by"] = json!(EXECUTION);
    scraper
}

/// The response of ListScrapers.
pub fn scrapers(all: &[Value]) -> String {
    json!({ "scrapers": all }).to_string()
}

/// An error response of AMP or EKS.
pub fn rest_error(code: &str, message: &str) -> String {
    json!({ "__type": code, "message": message }).to_string()
}

/// The response of DescribeCluster.
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

/// The response of DescribeWorkspace.
pub fn workspace(status: &str) -> String {
    json!({ "workspace": {
        "workspaceId": "ws-1", "arn": WORKSPACE, "status": { "statusCode": status }, "createdAt": 1.0,
        "tags": { "ampxa:accept": "222222222222" },
    } })
    .to_string()
}

/// The response of DescribeWorkspace for a workspace with these tags.
pub fn workspace_with_tags(tags: Value) -> String {
    let mut response: Value = serde_json::from_str(&workspace("ACTIVE")).unwrap();
    response["workspace"]["tags"] = tags;
    response.to_string()
}

/// The response of DescribeVpcAttribute.
pub fn vpc_attribute(name: &str, on: bool) -> String {
    format!(
        "<DescribeVpcAttributeResponse><vpcId>vpc-1</vpcId><{name}><value>{on}</value></{name}></DescribeVpcAttributeResponse>"
    )
}

/// The response of DescribeSubnets for subnets of the cluster's VPC: id, zone, free addresses.
pub fn subnets(all: &[(&str, &str, u32)]) -> String {
    let all: Vec<_> = all
        .iter()
        .map(|(id, zone, free)| (*id, "vpc-1", *zone, *free))
        .collect();
    subnets_of(&all)
}

/// The response of DescribeSecurityGroups: id, VPC.
pub fn security_groups(all: &[(&str, Option<&str>)]) -> String {
    let items: String = all
        .iter()
        .map(|(id, vpc)| {
            let vpc = vpc.map_or(String::new(), |vpc| format!("<vpcId>{vpc}</vpcId>"));
            // A rule names another group, with the same element names.
            let rule = "<item><ipProtocol>-1</ipProtocol><groups><item><groupId>sg-of-a-rule</groupId><vpcId>vpc-of-a-rule\
                        </vpcId></item></groups></item>";
            format!("<item><groupId>{id}</groupId><ipPermissions>{rule}</ipPermissions>{vpc}</item>")
        })
        .collect();
    format!(
        "<DescribeSecurityGroupsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId><securityGroupInfo>{items}</securityGroupInfo></DescribeSecurityGroupsResponse>"
    )
}

/// The response of DescribeSubnets: id, VPC, zone, free addresses.
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

/// An error response of EC2.
pub fn ec2_error(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>r</RequestID></Response>"
    )
}
