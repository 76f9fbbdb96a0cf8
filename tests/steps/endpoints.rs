//! The endpoints of all clients.

use ampxa::{Aws, aws::Account};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::HttpRequest,
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use std::sync::{Arc, Mutex};

/// Records the hosts of all requests, and answers none of them.
#[derive(Debug, Clone, Default)]
struct Hosts(Arc<Mutex<Vec<String>>>);

impl HttpClient for Hosts {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Hosts {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let host = request.uri().split('/').nth(2).unwrap().to_owned();
        self.0.lock().unwrap().push(host);
        HttpConnectorFuture::ready(Err(ConnectorError::io("no response".into())))
    }
}

/// The hosts that the clients call in a Region, in the order of the calls.
async fn hosts(region: &str, fips: bool, dual_stack: bool) -> Vec<String> {
    let hosts = Hosts::default();
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "key", "secret", None, None, "test",
        )))
        .http_client(hosts.clone())
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .use_fips(fips)
        .use_dual_stack(dual_stack)
        .build();
    let account = Account::new(config.clone());
    let _ = account.amp().list_scrapers().send().await;
    let _ = account.query_client().query("ws-1", "up").await;
    let _ = account.ec2().subnets(&["subnet-a".to_owned()]).await;
    let _ = account.eks().list_clusters().send().await;
    let _ = account.iam().get_role().role_name("a").send().await;
    let _ = account.ssm().get_parameter().name("a").send().await;
    let _ = account.sfn().describe_execution().execution_arn("a").send().await;
    let _ = account
        .dynamodb()
        .get_item()
        .table_name("a")
        .key("a", attribute())
        .send()
        .await;
    let _ = account.organizations().list_accounts().send().await;
    let _ = account.bucket("bucket").get("configurations/a", None).await;
    let _ = Aws::new(config, "step").source_at("222222222222", region).await;
    hosts.0.lock().unwrap().clone()
}

fn attribute() -> aws_sdk_dynamodb::types::AttributeValue {
    aws_sdk_dynamodb::types::AttributeValue::S("a".to_owned())
}

/// The hosts are those of AWS (AWS general reference, service endpoints).
#[tokio::test]
async fn every_client_calls_the_endpoint_of_its_region_and_kind() {
    let services = [
        "aps",
        "aps-workspaces",
        "ec2",
        "eks",
        "iam",
        "ssm",
        "states",
        "dynamodb",
        "organizations",
        "bucket.s3",
        "sts",
    ];
    for (region, fips, dual_stack, domain, others) in [
        (
            "us-west-2",
            false,
            false,
            ".us-west-2.amazonaws.com",
            [
                ("iam", "iam.amazonaws.com"),
                ("organizations", "organizations.us-east-1.amazonaws.com"),
            ]
            .as_slice(),
        ),
        (
            "us-west-2",
            true,
            false,
            "-fips.us-west-2.amazonaws.com",
            &[
                ("eks", "fips.eks.us-west-2.amazonaws.com"),
                ("iam", "iam-fips.amazonaws.com"),
                ("organizations", "organizations-fips.us-east-1.amazonaws.com"),
            ],
        ),
        (
            "us-west-2",
            false,
            true,
            ".us-west-2.api.aws",
            &[
                ("iam", "iam.global.api.aws"),
                ("organizations", "organizations.us-east-1.api.aws"),
                ("bucket.s3", "bucket.s3.dualstack.us-west-2.amazonaws.com"),
            ],
        ),
        (
            "us-west-2",
            true,
            true,
            "-fips.us-west-2.api.aws",
            &[
                ("iam", "iam-fips.global.api.aws"),
                ("organizations", "organizations-fips.us-east-1.api.aws"),
                ("bucket.s3", "bucket.s3-fips.dualstack.us-west-2.amazonaws.com"),
            ],
        ),
        (
            "us-gov-west-1",
            false,
            false,
            ".us-gov-west-1.amazonaws.com",
            &[("iam", "iam.us-gov.amazonaws.com")],
        ),
        // The usual endpoints of most services in AWS GovCloud are FIPS endpoints.
        (
            "us-gov-west-1",
            true,
            false,
            ".us-gov-west-1.amazonaws.com",
            &[
                ("aps", "aps-fips.us-gov-west-1.amazonaws.com"),
                ("aps-workspaces", "aps-workspaces-fips.us-gov-west-1.amazonaws.com"),
                ("bucket.s3", "bucket.s3-fips.us-gov-west-1.amazonaws.com"),
                ("iam", "iam.us-gov.amazonaws.com"),
            ],
        ),
        (
            "us-gov-west-1",
            true,
            true,
            "-fips.us-gov-west-1.api.aws",
            &[
                ("iam", "iam.us-gov.api.aws"),
                ("organizations", "organizations.us-gov-west-1.api.aws"),
                ("bucket.s3", "bucket.s3-fips.dualstack.us-gov-west-1.amazonaws.com"),
            ],
        ),
    ] {
        let expected = services.map(|service| {
            let other = others.iter().find(|(name, _)| *name == service);
            other.map_or_else(|| format!("{service}{domain}"), |(_, host)| (*host).to_owned())
        });
        assert_eq!(hosts(region, fips, dual_stack).await, expected);
    }
}
