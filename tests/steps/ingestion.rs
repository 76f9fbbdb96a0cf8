//! Whether samples arrive, asked of the workspace itself.

use crate::{
    replies::{Role, iam_error},
    script::{CLUSTER, SCRAPER, Script, Turn, call, lost, task},
};
use ampxa::{
    error::Error,
    ingestion::{self, IngestionResult},
    roles,
    task::Task,
};
use aws_smithy_types::retry::RetryConfig;
use serde_json::{Value, json};
use std::time::Duration;

const QUERY: &str = "POST /workspaces/ws-1/api/v1/query";

/// A task that knows its scraper.
fn asked(request: Value, manual: bool) -> Task<ingestion::Input> {
    task(request, json!({ "scraperArn": SCRAPER, "manualAccess": manual }))
}

/// Prometheus' answer with this number, or with none.
fn number(number: Option<&str>) -> String {
    let result = number.map(|number| json!([{ "metric": {}, "value": [1_790_000_000.5, number] }]));
    let data = json!({ "resultType": "vector", "result": result.unwrap_or(json!([])) });
    json!({ "status": "success", "data": data }).to_string()
}

async fn check(
    turns: impl IntoIterator<Item = Turn>,
    task: &Task<ingestion::Input>,
) -> Result<ingestion::Output, Error> {
    let script = Script::new(turns);
    let seen = ingestion::check(&script.account().samples(), task).await;
    script.is_over();
    seen
}

#[tokio::test]
async fn endpoints_are_counted_and_those_that_are_up() {
    let task = asked(json!({}), false);
    let series = format!("up{{clusterArn=\"{CLUSTER}\"}}");
    let (count, sum) = (format!("query=count({series})"), format!("query=sum({series})"));
    for (endpoints, up, result, seen) in [
        (Some("12"), Some("9"), IngestionResult::Receiving, (12, 9)),
        (Some("1"), Some("1"), IngestionResult::Receiving, (1, 1)),
        (Some("12"), Some("0"), IngestionResult::TargetsDown, (12, 0)),
        (Some("12"), None, IngestionResult::TargetsDown, (12, 0)),
        (Some("0"), None, IngestionResult::None, (0, 0)),
        (None, None, IngestionResult::None, (0, 0)),
    ] {
        let mut turns = vec![call(QUERY, 200, number(endpoints)).saying(&count)];
        if seen.0 > 0 {
            turns.push(call(QUERY, 200, number(up)).saying(&sum));
        }
        let ingestion = check(turns, &task).await.unwrap();
        assert_eq!(
            (ingestion.result, ingestion.targets, ingestion.up),
            (result, seen.0, seen.1)
        );
        assert_eq!(ingestion.hints.is_empty(), result != IngestionResult::TargetsDown);
    }
}

#[tokio::test]
async fn the_label_that_the_request_gives_is_asked_for() {
    let task = asked(json!({ "externalLabels": { "clusterArn": "a\"b" } }), false);
    let turn = call(QUERY, 200, number(None)).saying(r#"query=count(up{clusterArn="a\"b"})"#);
    assert_eq!(check([turn], &task).await.unwrap().result, IngestionResult::None);
}

/// What the step looks at when nothing arrives; each role's trust is right or not.
async fn looks_at(source_is_right: bool, target: Option<bool>, manual: bool) -> Vec<String> {
    let task = asked(json!({}), manual);
    let known = task.with_input(roles::EnsureInput {
        scraper_arn: Some(task.input.scraper_arn.clone()),
    });
    let shown = |role: roles::Role, right: bool| {
        let trust = if right {
            role.scraper_trust.unwrap()
        } else {
            role.placeholder_trust
        };
        call("GetRole", 200, Role::ours(trust, &role.boundary).shown("GetRole")).saying(role.name)
    };
    let target_role = match target {
        Some(right) => shown(roles::target(&known), right),
        None => call("GetRole", 404, iam_error("NoSuchEntity", "gone")),
    };
    let script = Script::new([
        shown(roles::source(&known), source_is_right).of("source"),
        target_role.of("target"),
    ]);
    let (source, target) = (script.account_of("source"), script.account_of("target"));
    let looked = ingestion::hints(Ok(source.iam()), Ok(target.iam()), &task).await;
    script.is_over();
    looked
}

#[tokio::test]
async fn when_nothing_arrives_the_likeliest_cause_is_named_first() {
    let right = looks_at(true, Some(true), false).await;
    assert_eq!(right.len(), 4);
    for (sentence, about) in right
        .iter()
        .zip(["authentication mode", "DNS", "security groups", "scrape configuration"])
    {
        assert!(sentence.contains(about), "{sentence}");
    }
    for (source, target, roles) in [
        (true, Some(false), &["ampxa-target-"][..]),
        (true, None, &["ampxa-target-"]),
        (false, Some(true), &["ampxa-source-"]),
        (false, Some(false), &["ampxa-source-", "ampxa-target-"]),
    ] {
        let looked = looks_at(source, target, false).await;
        assert_eq!(looked.len(), 4 + roles.len());
        for (sentence, role) in looked.iter().zip(roles) {
            let names = sentence.starts_with("The trust policy of the role ") && sentence.contains(role);
            assert!(names && sentence.contains(SCRAPER), "{sentence}");
        }
        assert_eq!(looked[roles.len()..], right);
    }
    let manual = looks_at(true, Some(true), true).await;
    assert!(
        manual[0].contains("ConfigMap aws-auth") && manual[0].contains("mapping"),
        "{}",
        manual[0]
    );
}

#[tokio::test]
async fn nothing_arrives_even_where_nobody_may_look_why() {
    let task = asked(json!({}), false);
    let denied = call("GetRole", 403, iam_error("AccessDenied", "not allowed"));
    let script = Script::new([denied.of("target")]);
    let target = script.account_of("target").iam();
    let source = Err(Error::AccessDenied("The provisioner cannot be assumed.".to_owned()));
    let looked = ingestion::hints(source, Ok(target), &task).await;
    script.is_over();
    assert_eq!(looked.len(), 6);
    for (sentence, role, why) in [
        (&looked[0], "ampxa-source-", "The provisioner cannot be assumed."),
        (&looked[1], "ampxa-target-", "not allowed"),
    ] {
        let tells = sentence.contains(role) && sentence.contains("could not be read") && sentence.contains(why);
        assert!(tells, "{sentence}");
    }
}

#[tokio::test]
async fn a_refusal_is_named_whoever_says_it() {
    let task = asked(json!({}), false);
    let denied = json!({ "message": "User is not authorized to perform: aps:QueryMetrics" }).to_string();
    let capital = denied.replace("message", "Message");
    for (status, body, name, says) in [
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
        let why = check([call(QUERY, status, body)], &task).await.unwrap_err();
        assert_eq!(why.name(), name, "{why}");
        assert!(why.to_string().contains(says), "{why}");
        assert!(why.to_string().starts_with("aps:QueryMetrics "), "{why}");
    }
}

#[tokio::test]
async fn a_question_about_a_time_is_answered_with_its_numbers() {
    let range = "POST /workspaces/ws-1/api/v1/query_range";
    let series = |values: Value| json!({ "status": "success", "data": { "resultType": "matrix", "result": values } });
    let two = series(json!([{ "metric": {}, "values": [[100, "0"], [130.5, "3"]] }]));
    let script = Script::new([
        call(range, 200, two.to_string()).saying("query=count(up)&start=100&end=160.5&step=30"),
        call(range, 200, series(json!([])).to_string()),
    ]);
    let samples = script.account().samples();
    let ask = async || {
        samples
            .numbers("ws-1", "count(up)", (100.0, 160.5), 30.0)
            .await
            .unwrap()
    };
    assert_eq!(ask().await, [(100.0, 0.0), (130.5, 3.0)]);
    assert_eq!(ask().await, []);
    script.is_over();
}

#[tokio::test]
async fn a_question_that_got_lost_is_asked_again() {
    let task = asked(json!({}), false);
    let script = Script::new([lost(QUERY), call(QUERY, 503, "busy"), call(QUERY, 200, number(None))]);
    let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    let samples = script.account_in("us-west-2", "somebody", retries).samples();
    let seen = ingestion::check(&samples, &task).await.unwrap();
    assert_eq!(seen.result, IngestionResult::None);
    script.is_over();
}
