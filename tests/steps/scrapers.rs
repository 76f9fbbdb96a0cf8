//! Making, adopting and watching the scraper.

use crate::{
    replies::{rest_error, scraper, scraper_of_this_execution, scrapers},
    script::{CLUSTER, EXECUTION, SCRAPER, Script, Turn, WORKSPACE, call, lost, task},
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

/// [`YAML`] with the labels of the demonstration cluster.
fn labelled() -> String {
    let labels = scrape_configuration::labels(&CLUSTER.parse().unwrap(), &BTreeMap::new());
    scrape_configuration::complete(YAML, &labels).unwrap()
}

fn plan(request: Value) -> Task<CreateInput> {
    let network = json!({ "subnetIds": ["subnet-a", "subnet-b"], "securityGroupIds": ["sg-1"] });
    task(request, json!({ "network": network, "manualAccess": false }))
}

fn listed(all: &[Value]) -> Turn {
    call("GET /scrapers", 200, scrapers(all))
        .saying(format!("sourceArn={CLUSTER}"))
        .saying(format!("destinationArn={WORKSPACE}"))
}

fn made() -> Turn {
    let answer = json!({ "arn": SCRAPER, "scraperId": "s-1", "status": { "statusCode": "CREATING" }, "tags": {} });
    call("POST /scrapers", 202, answer.to_string())
}

async fn create(turns: impl IntoIterator<Item = Turn>, task: &Task<CreateInput>) -> Result<Scraper, Error> {
    let script = Script::new(turns);
    let scraper = scraper::create(&script.account().amp(), task).await;
    script.is_over();
    scraper
}

#[tokio::test]
async fn a_scraper_is_made_with_both_roles_tags_and_a_configuration_encoded_once() {
    let task = plan(json!({ "scrapeConfiguration": YAML, "alias": "payments", "tags": { "team": "a" } }));
    let expected = made().saying_only(json!({
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
        },
    }));
    let scraper = create([listed(&[]), expected], &task).await.unwrap();
    assert_eq!(
        (scraper.scraper_arn.as_str(), scraper.status.as_str(), scraper.created),
        (SCRAPER, "CREATING", true)
    );
}

#[tokio::test]
async fn without_a_configuration_amps_own_default_gets_the_labels() {
    let default = json!({ "configuration": aws_smithy_types::base64::encode(YAML) }).to_string();
    let blob = aws_smithy_types::base64::encode(labelled());
    let turns = [
        listed(&[]),
        call("GET /scraperconfiguration", 200, default),
        made().saying(format!("\"configurationBlob\":\"{blob}\"")),
    ];
    create(turns, &plan(json!({}))).await.unwrap();
}

#[tokio::test]
async fn a_call_that_is_made_again_is_the_same_call_and_another_executions_is_not() {
    let mut task = plan(json!({ "scrapeConfiguration": YAML }));
    for execution in [EXECUTION, EXECUTION, "another"] {
        task.execution = execution.to_owned();
        let expected = made().saying(format!("\"clientToken\":\"{}\"", token(execution)));
        create([listed(&[]), expected], &task).await.unwrap();
    }
    assert_ne!(token(EXECUTION), token("another"));
    // AMP takes 1 to 64 printable characters (API reference, CreateScraper).
    assert!(token(EXECUTION).len() <= 64 && token(EXECUTION).bytes().all(|b| b.is_ascii_hexdigit()));
}

/// The client token of an execution for the demonstration pair.
fn token(execution: &str) -> String {
    ampxa::names::hash(&[execution, &plan(json!({})).pair.source_role_arn()], 32)
}

#[tokio::test]
async fn what_nobody_asked_for_is_not_sent() {
    let mut task = plan(json!({ "scrapeConfiguration": YAML }));
    task.input.network.security_group_ids.clear();
    let expected = made().saying_only(json!({
        "clientToken": token(EXECUTION),
        "source": { "eksConfiguration": { "clusterArn": CLUSTER, "subnetIds": ["subnet-a", "subnet-b"] } },
        "destination": { "ampConfiguration": { "workspaceArn": WORKSPACE } },
        "roleConfiguration": {
            "sourceRoleArn": task.pair.source_role_arn(), "targetRoleArn": task.pair.target_role_arn(),
        },
        "scrapeConfiguration": { "configurationBlob": aws_smithy_types::base64::encode(labelled()) },
        "tags": { "ampxa:cluster": CLUSTER, "ampxa:workspace": WORKSPACE, "ampxa:created-by": EXECUTION },
    }));
    create([listed(&[]), expected], &task).await.unwrap();
}

#[tokio::test]
async fn an_adopted_scraper_that_a_person_must_let_in_says_so() {
    let mut task = plan(json!({}));
    task.input.manual_access = true;
    let adopted = create([listed(&[scraper("ACTIVE", true)])], &task).await.unwrap();
    assert!(adopted.warnings[0].contains("role/AWSServiceRoleForAmazonPrometheusScraper_1a2b\n"));
}

#[tokio::test]
async fn a_scraper_with_one_of_our_two_tags_is_not_ours() {
    for key in ["ampxa:cluster", "ampxa:workspace"] {
        let mut theirs = scraper("ACTIVE", true);
        theirs["tags"].as_object_mut().unwrap().remove(key);
        let why = create([listed(&[theirs])], &plan(json!({}))).await.unwrap_err();
        assert_eq!(why.name(), "Conflict", "without {key}");
    }
}

#[tokio::test]
async fn the_pairs_own_scraper_is_adopted() {
    for status in ["ACTIVE", "CREATING", "UPDATING"] {
        let scraper = create([listed(&[scraper(status, true)])], &plan(json!({})))
            .await
            .unwrap();
        assert_eq!((scraper.status.as_str(), scraper.created), (status, false));
    }
    let scraper = create([listed(&[scraper_of_this_execution("CREATING")])], &plan(json!({})))
        .await
        .unwrap();
    assert!(
        scraper.created,
        "this execution made it, and died before it could say so"
    );
}

#[tokio::test]
async fn all_pages_of_a_list_are_read() {
    let first = json!({ "scrapers": [], "nextToken": "two" }).to_string();
    let turns = [
        call("GET /scrapers", 200, first),
        call("GET /scrapers", 200, scrapers(&[scraper("ACTIVE", true)])).saying("nextToken=two"),
    ];
    assert!(!create(turns, &plan(json!({}))).await.unwrap().created);
}

#[tokio::test]
async fn of_several_scrapers_one_of_ours_that_works_is_adopted() {
    for other in [scraper("CREATION_FAILED", true), scraper("ACTIVE", false)] {
        let mut good = scraper("ACTIVE", true);
        good["arn"] = json!(SCRAPER.replace("s-1", "s-2"));
        let adopted = create([listed(&[other, good])], &plan(json!({}))).await.unwrap();
        assert_eq!(adopted.scraper_arn, SCRAPER.replace("s-1", "s-2"));
    }
}

#[tokio::test]
async fn a_scraper_that_cannot_be_adopted_is_named() {
    for (shown, name) in [
        (scraper("ACTIVE", false), "Conflict"),
        (scraper("DELETING", true), "NotVisibleYet"),
        (scraper("CREATION_FAILED", true), "NotVisibleYet"),
        (scraper("DELETION_FAILED", true), "NotVisibleYet"),
        (scraper("SOMETHING_NEW", true), "NotReady"),
    ] {
        let why = create([listed(&[shown])], &plan(json!({}))).await.unwrap_err();
        assert_eq!(why.name(), name);
        assert!(why.to_string().contains(SCRAPER), "{why}");
    }
}

#[tokio::test]
async fn what_amp_refuses_is_told_apart() {
    for (status, code, name) in [
        (402, "ServiceQuotaExceededException", "QuotaExceeded"),
        (403, "AccessDeniedException", "AccessDenied"),
        (400, "ValidationException", "InvalidRequest"),
        (409, "ConflictException", "Conflict"),
        (429, "ThrottlingException", "Transient"),
        (500, "InternalServerException", "Transient"),
        (404, "ResourceNotFoundException", "NotReady"),
    ] {
        let refused = call("POST /scrapers", status, rest_error(code, "because"));
        let why = create([listed(&[]), refused], &plan(json!({ "scrapeConfiguration": YAML })))
            .await
            .unwrap_err();
        assert_eq!(why.name(), name, "{why}");
        assert!(
            why.to_string().starts_with("aps:CreateScraper answered ") && why.to_string().contains("because"),
            "{why}"
        );
    }
    let why = create(
        [listed(&[]), lost("POST /scrapers")],
        &plan(json!({ "scrapeConfiguration": YAML })),
    )
    .await
    .unwrap_err();
    assert_eq!(why.name(), "Transient");
}

async fn check(turn: Turn, manual_access: bool) -> Result<Scraper, Error> {
    let task: Task<CheckInput> = task(
        json!({}),
        json!({ "scraperArn": SCRAPER, "manualAccess": manual_access }),
    );
    let script = Script::new([turn]);
    let scraper = scraper::check(&script.account().amp(), &task).await;
    script.is_over();
    scraper
}

#[tokio::test]
async fn a_scraper_is_seen_as_amp_shows_it() {
    let mut failed = scraper("CREATION_FAILED", true);
    failed["statusReason"] = json!("no route");
    let shown = call("GET /scrapers/s-1", 200, json!({ "scraper": failed }).to_string());
    let seen = check(shown, false).await.unwrap();
    assert_eq!(
        (seen.status.as_str(), seen.status_reason.as_deref()),
        ("CREATION_FAILED", Some("no route"))
    );
    let shown = call(
        "GET /scrapers/s-1",
        200,
        json!({ "scraper": scraper("ACTIVE", true) }).to_string(),
    );
    assert_eq!(check(shown, true).await.unwrap().warnings.len(), 1);
    let gone = call(
        "GET /scrapers/s-1",
        404,
        rest_error("ResourceNotFoundException", "no scraper"),
    );
    assert_eq!(check(gone, false).await.unwrap_err().name(), "NotVisibleYet");
}

#[tokio::test]
async fn every_status_is_handed_on_in_amps_own_words() {
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
        let shown = json!({ "scraper": scraper(status, true) }).to_string();
        let seen = check(call("GET /scrapers/s-1", 200, shown), false).await.unwrap();
        assert_eq!((seen.status.as_str(), seen.created), (status, false));
        assert_eq!((seen.scraper_arn.as_str(), seen.warnings.len()), (SCRAPER, 0));
    }
}
