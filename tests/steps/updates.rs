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

async fn update(exchanges: impl IntoIterator<Item = Exchange>, request: Value) -> Result<UpdateOutput, Error> {
    let script = Script::new(exchanges);
    let updated = scraper::update(&script.account().amp(), &update_task(request)).await;
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

#[tokio::test]
async fn without_a_configuration_in_the_request_the_default_of_amp_is_compared() {
    let default = json!({ "configuration": aws_smithy_types::base64::encode(YAML) }).to_string();
    let exchanges = [
        described(&matching("ACTIVE")),
        call("GET /scraperconfiguration", 200, default),
    ];
    assert_eq!(update(exchanges, json!({})).await.unwrap().repaired, [""; 0]);
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
        let output = update([described(&existing), updated().with_body(body)], request)
            .await
            .unwrap();
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
    existing["scrapeConfiguration"]["configurationBlob"] = json!(aws_smithy_types::base64::encode(shared));
    let expected = aws_smithy_types::base64::encode(yaml);
    let exchanges = [described(&existing), updated().with_text(expected)];
    let output = update(exchanges, json!({ "scrapeConfiguration": YAML })).await.unwrap();
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
