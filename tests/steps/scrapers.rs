//! `Create scraper` and `Check scraper`.

use crate::{
    replies::{rest_error, scraper, scraper_of_this_execution, scrapers},
    script::{CLUSTER, EXECUTION, Exchange, SCRAPER, Script, WORKSPACE, call, lost, task},
};
use ampxa::{
    error::Error,
    scrape_configuration,
    scraper::{self, CheckInput, CreateInput, Scraper},
    task::Task,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const YAML: &str = "scrape_configs:\n- job_name: a\n";

/// [`YAML`] with the labels of the cluster.
fn labelled() -> String {
    let labels = scrape_configuration::labels(&CLUSTER.parse().unwrap(), &BTreeMap::new());
    scrape_configuration::complete(YAML, &labels).unwrap()
}

/// A task of `Create scraper`.
fn create_task(request: Value) -> Task<CreateInput> {
    let network = json!({ "subnetIds": ["subnet-a", "subnet-b"], "securityGroupIds": ["sg-1"] });
    task(request, json!({ "network": network, "manualAccess": false }))
}

fn listed(all: &[Value]) -> Exchange {
    call("GET /scrapers", 200, scrapers(all))
        .with_text(format!("sourceArn={CLUSTER}"))
        .with_text(format!("destinationArn={WORKSPACE}"))
}

/// CreateScraper with its response.
fn created() -> Exchange {
    let response = json!({ "arn": SCRAPER, "scraperId": "s-1", "status": { "statusCode": "CREATING" }, "tags": {} });
    call("POST /scrapers", 202, response.to_string())
}

async fn create(exchanges: impl IntoIterator<Item = Exchange>, task: &Task<CreateInput>) -> Result<Scraper, Error> {
    let script = Script::new(exchanges);
    let scraper = scraper::create(
        &script.account().amp(),
        &script.account_of("hub").bucket("bucket"),
        task,
    )
    .await;
    script.assert_finished();
    scraper
}

#[tokio::test]
async fn a_scraper_is_created_with_roles_tags_and_a_configuration_encoded_once() {
    let task = create_task(json!({ "scrapeConfiguration": YAML, "alias": "payments", "tags": { "team": "a" } }));
    let expected = created().with_body(json!({
        "alias": "payments",
        "clientToken": token(EXECUTION),
        "source": { "eksConfiguration": {
            "clusterArn": CLUSTER, "subnetIds": ["subnet-a", "subnet-b"], "securityGroupIds": ["sg-1"],
        } },
        "destination": { "ampConfiguration": { "workspaceArn": WORKSPACE } },
        "roleConfiguration": {
            "sourceRoleArn": task.pair.source_role_arn(), "targetRoleArn": task.pair.target_role_arn(),
        },
        "scrapeConfiguration": { "configurationBlob": aws_smithy_types::base64::encode(labelled()) },
        "tags": {
            "ampxa:cluster": CLUSTER, "ampxa:workspace": WORKSPACE, "ampxa:created-by": EXECUTION, "team": "a",
            "ampxa:origin": "request",
        },
    }));
    let scraper = create([listed(&[]), expected], &task).await.unwrap();
    assert_eq!(
        (scraper.scraper_arn.as_str(), scraper.status.as_str(), scraper.created),
        (SCRAPER, "CREATING", true)
    );
}

#[tokio::test]
async fn without_a_configuration_the_default_of_amp_gets_the_labels() {
    let default = json!({ "configuration": aws_smithy_types::base64::encode(YAML) }).to_string();
    let blob = aws_smithy_types::base64::encode(labelled());
    let exchanges = [
        listed(&[]),
        call("GET /scraperconfiguration", 200, default),
        created().with_text(format!("\"configurationBlob\":\"{blob}\"")),
    ];
    create(exchanges, &create_task(json!({}))).await.unwrap();
}

#[tokio::test]
async fn the_client_token_is_the_same_for_an_execution_and_differs_between_executions() {
    let mut task = create_task(json!({ "scrapeConfiguration": YAML }));
    let other = EXECUTION.replace(":one", ":two");
    for execution in [EXECUTION, EXECUTION, &other] {
        task.execution = execution.parse().unwrap();
        let expected = created().with_text(format!("\"clientToken\":\"{}\"", token(execution)));
        create([listed(&[]), expected], &task).await.unwrap();
    }
    assert_ne!(token(EXECUTION), token(&other));
    // AMP accepts 1 to 64 printable characters (API reference, CreateScraper).
    assert!(token(EXECUTION).len() <= 64 && token(EXECUTION).bytes().all(|b| b.is_ascii_hexdigit()));
}

/// The client token of an execution for the pair of these tests.
fn token(execution: &str) -> String {
    ampxa::names::hash(&[execution, &create_task(json!({})).pair.source_role_arn()], 32)
}

#[tokio::test]
async fn fields_without_a_value_are_not_sent() {
    let mut task = create_task(json!({ "scrapeConfiguration": YAML }));
    task.input.network.security_group_ids.clear();
    let expected = created().with_body(json!({
        "clientToken": token(EXECUTION),
        "source": { "eksConfiguration": { "clusterArn": CLUSTER, "subnetIds": ["subnet-a", "subnet-b"] } },
        "destination": { "ampConfiguration": { "workspaceArn": WORKSPACE } },
        "roleConfiguration": {
            "sourceRoleArn": task.pair.source_role_arn(), "targetRoleArn": task.pair.target_role_arn(),
        },
        "scrapeConfiguration": { "configurationBlob": aws_smithy_types::base64::encode(labelled()) },
        "tags": { "ampxa:cluster": CLUSTER, "ampxa:workspace": WORKSPACE, "ampxa:created-by": EXECUTION, "ampxa:origin": "request" },
    }));
    create([listed(&[]), expected], &task).await.unwrap();
}

#[tokio::test]
async fn an_existing_scraper_with_manual_access_has_a_warning() {
    let mut task = create_task(json!({}));
    task.input.manual_access = true;
    let existing = create([listed(&[scraper("ACTIVE", true)])], &task).await.unwrap();
    assert!(existing.warnings[0].contains("role/AWSServiceRoleForAmazonPrometheusScraper_1a2b\n"));
}

#[tokio::test]
async fn a_scraper_with_only_one_of_our_two_tags_is_a_conflict() {
    for key in ["ampxa:cluster", "ampxa:workspace"] {
        let mut foreign = scraper("ACTIVE", true);
        foreign["tags"].as_object_mut().unwrap().remove(key);
        let error = create([listed(&[foreign])], &create_task(json!({}))).await.unwrap_err();
        assert_eq!(error.name(), "Conflict", "without {key}");
    }
}

#[tokio::test]
async fn the_existing_scraper_of_the_pair_is_used() {
    for status in ["ACTIVE", "CREATING", "UPDATING"] {
        let scraper = create([listed(&[scraper(status, true)])], &create_task(json!({})))
            .await
            .unwrap();
        assert_eq!((scraper.status.as_str(), scraper.created), (status, false));
    }
    let scraper = create(
        [listed(&[scraper_of_this_execution("CREATING")])],
        &create_task(json!({})),
    )
    .await
    .unwrap();
    assert!(
        scraper.created,
        "this execution created it in a call that did not return"
    );
}

#[tokio::test]
async fn all_pages_of_a_list_are_read() {
    let first = json!({ "scrapers": [], "nextToken": "two" }).to_string();
    let exchanges = [
        call("GET /scrapers", 200, first),
        call("GET /scrapers", 200, scrapers(&[scraper("ACTIVE", true)])).with_text("nextToken=two"),
    ];
    assert!(!create(exchanges, &create_task(json!({}))).await.unwrap().created);
}

#[tokio::test]
async fn of_several_scrapers_a_working_one_with_our_tags_is_used() {
    for other in [scraper("CREATION_FAILED", true), scraper("ACTIVE", false)] {
        let mut working = scraper("ACTIVE", true);
        working["arn"] = json!(SCRAPER.replace("s-1", "s-2"));
        let existing = create([listed(&[other, working])], &create_task(json!({})))
            .await
            .unwrap();
        assert_eq!(existing.scraper_arn, SCRAPER.replace("s-1", "s-2"));
    }
}

#[tokio::test]
async fn a_scraper_that_cannot_be_used_is_an_error_with_its_arn() {
    for (existing, name) in [
        (scraper("ACTIVE", false), "Conflict"),
        (scraper("DELETING", true), "NotVisibleYet"),
        (scraper("CREATION_FAILED", true), "NotVisibleYet"),
        (scraper("DELETION_FAILED", true), "NotVisibleYet"),
        (scraper("SOMETHING_NEW", true), "NotReady"),
    ] {
        let error = create([listed(&[existing])], &create_task(json!({})))
            .await
            .unwrap_err();
        assert_eq!(error.name(), name);
        assert!(error.to_string().contains(SCRAPER), "{error}");
    }
}

#[tokio::test]
async fn each_error_of_amp_has_a_name() {
    for (status, code, name) in [
        (402, "ServiceQuotaExceededException", "QuotaExceeded"),
        (403, "AccessDeniedException", "AccessDenied"),
        (400, "ValidationException", "InvalidRequest"),
        (409, "ConflictException", "Conflict"),
        (429, "ThrottlingException", "Transient"),
        (500, "InternalServerException", "Transient"),
        (404, "ResourceNotFoundException", "NotReady"),
    ] {
        let failed = call("POST /scrapers", status, rest_error(code, "because"));
        let error = create(
            [listed(&[]), failed],
            &create_task(json!({ "scrapeConfiguration": YAML })),
        )
        .await
        .unwrap_err();
        assert_eq!(error.name(), name, "{error}");
        assert!(
            error.to_string().starts_with("aps:CreateScraper failed with ") && error.to_string().contains("because"),
            "{error}"
        );
    }
    let error = create(
        [listed(&[]), lost("POST /scrapers")],
        &create_task(json!({ "scrapeConfiguration": YAML })),
    )
    .await
    .unwrap_err();
    assert_eq!(error.name(), "Transient");
}

async fn check(exchange: Exchange, manual_access: bool) -> Result<Scraper, Error> {
    let task: Task<CheckInput> = task(
        json!({}),
        json!({ "scraperArn": SCRAPER, "manualAccess": manual_access }),
    );
    let script = Script::new([exchange]);
    let scraper = scraper::check(&script.account().amp(), &task).await;
    script.assert_finished();
    scraper
}

#[tokio::test]
async fn the_output_has_the_status_reason_and_the_warnings_of_a_scraper() {
    let mut failed = scraper("CREATION_FAILED", true);
    failed["statusReason"] = json!("no route");
    let described = call("GET /scrapers/s-1", 200, json!({ "scraper": failed }).to_string());
    let output = check(described, false).await.unwrap();
    assert_eq!(
        (output.status.as_str(), output.status_reason.as_deref()),
        ("CREATION_FAILED", Some("no route"))
    );
    let described = call(
        "GET /scrapers/s-1",
        200,
        json!({ "scraper": scraper("ACTIVE", true) }).to_string(),
    );
    assert_eq!(check(described, true).await.unwrap().warnings.len(), 1);
    let missing = call(
        "GET /scrapers/s-1",
        404,
        rest_error("ResourceNotFoundException", "no scraper"),
    );
    assert_eq!(check(missing, false).await.unwrap_err().name(), "NotVisibleYet");
}

#[tokio::test]
async fn every_status_is_returned_unchanged() {
    for status in [
        "CREATING",
        "UPDATING",
        "ACTIVE",
        "DELETING",
        "CREATION_FAILED",
        "UPDATE_FAILED",
        "DELETION_FAILED",
        "SOMETHING_NEW",
    ] {
        let described = json!({ "scraper": scraper(status, true) }).to_string();
        let output = check(call("GET /scrapers/s-1", 200, described), false).await.unwrap();
        assert_eq!((output.status.as_str(), output.created), (status, false));
        assert_eq!((output.scraper_arn.as_str(), output.warnings.len()), (SCRAPER, 0));
    }
}
