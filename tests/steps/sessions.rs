//! The role sessions of a function in other accounts.

use crate::script::{Script, call, task};
use ampxa::task::Task;
use serde_json::json;

#[derive(Debug, serde::Deserialize)]
struct NoInput {}

fn assumed() -> &'static str {
    "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>source</AccessKeyId>\
     <SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>\
     <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
}

#[tokio::test]
async fn a_session_uses_the_region_of_the_cluster_and_not_of_the_hub() {
    let script = Script::new([
        call("AssumeRole", 200, assumed()).with_text("arn:aws:iam::222222222222:role/ampxa-reader-source"),
        call("GET /clusters/demo", 200, json!({ "cluster": {} }).to_string())
            .with_text("https://eks.us-west-2.amazonaws.com/")
            .in_account("source"),
    ]);
    let task: Task<NoInput> = task(json!({}), json!({}));
    let source = script.aws("eu-west-1").source(&task).await.unwrap();
    source.eks().describe_cluster().name("demo").send().await.unwrap();
    script.assert_finished();
}

#[tokio::test]
async fn a_role_in_another_partition_is_refused_without_a_call() {
    let script = Script::new([]);
    let request = json!({
        "clusterArn": "arn:aws-us-gov:eks:us-gov-west-1:222222222222:cluster/demo",
        "workspaceArn": "arn:aws-us-gov:aps:us-gov-west-1:333333333333:workspace/ws-1",
    });
    let task: Task<NoInput> = task(request, json!({}));
    let aws = script.aws("us-west-2");
    for error in [
        aws.source(&task).await.unwrap_err(),
        aws.target(&task).await.unwrap_err(),
    ] {
        assert_eq!(error.name(), "InvalidRequest");
        assert!(
            error.to_string().contains("Use a hub in the partition aws-us-gov"),
            "{error}"
        );
    }
    let script = Script::new([
        call("AssumeRole", 200, assumed()).with_text("arn:aws-us-gov:iam::222222222222:role/ampxa-reader-source")
    ]);
    script.aws("us-gov-east-1").source(&task).await.unwrap();
    script.assert_finished();
}

/// The body of an error of STS.
fn refused(code: &str) -> String {
    format!("<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>")
}

#[tokio::test]
async fn a_denial_says_that_the_account_may_lack_the_region_of_a_hub_in_an_opt_in_region() {
    let enable = |region: &str| {
        format!(
            "Enable {region}, the Region of this hub, in its account, or move the hub to a Region that is enabled by \
             default."
        )
    };
    let deploy = "Deploy the current infra/source-account.yaml in its account with the account id of this hub.";
    let sts = |region: &str| format!("Activate STS in {region}, the Region of this hub, in the IAM settings");
    for (hub, code, status, present, absent) in [
        (
            "us-west-2",
            "AccessDenied",
            403,
            vec![deploy.to_owned()],
            "Region of this hub",
        ),
        (
            "us-gov-west-1",
            "AccessDenied",
            403,
            vec![deploy.to_owned()],
            "Region of this hub",
        ),
        (
            "ap-east-1",
            "AccessDenied",
            403,
            vec![enable("ap-east-1"), deploy.to_owned()],
            "Activate",
        ),
        (
            "mx-central-1",
            "InvalidClientTokenId",
            403,
            vec![enable("mx-central-1"), deploy.to_owned()],
            "Activate",
        ),
        (
            "il-central-1",
            "RegionDisabledException",
            403,
            vec![enable("il-central-1")],
            "Deploy",
        ),
        (
            "eu-west-1",
            "RegionDisabledException",
            403,
            vec![sts("eu-west-1")],
            "Deploy",
        ),
    ] {
        let script = Script::new([call("AssumeRole", status, refused(code))]);
        let of_hub = hub.starts_with("us-gov-");
        let region = if of_hub { "us-gov-east-1" } else { "us-west-2" };
        let error = script.aws(hub).source_at("222222222222", region).await.unwrap_err();
        assert_eq!(error.name(), "AccessDenied", "{hub}: {error}");
        let text = error.to_string();
        assert!(
            text.contains(code) && text.contains("role/ampxa-reader-source cannot be assumed."),
            "{text}"
        );
        for part in present {
            assert!(text.contains(&part), "{text}");
        }
        assert!(!text.contains(absent), "{text}");
        script.assert_finished();
    }
}

#[tokio::test]
async fn only_a_step_that_writes_assumes_the_provisioner() {
    for (writes, kind) in [(false, "reader"), (true, "provisioner")] {
        let arn = |account: &str, side: &str| format!("arn:aws:iam::{account}:role/ampxa-{kind}-{side}");
        let script = Script::new([
            call("AssumeRole", 200, assumed()).with_text(arn("222222222222", "source")),
            call("AssumeRole", 200, assumed()).with_text(arn("333333333333", "target")),
        ]);
        let task: Task<NoInput> = task(json!({}), json!({}));
        let aws = script.aws("us-west-2");
        let aws = if writes { aws.writing() } else { aws };
        aws.source(&task).await.unwrap();
        aws.target(&task).await.unwrap();
        script.assert_finished();
    }
}

#[tokio::test]
async fn valid_credentials_are_reused() {
    let cluster = || call("GET /clusters/demo", 200, json!({ "cluster": {} }).to_string());
    let script = Script::new([call("AssumeRole", 200, assumed()), cluster(), cluster()]);
    let task: Task<NoInput> = task(json!({}), json!({}));
    let aws = script.aws("us-west-2");
    for _ in 0..2 {
        let source = aws.source(&task).await.unwrap();
        source.eks().describe_cluster().name("demo").send().await.unwrap();
    }
    script.assert_finished();
}
