//! The check of ingestion: queries of the workspace, and hints if no samples arrive.

use crate::{
    replies::{Role, iam_error, rest_error, workspace},
    script::{CLUSTER, Exchange, SCRAPER, Script, WORKSPACE, call, lost, task},
};
use ampxa::{
    error::Error,
    ingestion::{self, IngestionResult},
    roles,
    task::Task,
};
use aws_smithy_types::retry::RetryConfig;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

const QUERY: &str = "POST /workspaces/ws-1/api/v1/query";

/// A task with a scraper.
fn task_with_scraper(request: Value, manual: bool) -> Task<ingestion::Input> {
    task(
        request,
        json!({ "scraperArn": SCRAPER, "manualAccess": manual, "longestInterval": 60, "identified": true }),
    )
}

/// The response of a query with this number, or without a value.
fn number(number: Option<&str>) -> String {
    let result = number.map(|number| json!([{ "metric": {}, "value": [1_790_000_000.5, number] }]));
    let data = json!({ "resultType": "vector", "result": result.unwrap_or(json!([])) });
    json!({ "status": "success", "data": data }).to_string()
}

async fn check(
    exchanges: impl IntoIterator<Item = Exchange>,
    task: &Task<ingestion::Input>,
) -> Result<ingestion::Output, Error> {
    let script = Script::new(exchanges);
    let output = ingestion::check(&script.account().query_client(), task, SystemTime::now()).await;
    script.assert_finished();
    output
}

#[tokio::test]
async fn targets_and_targets_that_are_up_are_counted() {
    let task = task_with_scraper(json!({}), false);
    let series = format!("up{{clusterArn=\"{CLUSTER}\"}}");
    let (count, sum) = (format!("query=count({series})"), format!("query=sum({series})"));
    for (targets, up, result, counts) in [
        (Some("12"), Some("9"), IngestionResult::Receiving, (12, 9)),
        (Some("1"), Some("1"), IngestionResult::Receiving, (1, 1)),
        (Some("12"), Some("0"), IngestionResult::TargetsDown, (12, 0)),
        (Some("12"), None, IngestionResult::TargetsDown, (12, 0)),
        (Some("0"), None, IngestionResult::None, (0, 0)),
        (None, None, IngestionResult::None, (0, 0)),
    ] {
        let mut exchanges = vec![call(QUERY, 200, number(targets)).with_text(&count)];
        if counts.0 > 0 {
            exchanges.push(call(QUERY, 200, number(up)).with_text(&sum));
        }
        let ingestion = check(exchanges, &task).await.unwrap();
        assert_eq!(
            (ingestion.result, ingestion.targets, ingestion.up),
            (result, counts.0, counts.1)
        );
        assert_eq!(ingestion.hints.is_empty(), result != IngestionResult::TargetsDown);
    }
}

#[tokio::test]
async fn targets_that_are_down_may_answer_with_an_error_or_too_large_a_body() {
    let task = task_with_scraper(json!({}), false);
    let exchanges = [call(QUERY, 200, number(Some("12"))), call(QUERY, 200, number(None))];
    let hints = check(exchanges, &task).await.unwrap().hints;
    for topic in ["12 targets", "ports, paths", "status 200", "50 MB"] {
        assert_eq!(
            hints.iter().filter(|hint| hint.contains(topic)).count(),
            1,
            "{hints:#?}"
        );
    }
    assert_eq!(hints.len(), 4);
}

#[tokio::test]
async fn a_scraper_at_the_limit_of_targets_is_a_hint_even_if_samples_arrive() {
    let task = task_with_scraper(json!({}), false);
    for (targets, up, result, has_hint) in [
        ("29999", "29999", IngestionResult::Receiving, false),
        ("30000", "1", IngestionResult::Receiving, true),
        ("30000", "0", IngestionResult::TargetsDown, true),
        ("29999", "0", IngestionResult::TargetsDown, false),
    ] {
        let exchanges = [targets, up].map(|count| call(QUERY, 200, number(Some(count))));
        let output = check(exchanges, &task).await.unwrap();
        assert_eq!(output.result, result);
        let hint = output.hints.iter().find(|hint| hint.contains("at most 30000 targets"));
        assert_eq!(hint.is_some(), has_hint, "{targets} {up}: {:#?}", output.hints);
    }
}

#[tokio::test]
async fn labels_of_the_request_stay_outside_of_the_query() {
    let hostile = "\"} or up{x=\"";
    let labels = json!({ "cluster": hostile, "note": hostile, "clusterArn": "" });
    let task = task_with_scraper(json!({ "externalLabels": labels }), false);
    let exchange = call(QUERY, 200, number(None)).with_text(format!("query=count(up{{clusterArn=\"{CLUSTER}\"}})"));
    assert_eq!(check([exchange], &task).await.unwrap().result, IngestionResult::None);
}

/// The pair's workspace as AMP describes it.
#[derive(Clone)]
struct Workspace {
    /// The resource policy, if the workspace has one.
    policy: Option<Value>,
    limits: Value,
    key: Option<&'static str>,
}

impl Workspace {
    /// A workspace without policy, limits and key.
    fn plain() -> Self {
        Self {
            policy: None,
            limits: json!([]),
            key: None,
        }
    }

    fn reads(&self) -> Vec<Exchange> {
        let policy = match &self.policy {
            Some(policy) => {
                let document = policy.to_string();
                let policy = json!({ "policyDocument": document, "policyStatus": "ACTIVE", "revisionId": "1" });
                call(POLICY, 200, policy.to_string())
            }
            None => call(POLICY, 404, rest_error("ResourceNotFoundException", "no policy")),
        };
        let configuration = json!({ "workspaceConfiguration": {
            "status": { "statusCode": "ACTIVE" }, "limitsPerLabelSet": self.limits,
        } });
        let mut workspace: Value = serde_json::from_str(&workspace("ACTIVE")).unwrap();
        workspace["workspace"]["kmsKeyArn"] = json!(self.key);
        let reads = [
            policy,
            call(CONFIGURATION, 200, configuration.to_string()),
            call(DESCRIPTION, 200, workspace.to_string()),
        ];
        reads.map(|read| read.in_account("target")).into()
    }
}

const POLICY: &str = "GET /workspaces/ws-1/policy";
const CONFIGURATION: &str = "GET /workspaces/ws-1/configuration";
const DESCRIPTION: &str = "GET /workspaces/ws-1";

/// The hints for given trust policies: each names the scraper or not; a target of `None` does not exist.
async fn hints(source_names_scraper: bool, target: Option<bool>, manual: bool) -> Vec<String> {
    hints_of(source_names_scraper, target, manual, Workspace::plain().reads()).await
}

async fn hints_of(
    source_names_scraper: bool,
    target: Option<bool>,
    manual: bool,
    workspace: Vec<Exchange>,
) -> Vec<String> {
    let task = task_with_scraper(json!({ "externalLabels": { "team": "payments" } }), manual);
    let ensure_task = task.with_input(roles::EnsureInput {
        scraper_arn: Some(task.input.scraper_arn.clone()),
    });
    let described = |role: roles::Role, names_scraper: bool| {
        let trust = if names_scraper {
            role.scraper_trust.unwrap()
        } else {
            role.placeholder_trust
        };
        call("GetRole", 200, Role::ours(trust, &role.boundary).response("GetRole")).with_text(role.name)
    };
    let target_role = match target {
        Some(names_scraper) => described(roles::target(&ensure_task), names_scraper),
        None => call("GetRole", 404, iam_error("NoSuchEntity", "no such role")),
    };
    let roles = [
        described(roles::source(&ensure_task), source_names_scraper).in_account("source"),
        target_role.in_account("target"),
    ];
    let script = Script::new(workspace.into_iter().chain(roles));
    let (source, target) = (script.account_of("source"), script.account_of("target"));
    let hints = ingestion::hints(Ok(source), Ok(target), &task, ingestion::Found::default()).await;
    script.assert_finished();
    hints
}

#[tokio::test]
async fn hints_begin_with_the_most_likely_cause() {
    let general = hints(true, Some(true), false).await;
    assert_eq!(general.len(), 4);
    for (sentence, topic) in
        general
            .iter()
            .zip(["authentication mode", "DNS", "security groups", "scrape configuration"])
    {
        assert!(sentence.contains(topic), "{sentence}");
    }
    for (source, target, roles) in [
        (true, Some(false), &["ampxa-target-"][..]),
        (true, None, &["ampxa-target-"]),
        (false, Some(true), &["ampxa-source-"]),
        (false, Some(false), &["ampxa-source-", "ampxa-target-"]),
    ] {
        let hints = hints(source, target, false).await;
        assert_eq!(hints.len(), 4 + roles.len());
        for (sentence, role) in hints.iter().zip(roles) {
            let names = sentence.starts_with("The trust policy of the role ") && sentence.contains(role);
            assert!(names && sentence.contains(SCRAPER), "{sentence}");
        }
        assert_eq!(hints[roles.len()..], general);
    }
    let manual = hints(true, Some(true), true).await;
    assert!(
        manual[0].contains("ConfigMap aws-auth") && manual[0].contains("mapping"),
        "{}",
        manual[0]
    );
}

/// The hints of a workspace, without those that every pair gets.
async fn hints_of_workspace(workspace: Workspace) -> Vec<String> {
    let general = hints(true, Some(true), false).await;
    let mut hints = hints_of(true, Some(true), false, workspace.reads()).await;
    hints.retain(|hint| !general.contains(hint));
    hints
}

#[tokio::test]
async fn a_resource_policy_that_denies_writing_is_the_first_hint_after_the_trust_policies() {
    let policy = |statement: Value| Workspace {
        policy: Some(json!({ "Version": "2012-10-17", "Statement": [statement] })),
        ..Workspace::plain()
    };
    let deny =
        policy(json!({ "Sid": "NoWrites", "Effect": "Deny", "Principal": "*", "Action": "aps:*", "Resource": "*" }));
    let hints = hints_of(false, Some(true), false, deny.reads()).await;
    assert!(hints[0].starts_with("The trust policy of the role "), "{}", hints[0]);
    for text in [
        WORKSPACE,
        "denies aps:RemoteWrite in the statement NoWrites",
        "role/ampxa-target-",
    ] {
        assert!(hints[1].contains(text), "{}", hints[1]);
    }
    let allow = policy(json!({ "Effect": "Allow", "Principal": "*", "Action": "aps:RemoteWrite", "Resource": "*" }));
    let deny_queries =
        policy(json!({ "Effect": "Deny", "Principal": "*", "Action": "aps:QueryMetrics", "Resource": "*" }));
    for other in [allow, deny_queries] {
        assert_eq!(hints_of_workspace(other).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_limit_of_active_series_is_a_hint_if_the_labels_of_the_cluster_match() {
    let limit = |labels: Value, max: u64| Workspace {
        limits: json!([{ "labelSet": labels, "limits": { "maxSeries": max } }]),
        ..Workspace::plain()
    };
    for (labels, shown) in [
        (
            json!({ "clusterArn": CLUSTER }),
            format!("{{clusterArn=\"{CLUSTER}\"}} to 1000"),
        ),
        (json!({ "team": "payments" }), "{team=\"payments\"} to 1000".to_owned()),
        (json!({}), "{} to 1000".to_owned()),
    ] {
        let [hint] = &hints_of_workspace(limit(labels, 1000)).await[..] else {
            panic!("expected one hint");
        };
        assert!(
            hint.contains(&shown) && hint.contains(WORKSPACE) && hint.contains(CLUSTER),
            "{hint}"
        );
    }
    for workspace in [
        limit(json!({ "team": "other" }), 1000),
        limit(json!({ "team": "payments" }), 0),
    ] {
        assert_eq!(hints_of_workspace(workspace).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_key_of_the_owner_is_a_hint_that_says_what_its_policy_must_allow() {
    let key = "arn:aws:kms:us-west-2:333333333333:key/k-1";
    let workspace = Workspace {
        key: Some(key),
        ..Workspace::plain()
    };
    let [hint] = &hints_of_workspace(workspace).await[..] else {
        panic!("expected one hint");
    };
    for text in [
        key,
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "aps.us-west-2.amazonaws.com",
        "role/ampxa-target-",
    ] {
        assert!(hint.contains(text), "{hint}");
    }
}

#[tokio::test]
async fn a_read_of_the_workspace_that_fails_is_a_hint() {
    let denied = rest_error("AccessDeniedException", "not authorized");
    let broken = json!({ "policyDocument": "{", "policyStatus": "ACTIVE", "revisionId": "1" }).to_string();
    for (index, requirement, response, reason) in [
        (
            0,
            "must not deny aps:RemoteWrite",
            (403, denied.clone()),
            "infra/target-account.yaml",
        ),
        (0, "must not deny aps:RemoteWrite", (200, broken), "not JSON"),
        (
            1,
            "limits of active series",
            (403, denied.clone()),
            "aps:DescribeWorkspaceConfiguration",
        ),
        (1, "limits of active series", (500, "{}".to_owned()), "HTTP 500"),
        (2, "key that encrypts", (403, denied), "aps:DescribeWorkspace "),
    ] {
        let mut reads = Workspace::plain().reads();
        reads[index] = call([POLICY, CONFIGURATION, DESCRIPTION][index], response.0, response.1);
        let hints = hints_of(true, Some(true), false, reads).await;
        assert_eq!(hints.len(), 5, "{hints:#?}");
        for text in [requirement, "could not be read", reason] {
            assert!(hints[4].contains(text), "{}", hints[4]);
        }
    }
}

#[tokio::test]
async fn a_hint_reports_a_role_that_cannot_be_read() {
    let task = task_with_scraper(json!({}), false);
    let denied = call("GetRole", 403, iam_error("AccessDenied", "not allowed"));
    let mut exchanges = Workspace::plain().reads();
    exchanges.push(denied.in_account("target"));
    let script = Script::new(exchanges);
    let target = script.account_of("target");
    let unreachable = || Err(Error::AccessDenied("The provisioner cannot be assumed.".to_owned()));
    let hints = ingestion::hints(unreachable(), Ok(target), &task, ingestion::Found::default()).await;
    script.assert_finished();
    assert_eq!(hints.len(), 6);
    for (sentence, role, reason) in [
        (&hints[0], "ampxa-source-", "The provisioner cannot be assumed."),
        (&hints[1], "ampxa-target-", "not allowed"),
    ] {
        let complete = sentence.contains(role) && sentence.contains("could not be read") && sentence.contains(reason);
        assert!(complete, "{sentence}");
    }
    // Without the target account, the workspace is not read: the hint about the role says why.
    assert_eq!(
        ingestion::hints(unreachable(), unreachable(), &task, ingestion::Found::default())
            .await
            .len(),
        6
    );
}

#[tokio::test]
async fn an_error_of_the_query_has_a_name() {
    let task = task_with_scraper(json!({}), false);
    let denied = json!({ "message": "User is not authorized to perform: aps:QueryMetrics" }).to_string();
    let capital = denied.replace("message", "Message");
    for (status, body, name, message) in [
        (
            403,
            capital.as_str(),
            "AccessDenied",
            "not authorized to perform: aps:QueryMetrics",
        ),
        (
            403,
            denied.as_str(),
            "AccessDenied",
            "not authorized to perform: aps:QueryMetrics",
        ),
        (
            400,
            r#"{"status":"error","errorType":"bad_data","error":"unclosed left parenthesis"}"#,
            "InvalidRequest",
            "bad_data: unclosed left parenthesis",
        ),
        (503, "<html>Bad gateway</html>", "Transient", "HTTP 503"),
        (200, "<html>hello</html>", "Transient", "aps:QueryMetrics"),
        (
            200,
            r#"{"status":"success","data":{}}"#,
            "Transient",
            "aps:QueryMetrics",
        ),
        (200, &number(Some("many")), "Transient", "aps:QueryMetrics"),
    ] {
        let error = check([call(QUERY, status, body)], &task).await.unwrap_err();
        assert_eq!(error.name(), name, "{error}");
        assert!(error.to_string().contains(message), "{error}");
        assert!(error.to_string().starts_with("aps:QueryMetrics "), "{error}");
    }
}

#[tokio::test]
async fn a_range_query_returns_its_numbers() {
    let range = "POST /workspaces/ws-1/api/v1/query_range";
    let series = |values: Value| json!({ "status": "success", "data": { "resultType": "matrix", "result": values } });
    let two = series(json!([{ "metric": {}, "values": [[100, "0"], [130.5, "3"]] }]));
    let script = Script::new([
        call(range, 200, two.to_string()).with_text("query=count(up)&start=100&end=160.5&step=30"),
        call(range, 200, series(json!([])).to_string()),
    ]);
    let samples = script.account().query_client();
    let query = async || {
        samples
            .query_range("ws-1", "count(up)", (100.0, 160.5), 30.0)
            .await
            .unwrap()
    };
    assert_eq!(query().await, [(100.0, 0.0), (130.5, 3.0)]);
    assert_eq!(query().await, []);
    script.assert_finished();
}

#[tokio::test]
async fn a_lost_query_is_retried() {
    let task = task_with_scraper(json!({}), false);
    let script = Script::new([lost(QUERY), call(QUERY, 503, "busy"), call(QUERY, 200, number(None))]);
    let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    let samples = script.account_in("us-west-2", "default", retries).query_client();
    let output = ingestion::check(&samples, &task, SystemTime::now()).await.unwrap();
    assert_eq!(output.result, IngestionResult::None);
    script.assert_finished();
}
