//! The logs of AMP's collector: `Update collector logs`, and the hints that quote their lines.

use crate::{
    checks,
    replies::{rest_error, scraper},
    script::{Exchange, SCRAPER, Script, call, task},
};
use ampxa::{
    collector_logs::{self, Change, Output},
    error::Error,
    ingestion,
    task::Task,
};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

const LOGGING: &str = "/scrapers/s-1/logging-configuration";
const TAG: &str = "ampxa:collector-logs-since";
const STARTED_AT: &str = "2026-01-02T00:00:00.123Z";
const GROUP: &str = "arn:aws:logs:us-west-2:222222222222:log-group:/aws/vendedlogs/ampxa/collectors:*";

async fn update(exchanges: impl IntoIterator<Item = Exchange>, change: &str) -> Result<Output, Error> {
    let script = Script::new(exchanges);
    let task = task(
        json!({}),
        json!({ "scraperArn": SCRAPER, "change": change, "startedAt": STARTED_AT }),
    );
    let result = collector_logs::update(&script.account_of("source").amp(), &task).await;
    script.assert_finished();
    result
}

fn configured(group: &str) -> Exchange {
    in_status(group, "ACTIVE")
}

fn in_status(group: &str, status: &str) -> Exchange {
    let status = json!({ "statusCode": status, "statusReason": "why" });
    let body = json!({
        "scraperId": "s-1", "modifiedAt": 1.0, "status": status, "scraperComponents": [],
        "loggingDestination": { "cloudWatchLogs": { "logGroupArn": group } },
    });
    call(&format!("GET {LOGGING}"), 200, body.to_string())
}

fn not_configured() -> Exchange {
    call(
        &format!("GET {LOGGING}"),
        404,
        rest_error("ResourceNotFoundException", "no configuration"),
    )
}

fn tagged() -> Exchange {
    let tags = json!({ "tags": { TAG: STARTED_AT } });
    call(
        "POST /tags/arn%3Aaws%3Aaps%3Aus-west-2%3A222222222222%3Ascraper%2Fs-1",
        200,
        "{}",
    )
    .with_body(tags)
}

fn untagged() -> Exchange {
    let tags = "DELETE /tags/arn%3Aaws%3Aaps%3Aus-west-2%3A222222222222%3Ascraper%2Fs-1";
    call(tags, 200, "{}").with_text("tagKeys=ampxa")
}

#[tokio::test]
async fn all_components_are_logged_to_the_log_group_of_the_region() {
    let expected = json!({
        "loggingDestination": { "cloudWatchLogs": { "logGroupArn": GROUP } },
        "scraperComponents": [{ "type": "SERVICE_DISCOVERY" }, { "type": "COLLECTOR" }, { "type": "EXPORTER" }],
    });
    let accepted = json!({ "status": { "statusCode": "CREATING" } }).to_string();
    let put = call(&format!("PUT {LOGGING}"), 202, accepted).with_body(expected);
    let result = update([not_configured(), tagged(), put], "ENABLE").await.unwrap();
    assert_eq!(result.collector_logs_since.as_deref(), Some(STARTED_AT));
    // The second call of a step whose first call died before it returned.
    update([configured(GROUP), tagged()], "ENABLE").await.unwrap();
}

#[tokio::test]
async fn logs_are_switched_off_and_their_tag_is_removed() {
    let delete = call(&format!("DELETE {LOGGING}"), 202, "");
    for exchanges in [
        vec![configured(GROUP), delete, untagged()],
        vec![not_configured(), untagged()],
    ] {
        let result = update(exchanges, "DISABLE").await.unwrap();
        assert_eq!(result.collector_logs_since, None);
    }
}

#[tokio::test]
async fn logs_that_someone_else_configured_are_not_changed() {
    for change in ["ENABLE", "DISABLE"] {
        let other = GROUP.replace("ampxa", "team");
        let error = update([configured(&other)], change).await.unwrap_err();
        assert_eq!(error.name(), "Conflict");
        assert!(error.to_string().contains(&other), "{error}");
    }
}

#[tokio::test]
async fn a_configuration_that_failed_is_written_again_and_one_that_is_deleted_is_waited_for() {
    for status in ["CREATION_FAILED", "UPDATE_FAILED"] {
        let put = call(
            &format!("PUT {LOGGING}"),
            202,
            json!({ "status": { "statusCode": "UPDATING" } }).to_string(),
        );
        update([in_status(GROUP, status), tagged(), put], "ENABLE")
            .await
            .unwrap();
    }
    let error = update([in_status(GROUP, "DELETING"), tagged()], "ENABLE")
        .await
        .unwrap_err();
    assert_eq!(error.name(), "Transient");
}

#[tokio::test]
async fn a_region_without_the_log_group_is_named() {
    let missing = rest_error("ResourceNotFoundException", "the log group does not exist");
    let put = call(&format!("PUT {LOGGING}"), 404, missing);
    let error = update([not_configured(), tagged(), put, untagged()], "ENABLE")
        .await
        .unwrap_err();
    assert_eq!(error.name(), "NotReady");
    let message = error.to_string();
    assert!(
        message.ends_with("with CollectorLogs=yes there, also in us-west-2."),
        "{message}"
    );
}

#[tokio::test]
async fn a_change_in_progress_is_tried_again() {
    let conflict = rest_error("ConflictException", "The logging configuration is CREATING.");
    let put = call(&format!("PUT {LOGGING}"), 409, conflict);
    let error = update([not_configured(), tagged(), put, untagged()], "ENABLE")
        .await
        .unwrap_err();
    assert_eq!(error.name(), "Transient");
}

const QUERY: &str = "POST /workspaces/ws-1/api/v1/query";
const ROLE: &str = "arn:aws:iam::222222222222:role/AWSServiceRoleForAmazonPrometheusScraper";

fn number(value: &str) -> Exchange {
    let data = json!({ "resultType": "vector", "result": [{ "metric": {}, "value": [1, value] }] });
    call(QUERY, 200, json!({ "status": "success", "data": data }).to_string())
}

fn check_task(mode: &str, since: Option<&str>) -> Task<ingestion::Input> {
    let input = json!({
        "scraperArn": SCRAPER, "manualAccess": false, "longestInterval": 60, "identified": true, "collectorLogsSince": since,
    });
    task(json!({ "collectorLogs": mode }), input)
}

/// The result of a check with `up` of three targets, and with these calls to the source account.
async fn examine(
    up: &str,
    task: &Task<ingestion::Input>,
    source: impl IntoIterator<Item = Exchange>,
) -> ingestion::Output {
    let session = |role: &str| {
        let credentials = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>A</AccessKeyId>\
                           <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
                           <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult>\
                           </AssumeRoleResponse>";
        call("AssumeRole", 200, credentials).with_text(role)
    };
    let mut exchanges = vec![session("ampxa-reader-target"), number("3"), number(up)];
    let mut source = source.into_iter().peekable();
    if source.peek().is_some() {
        exchanges.push(session("ampxa-reader-source"));
    }
    exchanges.extend(source);
    let script = Script::new(exchanges);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10 * 86_400);
    let aws = script.aws("us-west-2");
    let workspace = aws.query_client(task).await.unwrap();
    let output = ingestion::examine(
        &workspace,
        async || aws.source(task).await,
        async || aws.target(task).await,
        task,
        now,
    );
    let output = output.await.unwrap();
    script.assert_finished();
    output
}

fn permission(is_given: bool) -> Exchange {
    checks::permission("collector-logs", is_given)
}

#[tokio::test]
async fn logs_are_switched_on_only_if_the_account_permits_it() {
    let task = check_task("ON_FAILURE", None);
    let output = examine("0", &task, [permission(true)]).await;
    assert_eq!(output.collector_logs, Some(Change::Enable));
    let output = examine("0", &task, [permission(false)]).await;
    assert_eq!(output.collector_logs, None);
    assert!(
        output.hints[4].contains("in the account 222222222222 with CollectorLogs=yes"),
        "{:?}",
        output.hints
    );
    // Samples are received, so there is nothing to explain.
    let output = examine("3", &task, []).await;
    assert_eq!((output.collector_logs, output.hints), (None, vec![]));
}

#[tokio::test]
async fn logs_are_switched_off_if_samples_also_arrived_a_day_ago() {
    let task = check_task("ON_FAILURE", Some("1970-01-01T00:00:00Z"));
    for (a_day_ago, expected) in [("2", Some(Change::Disable)), ("0", None)] {
        let script = Script::new([number("3"), number("3"), number(a_day_ago).with_text("offset 1d")]);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10 * 86_400);
        let output = ingestion::check(&script.account().query_client(), &task, now)
            .await
            .unwrap();
        script.assert_finished();
        assert_eq!(output.collector_logs, expected);
    }
}

fn events(lines: &[Value]) -> Exchange {
    let events = lines
        .iter()
        .enumerate()
        .map(|(index, line)| json!({ "timestamp": index * 1000, "message": line.to_string() }));
    let events: Vec<Value> = events
        .chain([json!({ "timestamp": 0, "message": "no JSON" })])
        .collect();
    call("POST /", 200, json!({ "events": events }).to_string())
}

fn scrape_failed(target: &str, error: &str) -> Value {
    json!({ "component": "COLLECTOR", "scrapeConfigId": "s-1", "message": {
        "message": "Scrape failed", "scrape_pool": "pods", "target": target, "error": error,
    } })
}

#[tokio::test]
async fn the_last_line_of_each_kind_is_quoted_with_what_to_do() {
    let task = check_task("ON_FAILURE", Some("1970-01-10T00:00:00Z"));
    let export = json!({ "component": "EXPORTER", "scraperId": "s-1", "message": {
        "log": "Failed to export to the target workspace - Verify your scraper destination.", "samplesDropped": 5, "error": "AccessDenied: no",
    } });
    let lines = [
        export,
        scrape_failed("http://10.0.0.1/metrics", "connect: connection refused"),
        scrape_failed("http://10.0.0.2/metrics", "connect: connection refused"),
        scrape_failed("http://10.0.0.3/metrics", "context deadline exceeded"),
        scrape_failed(
            "http://10.0.0.4/metrics",
            "server returned HTTP status 404 Not Found for http://10.0.0.4/metrics?token=secret\u{202e} end",
        ),
    ];
    let read = events(&lines)
        .with_text(r#""filterPattern":"\"s-1\"""#)
        .with_text(r#""logGroupName":"/aws/vendedlogs/ampxa/collectors""#);
    let output = examine("0", &task, [permission(true), read]).await;
    let expected = [
        (
            "COLLECTOR at 1970-01-01T00:00:03Z: Scrape failed: http://10.0.0.3/metrics: context",
            "security groups",
        ),
        (
            "COLLECTOR at 1970-01-01T00:00:02Z: Scrape failed: http://10.0.0.2/metrics",
            "(2 such lines in 2 minutes)",
        ),
        ("COLLECTOR at 1970-01-01T00:00:04Z: Scrape failed", "HTTP status 200"),
        (
            "EXPORTER at 1970-01-01T00:00:00Z: Failed to export",
            "Onboard the pair again, which patches both trust",
        ),
    ];
    for (hint, (line, fix)) in output.hints.iter().zip(expected) {
        assert!(
            hint.starts_with(&format!("The collector logs {line}")) && hint.contains(fix),
            "{hint}"
        );
    }
    let scrape = &output.hints[2];
    assert!(
        scrape.contains("/metrics? end") && !scrape.contains("secret"),
        "{scrape}"
    );
    let unknown = "The collector logs of an unknown component at 1970-01-01T00:00:00Z: no JSON. See";
    assert!(output.hints[4].starts_with(unknown), "{:?}", output.hints);
    assert!(
        output.hints[5].starts_with("The scraper has discovered 3 targets"),
        "{:?}",
        output.hints
    );
}

fn no_events() -> Exchange {
    call("POST /", 200, json!({ "events": [] }).to_string())
}

#[tokio::test]
async fn logs_without_lines_are_explained_and_logs_that_are_off_are_switched_on_again() {
    let task = check_task("ALWAYS", Some("1970-01-10T00:00:00Z"));
    let silent = "The collector has reported no failure in the log group /aws/vendedlogs/ampxa/collectors";
    for (configuration, hint, change) in [
        (configured(GROUP), silent, None),
        (
            in_status(GROUP, "CREATING"),
            "The logging of the collector is CREATING: why. ",
            None,
        ),
        (
            in_status(GROUP, "CREATION_FAILED"),
            "The logging of the collector is CREATION_FAILED: why. ",
            Some(Change::Enable),
        ),
        (
            not_configured(),
            "The scraper has discovered 3 targets",
            Some(Change::Enable),
        ),
    ] {
        let output = examine("0", &task, [permission(true), no_events(), no_events(), configuration]).await;
        assert!(output.hints[0].starts_with(hint), "{:?}", output.hints);
        assert_eq!(output.collector_logs, change, "{hint}");
    }
    let page = || call("POST /", 200, json!({ "events": [], "nextToken": "more" }).to_string());
    let mut exchanges = vec![permission(true)];
    exchanges.extend((0..20).map(|_| page()));
    exchanges.push(configured(GROUP));
    let output = examine("0", &task, exchanges).await;
    assert!(
        output.hints[0].contains("has too many lines to find those of this scraper"),
        "{:?}",
        output.hints
    );
}

#[tokio::test]
async fn logs_that_cannot_be_read_are_a_hint() {
    let task = check_task("ON_FAILURE", Some("1970-01-10T00:00:00Z"));
    let denied = json!({ "__type": "AccessDeniedException", "message": "not allowed to logs:FilterLogEvents" });
    let denied = call("POST /", 400, denied.to_string());
    let output = examine("0", &task, [permission(true), denied]).await;
    let hint = &output.hints[0];
    assert!(
        hint.starts_with("The collector's logs could not be read: logs:FilterLogEvents"),
        "{hint}"
    );
}

#[tokio::test]
async fn without_the_permission_of_the_account_nothing_is_changed_or_read() {
    let since = Some("1970-01-01T00:00:00Z");
    let output = examine("0", &check_task("ON_FAILURE", since), [permission(false)]).await;
    assert!(output.hints[4].contains("CollectorLogs=yes"), "{:?}", output.hints);
    let output = examine("3", &check_task("NEVER", since), [permission(false)]).await;
    assert_eq!((output.collector_logs, output.hints), (None, vec![]));
}

#[tokio::test]
async fn an_access_entry_that_is_missing_or_has_no_policy_is_a_hint() {
    let mut described = scraper("ACTIVE", true);
    described["roleArn"] = json!(ROLE);
    let describe = || call("GET /scrapers/s-1", 200, json!({ "scraper": described }).to_string());
    let entry = "/clusters/demo/access-entries/arn%3Aaws%3Aiam%3A%3A222222222222%3Arole%2FAWSServiceRoleForAmazonPrometheusScraper";
    let no_entry = call(
        &format!("GET {entry}"),
        404,
        rest_error("ResourceNotFoundException", "no entry"),
    );
    let found = || {
        call(
            &format!("GET {entry}"),
            200,
            json!({ "accessEntry": { "clusterName": "demo" } }).to_string(),
        )
    };
    let policies = |arn: &str| {
        let body = json!({ "associatedAccessPolicies": [{ "policyArn": arn }] });
        call(&format!("GET {entry}/access-policies"), 200, body.to_string())
    };
    let other = policies("arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy");
    let ours = policies("arn:aws:eks::aws:cluster-access-policy/AmazonPrometheusScraperPolicy");
    for (reads, expected) in [
        (vec![no_entry], Some("has no access entry of the role")),
        (vec![found(), other], Some("but without AmazonPrometheusScraperPolicy")),
        (vec![found(), ours], None),
    ] {
        let task = check_task("NEVER", None);
        let exchanges = [vec![describe()], reads].concat();
        let script = Script::new(exchanges);
        let hint = ingestion::access_entry(&script.account_of("source"), &task)
            .await
            .unwrap();
        script.assert_finished();
        match expected {
            Some(text) => assert!(hint.as_ref().is_some_and(|hint| hint.contains(text)), "{hint:?}"),
            None => assert_eq!(hint, None),
        }
    }
}
