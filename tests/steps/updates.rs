//! An adopted scraper gets what the request asks for.

use crate::{
    replies::{rest_error, scraper},
    script::{CLUSTER, EXECUTION, SCRAPER, Script, Turn, call, task},
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

fn adopted(request: Value) -> Task<UpdateInput> {
    let network = json!({ "subnetIds": ["subnet-01234567"], "securityGroupIds": ["sg-01234567"] });
    let known = json!({ "scraperArn": SCRAPER, "network": network, "manualAccess": false });
    task(request, known)
}

/// The scraper that an onboarding with [`YAML`] and nothing else leaves.
fn right(status: &str) -> Value {
    let task = adopted(json!({}));
    let labels = scrape_configuration::labels(&task.pair.cluster, &BTreeMap::new());
    let yaml = scrape_configuration::complete(YAML, &labels).unwrap();
    let mut shown = scraper(status, true);
    shown["roleConfiguration"] = json!({
        "sourceRoleArn": task.pair.source_role_arn(), "targetRoleArn": task.pair.target_role_arn(),
    });
    shown["scrapeConfiguration"] = json!({ "configurationBlob": aws_smithy_types::base64::encode(yaml) });
    shown["source"]["eksConfiguration"]["subnetIds"] = json!(["subnet-01234567"]);
    shown["source"]["eksConfiguration"]["securityGroupIds"] = json!(["sg-01234567"]);
    shown
}

fn described(shown: &Value) -> Turn {
    call("GET /scrapers/s-1", 200, json!({ "scraper": shown }).to_string())
}

fn updated() -> Turn {
    let answer = json!({ "arn": SCRAPER, "scraperId": "s-1", "status": { "statusCode": "UPDATING" }, "tags": {} });
    call("PUT /scrapers/s-1", 202, answer.to_string())
}

async fn update(turns: impl IntoIterator<Item = Turn>, request: Value) -> Result<UpdateOutput, Error> {
    let script = Script::new(turns);
    let updated = scraper::update(&script.account().amp(), &adopted(request)).await;
    script.is_over();
    updated
}

#[tokio::test]
async fn what_is_right_is_only_read() {
    let now = update([described(&right("ACTIVE"))], json!({ "scrapeConfiguration": YAML }))
        .await
        .unwrap();
    assert_eq!((now.scraper.status.as_str(), now.up_to_date), ("ACTIVE", true));
    assert_eq!((now.repaired, now.scraper.warnings), (vec![], vec![]));
}

#[tokio::test]
async fn a_configuration_that_means_the_same_is_the_same() {
    let mut shown = right("ACTIVE");
    let labels = scrape_configuration::labels(&CLUSTER.parse().unwrap(), &BTreeMap::new());
    let yaml = scrape_configuration::complete(YAML, &labels).unwrap();
    let (global, rest) = yaml.split_once("scrape_configs").unwrap();
    assert!(rest.contains("job_name"));
    let another = format!("scrape_configs: # a comment\n  - \"job_name\": 'a'\n{global}");
    shown["scrapeConfiguration"]["configurationBlob"] = json!(aws_smithy_types::base64::encode(another));
    let now = update([described(&shown)], json!({ "scrapeConfiguration": YAML }))
        .await
        .unwrap();
    assert_eq!(now.repaired, [""; 0]);
}

#[tokio::test]
async fn amps_default_is_compared_where_the_request_has_no_configuration_of_its_own() {
    let default = json!({ "configuration": aws_smithy_types::base64::encode(YAML) }).to_string();
    let turns = [
        described(&right("ACTIVE")),
        call("GET /scraperconfiguration", 200, default),
    ];
    assert_eq!(update(turns, json!({})).await.unwrap().repaired, [""; 0]);
}

#[tokio::test]
async fn what_differs_is_updated_with_both_roles_and_the_whole_configuration() {
    let labels = |own: &[(&str, &str)]| {
        let own = own.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        scrape_configuration::labels(&CLUSTER.parse().unwrap(), &own.collect())
    };
    let change = |path: &[&str], value: Value| {
        let mut shown = right("ACTIVE");
        let place = path.iter().fold(&mut shown, |place, key| &mut place[*key]);
        *place = value;
        shown
    };
    let task = adopted(json!({}));
    for (shown, request, what, own) in [
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
        (right("ACTIVE"), json!({ "alias": "payments" }), vec!["alias"], &[]),
        (
            change(&["scrapeConfiguration", "configurationBlob"], json!("")),
            json!({}),
            vec!["scrape configuration"],
            &[],
        ),
        (
            right("ACTIVE"),
            json!({ "externalLabels": { "team": "a" } }),
            vec!["scrape configuration"],
            &[("team", "a")],
        ),
        (right("UPDATE_FAILED"), json!({}), vec!["failed update"], &[]),
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
        let now = update([described(&shown), updated().saying_only(body)], request)
            .await
            .unwrap();
        assert_eq!(now.repaired, what);
        assert_eq!((now.scraper.status.as_str(), now.up_to_date), ("UPDATING", true));
    }
}

#[tokio::test]
async fn an_alias_that_the_request_does_not_name_stays() {
    let mut shown = right("UPDATE_FAILED");
    shown["alias"] = json!("by-hand");
    let turns = [described(&shown), updated().saying("\"alias\":\"by-hand\"")];
    update(turns, json!({ "scrapeConfiguration": YAML })).await.unwrap();
}

#[tokio::test]
async fn missing_tags_are_added_without_an_update() {
    let mut shown = right("ACTIVE");
    shown["tags"]["theirs"] = json!("stays");
    let path = "POST /tags/arn%3Aaws%3Aaps%3Aus-west-2%3A222222222222%3Ascraper%2Fs-1";
    let tagged = call(path, 200, "{}").saying_only(json!({ "tags": { "team": "a" } }));
    let request = json!({ "scrapeConfiguration": YAML, "tags": { "team": "a" } });
    let now = update([described(&shown), tagged], request).await.unwrap();
    assert_eq!(
        (now.repaired, now.scraper.status.as_str(), now.up_to_date),
        (vec!["tags"], "ACTIVE", true)
    );
}

#[tokio::test]
async fn a_scraper_that_changes_is_left_to_settle_first() {
    for status in ["CREATING", "UPDATING", "DELETING", "CREATION_FAILED", "SOMETHING_NEW"] {
        let mut shown = right(status);
        shown["roleConfiguration"] = Value::Null;
        let now = update([described(&shown)], json!({ "scrapeConfiguration": YAML }))
            .await
            .unwrap();
        assert_eq!((now.scraper.status.as_str(), now.up_to_date), (status, false));
    }
}

#[tokio::test]
async fn subnets_that_cannot_be_changed_are_a_warning() {
    let request = json!({ "scrapeConfiguration": YAML, "subnetIds": ["subnet-0123456a"] });
    let mut shown = right("ACTIVE");
    let now = update([described(&shown)], request.clone()).await.unwrap();
    assert_eq!(now.scraper.warnings, [""; 0], "where the network is the same");
    shown["source"]["eksConfiguration"]["subnetIds"] = json!(["subnet-9", "subnet-8"]);
    let now = update([described(&shown)], request).await.unwrap();
    let [warning] = &now.scraper.warnings[..] else {
        panic!("{:?}", now.scraper.warnings)
    };
    assert!(
        warning.contains("subnet-9, subnet-8") && warning.contains("offboard"),
        "{warning}"
    );
    let nothing_asked = update([described(&shown)], json!({ "scrapeConfiguration": YAML }))
        .await
        .unwrap();
    assert_eq!(nothing_asked.scraper.warnings, [""; 0]);
}

#[tokio::test]
async fn what_amp_refuses_is_told() {
    let gone = call("GET /scrapers/s-1", 404, rest_error("ResourceNotFoundException", "no"));
    let why = update([gone], json!({})).await.unwrap_err();
    assert_eq!(why.name(), "NotVisibleYet");
    for (status, code, name) in [
        (403, "AccessDeniedException", "AccessDenied"),
        (409, "ConflictException", "Conflict"),
        (429, "ThrottlingException", "Transient"),
    ] {
        let refused = call("PUT /scrapers/s-1", status, rest_error(code, "because"));
        let turns = [described(&right("UPDATE_FAILED")), refused];
        let why = update(turns, json!({ "scrapeConfiguration": YAML })).await.unwrap_err();
        assert_eq!(why.name(), name);
        assert!(why.to_string().starts_with("aps:UpdateScraper answered "), "{why}");
    }
}
