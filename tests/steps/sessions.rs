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
