//! `Update scraper`: an existing scraper is updated to the request.

use crate::{
    replies::{rest_error, scraper},
    script::{CLUSTER, EXECUTION, Exchange, SCRAPER, Script, call, task},
};
use ampxa::{
    error::Error,
    scrape_configuration,
    scraper::{self, UpdateInput, UpdateOutput},
    task::Task,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const YAML: &str = "scrape_configs:\n- job_name: a\n";

fn update_task(request: Value) -> Task<UpdateInput> {
    let network = json!({ "subnetIds": ["subnet-01234567"], "securityGroupIds": ["sg-01234567"] });
    let input = json!({ "scraperArn": SCRAPER, "network": network, "manualAccess": false });
    task(request, input)
}

/// A scraper in the desired state of a request with only [`YAML`].
fn matching(status: &str) -> Value {
    let task = update_task(json!({}));
    let labels = scrape_configuration::labels(&task.pair.cluster, &BTreeMap::new());
    let yaml = scrape_configuration::complete(YAML, &labels).unwrap();
    let mut scraper = scraper(status, true);
    scraper["roleConfiguration"] = json!({
        "sourceRoleArn": task.pair.source_role_arn(), "targetRoleArn": task.pair.target_role_arn(),
    });
    scraper["scrapeConfiguration"] = json!({ "configurationBlob": aws_smithy_types::base64::encode(yaml) });
    scraper["source"]["eksConfiguration"]["subnetIds"] = json!(["subnet-01234567"]);
    scraper["source"]["eksConfiguration"]["securityGroupIds"] = json!(["sg-01234567"]);
    scraper
}

fn described(scraper: &Value) -> Exchange {
    call("GET /scrapers/s-1", 200, json!({ "scraper": scraper }).to_string())
}

fn updated() -> Exchange {
    let response = json!({ "arn": SCRAPER, "scraperId": "s-1", "status": { "statusCode": "UPDATING" }, "tags": {} });
    call("PUT /scrapers/s-1", 202, response.to_string())
}

/// The key of a configuration that is replaced.
fn key(before: &str) -> String {
    let hash = ampxa::names::hash(&[EXECUTION, SCRAPER, before], 16);
    format!("replaced/222222222222/us-west-2/s-1/{hash}.yaml")
}

/// The call that stores the configuration `before`.
fn stored(before: &str) -> Exchange {
    call(&format!("PUT /{}", key(before)), 200, "")
        .with_text("https://bucket.s3.us-west-2.amazonaws.com/")
        .with_text(before)
        .in_account("hub")
}

async fn update(exchanges: impl IntoIterator<Item = Exchange>, request: Value) -> Result<UpdateOutput, Error> {
    update_after(None, exchanges, request).await
}

/// An update after an earlier call has stored a configuration.
async fn update_after(
    stored: Option<&str>,
    exchanges: impl IntoIterator<Item = Exchange>,
    request: Value,
) -> Result<UpdateOutput, Error> {
    let script = Script::new(exchanges);
    let mut task = update_task(request);
    task.input.replaced_configuration = stored.map(|before| format!("s3://bucket/{}", key(before)));
    let bucket = script.account_of("hub").bucket("bucket");
    let updated = scraper::update(&script.account().amp(), &bucket, &task).await;
    script.assert_finished();
    updated
}

#[tokio::test]
async fn a_matching_scraper_is_only_read() {
    let output = update([described(&matching("ACTIVE"))], json!({ "scrapeConfiguration": YAML }))
        .await
        .unwrap();
    assert_eq!((output.scraper.status.as_str(), output.up_to_date), ("ACTIVE", true));
    assert_eq!((output.repaired, output.scraper.warnings), (vec![], vec![]));
}

#[tokio::test]
async fn an_equivalent_configuration_needs_no_update() {
    let mut existing = matching("ACTIVE");
    let labels = scrape_configuration::labels(&CLUSTER.parse().unwrap(), &BTreeMap::new());
    let yaml = scrape_configuration::complete(YAML, &labels).unwrap();
    let (global, rest) = yaml.split_once("scrape_configs").unwrap();
    assert!(rest.contains("job_name"));
    let equivalent = format!("scrape_configs: # a comment\n  - \"job_name\": 'a'\n{global}");
    existing["scrapeConfiguration"]["configurationBlob"] = json!(aws_smithy_types::base64::encode(equivalent));
    let output = update([described(&existing)], json!({ "scrapeConfiguration": YAML }))
        .await
        .unwrap();
    assert_eq!(output.repaired, [""; 0]);
}

/// The exchanges for a scraper with a configuration. AMP's default configuration is read if the request names it.
fn exchanges_for(configuration: &str, request: &Value) -> Vec<Exchange> {
    let mut existing = matching("ACTIVE");
    existing["scrapeConfiguration"]["configurationBlob"] = json!(aws_smithy_types::base64::encode(configuration));
    let default = json!({ "configuration": aws_smithy_types::base64::encode(YAML) }).to_string();
    let mut exchanges = vec![described(&existing)];
    if request["scrapeConfiguration"] == "DEFAULT" {
        exchanges.push(call("GET /scraperconfiguration", 200, default));
    }
    exchanges
}

/// The configuration that a scraper gets instead of another one, which is stored.
async fn replaced(before: &str, request: Value) -> String {
    let mut exchanges = exchanges_for(before, &request);
    exchanges.push(stored(before));
    let first = update(exchanges, request.clone()).await.unwrap();
    let location = format!("s3://bucket/{}", key(before));
    assert_eq!(first.replaced_configuration.as_ref(), Some(&location));
    assert_eq!((first.repaired, first.up_to_date), (vec![], false));

    let mut exchanges = exchanges_for(before, &request);
    exchanges.push(updated());
    let script = Script::new(exchanges);
    let bucket = script.account_of("hub").bucket("bucket");
    let mut task = update_task(request);
    task.input.replaced_configuration = Some(location.clone());
    let second = scraper::update(&script.account().amp(), &bucket, &task).await.unwrap();
    assert_eq!(
        (second.repaired, second.up_to_date),
        (vec!["scrape configuration"], true)
    );
    assert_eq!(second.replaced_configuration, Some(location));
    let body: Value = serde_json::from_str(&script.last_body()).unwrap();
    let blob = body["scrapeConfiguration"]["configurationBlob"].as_str().unwrap();
    String::from_utf8(aws_smithy_types::base64::decode(blob).unwrap()).unwrap()
}

async fn assert_kept(configuration: &str, request: Value) {
    let output = update(exchanges_for(configuration, &request), request).await.unwrap();
    assert_eq!((output.repaired, output.replaced_configuration), (vec![], None));
}

#[tokio::test]
async fn a_configuration_that_the_request_does_not_name_survives_and_its_labels_are_completed() {
    let by_hand = "global: {external_labels: {stage: prod, cluster: mine}}\nscrape_configs:\n- job_name: by-hand\n";
    let after = replaced(by_hand, json!({})).await;
    assert!(after.contains("job_name: by-hand"), "{after}");
    for label in [
        "stage: prod",
        "cluster: mine",
        "region: us-west-2",
        &format!("clusterArn: {CLUSTER}"),
    ] {
        assert!(after.contains(label), "{label}: {after}");
    }
    // The next run changes nothing.
    assert_kept(&after, json!({})).await;
    // A label of the request replaces that of the configuration.
    let labels = json!({ "externalLabels": { "stage": "test" } });
    let relabelled = replaced(&after, labels.clone()).await;
    assert!(
        relabelled.contains("stage: test") && relabelled.contains("job_name: by-hand"),
        "{relabelled}"
    );
    assert_kept(&relabelled, labels).await;
}

#[tokio::test]
async fn the_default_of_amp_replaces_a_configuration_only_if_the_request_names_it() {
    let by_hand = "scrape_configs:\n- job_name: by-hand\n";
    let request = json!({ "scrapeConfiguration": "DEFAULT" });
    let after = replaced(by_hand, request.clone()).await;
    assert!(after.contains("job_name: a") && !after.contains("by-hand"), "{after}");
    assert_kept(&after, request).await;
}

#[tokio::test]
async fn a_configuration_that_cannot_be_rewritten_stays_with_a_warning() {
    let mut existing = matching("ACTIVE");
    let two_documents = aws_smithy_types::base64::encode("a: 1\n---\nb: 2\n");
    existing["scrapeConfiguration"]["configurationBlob"] = json!(two_documents);
    let output = update([described(&existing)], json!({})).await.unwrap();
    assert_eq!((output.repaired, output.replaced_configuration), (vec![], None));
    let warning = output.scraper.warnings.concat();
    assert!(
        warning.contains("was left as it is") && warning.contains("a second YAML document"),
        "{warning}"
    );
}

#[tokio::test]
async fn nothing_is_updated_if_the_replaced_configuration_cannot_be_stored() {
    let mut existing = matching("ACTIVE");
    existing["scrapeConfiguration"]["configurationBlob"] = json!("");
    let denied = call(
        &stored("").name(),
        403,
        "<Error><Code>AccessDenied</Code><Message>no</Message></Error>",
    );
    let error = update([described(&existing), denied], json!({ "scrapeConfiguration": YAML })).await;
    assert_eq!(error.unwrap_err().name(), "AccessDenied");
}

#[tokio::test]
async fn each_difference_is_updated_with_both_roles_and_the_complete_configuration() {
    let labels = |own: &[(&str, &str)]| {
        let own = own.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        scrape_configuration::labels(&CLUSTER.parse().unwrap(), &own.collect())
    };
    let change = |path: &[&str], value: Value| {
        let mut existing = matching("ACTIVE");
        let field = path.iter().fold(&mut existing, |field, key| &mut field[*key]);
        *field = value;
        existing
    };
    let task = update_task(json!({}));
    for (existing, request, repaired, own) in [
        (
            change(
                &["roleConfiguration", "targetRoleArn"],
                json!("arn:aws:iam::333333333333:role/other"),
            ),
            json!({}),
            vec!["roles"],
            &[][..],
        ),
        (
            change(&["roleConfiguration"], Value::Null),
            json!({}),
            vec!["roles"],
            &[],
        ),
        (matching("ACTIVE"), json!({ "alias": "payments" }), vec!["alias"], &[]),
        (
            change(&["scrapeConfiguration", "configurationBlob"], json!("")),
            json!({}),
            vec!["scrape configuration"],
            &[],
        ),
        (
            matching("ACTIVE"),
            json!({ "externalLabels": { "team": "a" } }),
            vec!["scrape configuration"],
            &[("team", "a")],
        ),
        (matching("UPDATE_FAILED"), json!({}), vec!["failed update"], &[]),
    ] {
        let alias = request["alias"].clone();
        let mut request = request;
        request["scrapeConfiguration"] = json!(YAML);
        let yaml = scrape_configuration::complete(YAML, &labels(own)).unwrap();
        let mut body = json!({
            "clientToken": ampxa::names::hash(&[EXECUTION, SCRAPER, "update"], 32),
            "roleConfiguration": {
                "sourceRoleArn": task.pair.source_role_arn(), "targetRoleArn": task.pair.target_role_arn(),
            },
            "scrapeConfiguration": { "configurationBlob": aws_smithy_types::base64::encode(yaml) },
        });
        if alias.is_string() {
            body["alias"] = alias;
        }
        let before = existing["scrapeConfiguration"]["configurationBlob"].as_str().unwrap();
        let before = String::from_utf8(aws_smithy_types::base64::decode(before).unwrap()).unwrap();
        let exchanges = [described(&existing), updated().with_body(body)];
        let output = update_after(Some(&before), exchanges, request).await.unwrap();
        assert_eq!(output.repaired, repaired);
        assert_eq!((output.scraper.status.as_str(), output.up_to_date), ("UPDATING", true));
    }
}

#[tokio::test]
async fn another_cluster_in_the_label_of_a_scraper_is_replaced() {
    let mut existing = matching("ACTIVE");
    let labels = scrape_configuration::labels(&CLUSTER.parse().unwrap(), &BTreeMap::new());
    let yaml = scrape_configuration::complete(YAML, &labels).unwrap();
    let shared = yaml.replace(CLUSTER, "shared");
    assert_ne!(shared, yaml);
    existing["scrapeConfiguration"]["configurationBlob"] = json!(aws_smithy_types::base64::encode(&shared));
    let expected = aws_smithy_types::base64::encode(yaml);
    let exchanges = [described(&existing), updated().with_text(expected)];
    let output = update_after(Some(&shared), exchanges, json!({ "scrapeConfiguration": YAML }))
        .await
        .unwrap();
    assert_eq!(output.repaired, ["scrape configuration"]);
}

#[tokio::test]
async fn an_alias_outside_the_request_is_kept() {
    let mut existing = matching("UPDATE_FAILED");
    existing["alias"] = json!("manual");
    let exchanges = [described(&existing), updated().with_text("\"alias\":\"manual\"")];
    update(exchanges, json!({ "scrapeConfiguration": YAML })).await.unwrap();
}

#[tokio::test]
async fn missing_tags_are_added_without_an_update() {
    let mut existing = matching("ACTIVE");
    existing["tags"]["foreign"] = json!("tag");
    let path = "POST /tags/arn%3Aaws%3Aaps%3Aus-west-2%3A222222222222%3Ascraper%2Fs-1";
    let tagged = call(path, 200, "{}").with_body(json!({ "tags": { "team": "a" } }));
    let request = json!({ "scrapeConfiguration": YAML, "tags": { "team": "a" } });
    let output = update([described(&existing), tagged], request).await.unwrap();
    assert_eq!(
        (output.repaired, output.scraper.status.as_str(), output.up_to_date),
        (vec!["tags"], "ACTIVE", true)
    );
}

#[tokio::test]
async fn a_scraper_that_is_not_stable_is_not_updated() {
    for status in ["CREATING", "UPDATING", "DELETING", "CREATION_FAILED", "SOMETHING_NEW"] {
        let mut existing = matching(status);
        existing["roleConfiguration"] = Value::Null;
        let output = update([described(&existing)], json!({ "scrapeConfiguration": YAML }))
            .await
            .unwrap();
        assert_eq!((output.scraper.status.as_str(), output.up_to_date), (status, false));
    }
}

#[tokio::test]
async fn a_different_network_is_a_warning() {
    let request = json!({ "scrapeConfiguration": YAML, "subnetIds": ["subnet-0123456a"] });
    let mut existing = matching("ACTIVE");
    let output = update([described(&existing)], request.clone()).await.unwrap();
    assert_eq!(output.scraper.warnings, [""; 0], "the network is the same");
    existing["source"]["eksConfiguration"]["subnetIds"] = json!(["subnet-9", "subnet-8"]);
    let output = update([described(&existing)], request).await.unwrap();
    let [warning] = &output.scraper.warnings[..] else {
        panic!("{:?}", output.scraper.warnings)
    };
    assert!(
        warning.contains("subnet-9, subnet-8") && warning.contains("offboard"),
        "{warning}"
    );
    let without_network = update([described(&existing)], json!({ "scrapeConfiguration": YAML }))
        .await
        .unwrap();
    assert_eq!(without_network.scraper.warnings, [""; 0]);
}

#[tokio::test]
async fn an_error_of_amp_is_returned() {
    let missing = call("GET /scrapers/s-1", 404, rest_error("ResourceNotFoundException", "no"));
    let error = update([missing], json!({})).await.unwrap_err();
    assert_eq!(error.name(), "NotVisibleYet");
    for (status, code, name) in [
        (403, "AccessDeniedException", "AccessDenied"),
        (409, "ConflictException", "Conflict"),
        (429, "ThrottlingException", "Transient"),
    ] {
        let failed = call("PUT /scrapers/s-1", status, rest_error(code, "because"));
        let exchanges = [described(&matching("UPDATE_FAILED")), failed];
        let error = update(exchanges, json!({ "scrapeConfiguration": YAML }))
            .await
            .unwrap_err();
        assert_eq!(error.name(), name);
        assert!(
            error.to_string().starts_with("aps:UpdateScraper failed with "),
            "{error}"
        );
    }
}
