//! The sessions in which a function works in other accounts.

use crate::script::{Script, call, task};
use ampxa::task::Task;
use serde_json::json;

#[derive(Debug, serde::Deserialize)]
struct Nothing {}

fn assumed() -> &'static str {
    "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>source</AccessKeyId>\
     <SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>\
     <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
}

#[tokio::test]
async fn a_session_works_in_the_clusters_region_and_not_in_the_hubs() {
    let script = Script::new([
        call("AssumeRole", 200, assumed()).saying("arn:aws:iam::222222222222:role/ampxa-source-provisioner"),
        call("GET /clusters/demo", 200, json!({ "cluster": {} }).to_string())
            .saying("https://eks.us-west-2.amazonaws.com/")
            .of("source"),
    ]);
    let task: Task<Nothing> = task(json!({}), json!({}));
    let source = script.aws("eu-west-1").source(&task).await.unwrap();
    source.eks().describe_cluster().name("demo").send().await.unwrap();
    script.is_over();
}

#[tokio::test]
async fn credentials_are_kept_while_they_are_valid() {
    let cluster = || call("GET /clusters/demo", 200, json!({ "cluster": {} }).to_string());
    let script = Script::new([call("AssumeRole", 200, assumed()), cluster(), cluster()]);
    let task: Task<Nothing> = task(json!({}), json!({}));
    let aws = script.aws("us-west-2");
    for _ in 0..2 {
        let source = aws.source(&task).await.unwrap();
        source.eks().describe_cluster().name("demo").send().await.unwrap();
    }
    script.is_over();
}
