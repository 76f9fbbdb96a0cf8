//! The steps of a reconciliation: check the request, find clusters, route a cluster, mark orphans.

use crate::{
    replies::{rest_error, scraper, scrapers},
    routes::{failed, settings, table},
    script::{CLUSTER, Exchange, SCRAPER, Script, WORKSPACE, call},
};
use ampxa::{
    error::Error,
    reconcile::{
        self, Batch, Defaults, Output, Request,
        clusters::{self, Location},
        orphans, route,
    },
    routing::Settings,
};
use serde_json::{Value, json};

const POST: &str = "POST /";
const RECONCILIATION: &str = "arn:aws:states:us-west-2:111111111111:execution:ampxa-reconcile:monday";
const EARLIER: &str = "arn:aws:states:us-west-2:111111111111:execution:ampxa-reconcile:sunday";

fn no_table() -> Exchange {
    failed("ParameterNotFound")
}

async fn check(
    request: Value,
    accounts: &str,
    settings: &Settings,
    exchanges: impl IntoIterator<Item = Exchange>,
) -> Result<Output, Error> {
    let script = Script::new(exchanges);
    let hub = script.account();
    let defaults = Defaults {
        accounts: accounts.to_owned(),
        regions: "us-west-2,eu-west-1".to_owned(),
    };
    let request = Request::try_from(json!({ "request": request })).unwrap();
    let output = reconcile::check(&hub.ssm(), &hub.organizations(), settings, &defaults, request).await;
    script.assert_finished();
    output
}

/// A batch of one account.
fn batch(account: &str) -> Batch {
    Batch {
        accounts: vec![account.parse().unwrap()],
    }
}

fn without_organizations() -> Settings {
    Settings {
        organizations: false,
        ..settings()
    }
}

#[tokio::test]
async fn accounts_and_regions_of_the_request_override_those_of_the_hub() {
    let request = json!({
        "accounts": ["222222222222", "444444444444"], "regions": ["us-east-1"], "provisionerTimeoutMinutes": 60,
        "workspace": "ws-1",
    });
    let output = check(request, "555555555555", &without_organizations(), [no_table()]).await;
    let expected = Output {
        batches: vec![batch("222222222222"), batch("444444444444")],
        regions: vec!["us-east-1".parse().unwrap()],
        provisioner_timeout_minutes: 60,
        workspace: Some("ws-1".to_owned()),
        max_listed: 50,
    };
    assert_eq!(output, Ok(expected));
    let defaults = check(json!({}), "555555555555", &settings(), [no_table()])
        .await
        .unwrap();
    assert_eq!(defaults.batches, [batch("555555555555")]);
    assert_eq!(defaults.regions, ["us-west-2", "eu-west-1"]);
}

#[tokio::test]
async fn all_pages_of_the_organizations_active_accounts_are_read() {
    let page = |accounts: Value, next: Option<&str>| {
        call(
            POST,
            200,
            json!({ "Accounts": accounts, "NextToken": next }).to_string(),
        )
    };
    let exchanges = || {
        [
            no_table(),
            page(
                json!([
                    { "Id": "111111111111", "State": "ACTIVE", "Status": "SUSPENDED" },
                    { "Id": "222222222222", "State": "SUSPENDED" },
                ]),
                Some("more"),
            ),
            page(
                json!([
                    { "Id": "333333333333", "Status": "ACTIVE" },
                    { "Id": "444444444444", "Status": "PENDING_CLOSURE" },
                    { "Id": "555555555555" },
                ]),
                None,
            )
            .with_text("\"NextToken\":\"more\""),
        ]
    };
    for (request, default_accounts) in [
        (json!({}), ""),
        (json!({ "organization": true }), ""),
        (json!({ "organization": true }), "999999999999"),
    ] {
        let output = check(request, default_accounts, &settings(), exchanges())
            .await
            .unwrap();
        assert_eq!(output.batches, [batch("111111111111"), batch("333333333333")]);
    }
}

#[tokio::test]
async fn a_request_without_accounts_or_an_invalid_table_is_an_error() {
    let error = check(json!({}), "", &without_organizations(), [no_table()])
        .await
        .unwrap_err();
    assert!(error.to_string().starts_with("accounts: missing; "), "{error}");
    let organization = json!({ "organization": true });
    let error = check(organization, "222222222222", &without_organizations(), [no_table()])
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("organization: the hub has no access to AWS Organizations"),
        "{error}"
    );
    let invalid = table(json!({ "rules": [{}] }));
    let error = check(json!({}), "222222222222", &settings(), [invalid])
        .await
        .unwrap_err();
    assert!(
        error.to_string().starts_with("routes: rules[0].workspaceArn: missing"),
        "{error}"
    );
}

async fn find(settings: &Settings, exchanges: impl IntoIterator<Item = Exchange>) -> Result<clusters::Output, Error> {
    let script = Script::new(exchanges);
    let (hub, source) = (script.account_of("hub"), script.account_of("source"));
    let location = Location {
        account: "222222222222".parse().unwrap(),
        region: "us-west-2".parse().unwrap(),
    };
    let output = clusters::find(&hub, Ok(source), settings, &location).await;
    script.assert_finished();
    output
}

fn listed(names: &[&str], next: Option<&str>) -> Exchange {
    let response = json!({ "clusters": names, "nextToken": next });
    call("GET /clusters", 200, response.to_string()).in_account("source")
}

fn listed_scrapers(all: &[Value]) -> Exchange {
    call("GET /scrapers", 200, scrapers(all)).in_account("source")
}

#[tokio::test]
async fn all_pages_of_the_clusters_of_a_location_are_read() {
    let exchanges = [
        listed(&["demo", "b"], Some("more")),
        listed(&["c"], None).with_text("nextToken=more"),
        listed_scrapers(&[scraper("ACTIVE", true)]),
        no_table().in_account("hub"),
    ];
    let output = find(&settings(), exchanges).await.unwrap();
    let clusters: Vec<String> = output.clusters.iter().map(ToString::to_string).collect();
    let arn = |name: &str| CLUSTER.replace("demo", name);
    assert_eq!(clusters, [arn("demo"), arn("b"), arn("c")]);
    assert!(output.reachable && output.orphans.is_empty() && output.organizational_units.is_empty());
}

#[tokio::test]
async fn organizational_units_are_read_once_if_a_rule_or_an_item_of_workspaces_names_one() {
    let unit = json!({ "organizationalUnits": ["ou-a1b2-prod0000"] });
    let parent = |id: &str, kind: &str| {
        let response = json!({ "Parents": [{ "Id": id, "Type": kind }] });
        call(POST, 200, response.to_string()).in_account("hub")
    };
    for names_one in [
        json!({ "rules": [{ "match": unit, "ignore": "x" }] }),
        json!({ "workspaces": [{ "match": unit, "workspaceArn": WORKSPACE }] }),
    ] {
        let exchanges = [
            listed(&["demo", "b"], None),
            listed_scrapers(&[]),
            table(names_one).in_account("hub"),
            parent("ou-a1b2-prod0000", "ORGANIZATIONAL_UNIT").with_text("222222222222"),
            parent("r-a1b2", "ROOT"),
        ];
        let output = find(&settings(), exchanges).await.unwrap();
        assert_eq!(output.organizational_units, ["ou-a1b2-prod0000"]);
    }
}

#[tokio::test]
async fn an_account_without_a_provisioner_is_reported_as_unreachable() {
    let script = Script::new([]);
    let location = Location::try_from(json!({ "account": "222222222222", "region": "us-west-2" })).unwrap();
    let (hub, settings) = (script.account(), settings());
    let denied = |error| clusters::find(&hub, Err(error), &settings, &location);
    let output = denied(Error::AccessDenied("no provisioner".to_owned())).await.unwrap();
    assert_eq!(
        (output.reachable, output.reason.as_deref()),
        (false, Some("no provisioner"))
    );
    let lost = denied(Error::Transient("lost".to_owned())).await.unwrap_err();
    assert_eq!(lost.name(), "Transient");
}

#[tokio::test]
async fn a_failed_list_of_clusters_is_an_error() {
    let denied = call("GET /clusters", 403, rest_error("AccessDeniedException", "no"));
    assert_eq!(find(&settings(), [denied]).await.unwrap_err().name(), "AccessDenied");
    let failed = [
        listed(&["b"], Some("more")),
        call("GET /clusters", 500, rest_error("ServerException", "no")),
    ];
    assert_eq!(find(&settings(), failed).await.unwrap_err().name(), "Transient");
}

/// A scraper with our tags for a cluster of this name, tagged as orphan by a reconciliation or not.
fn scraper_of(name: &str, id: &str, orphan_since: Option<&str>) -> Value {
    let mut scraper = scraper("ACTIVE", true);
    let cluster = CLUSTER.replace("demo", name);
    scraper["arn"] = json!(SCRAPER.replace("s-1", id));
    scraper["tags"]["ampxa:cluster"] = json!(cluster);
    scraper["source"]["eksConfiguration"]["clusterArn"] = json!(cluster);
    if let Some(reconciliation) = orphan_since {
        scraper["tags"]["ampxa:orphan-since"] = json!(reconciliation);
    }
    scraper
}

#[tokio::test]
async fn only_scrapers_with_our_tags_make_a_cluster_an_orphan() {
    let mut deleting = scraper_of("deleting", "s-7", None);
    deleting["status"]["statusCode"] = json!("DELETING");
    let mut one_tag = scraper_of("one-tag", "s-8", None);
    one_tag["tags"].as_object_mut().unwrap().remove("ampxa:workspace");
    let mut other_cluster = scraper_of("other-cluster", "s-9", None);
    other_cluster["source"]["eksConfiguration"]["clusterArn"] = json!(CLUSTER);
    let mut other_region = scraper_of("other-region", "s-10", None);
    let other = CLUSTER.replace("us-west-2", "us-east-1");
    other_region["tags"]["ampxa:cluster"] = json!(other);
    other_region["source"]["eksConfiguration"]["clusterArn"] = json!(other);
    let exchanges = [
        listed(&["demo", "recovered"], None),
        listed_scrapers(&[
            scraper("ACTIVE", true),
            scraper("ACTIVE", false),
            scraper_of("recovered", "s-2", Some(EARLIER)),
            scraper_of("missing", "s-3", None),
            scraper_of("missing", "s-4", Some(EARLIER)),
            deleting,
            one_tag,
            other_cluster,
            other_region,
        ]),
        no_table(),
    ];
    let output = find(&settings(), exchanges).await.unwrap();
    assert_eq!(
        json!(output.orphans),
        json!([
            {
                "clusterArn": CLUSTER.replace("demo", "missing"),
                "scraperArns": [SCRAPER.replace("s-1", "s-3"), SCRAPER.replace("s-1", "s-4")],
                "missing": true, "orphanSince": EARLIER,
            },
            {
                "clusterArn": CLUSTER.replace("demo", "recovered"), "scraperArns": [SCRAPER.replace("s-1", "s-2")],
                "missing": false, "orphanSince": EARLIER,
            },
        ])
    );
}

async fn route(input: Value, exchanges: impl IntoIterator<Item = Exchange>) -> Result<route::Output, Error> {
    let script = Script::new(exchanges);
    let mut all = json!({
        "clusterArn": CLUSTER, "reconciliation": RECONCILIATION, "execution": "e", "organizationalUnits": [],
    });
    all.as_object_mut().unwrap().extend(input.as_object().unwrap().clone());
    let (hub, source) = (script.account_of("hub"), script.account_of("source"));
    let input = route::Input::try_from(all).unwrap();
    let decision = route::route(&hub.ssm(), &source.eks(), &settings(), &input).await;
    script.assert_finished();
    decision
}

fn described(status: &str, tags: Value) -> Exchange {
    let response = json!({ "cluster": { "name": "demo", "arn": CLUSTER, "status": status, "tags": tags } });
    call("GET /clusters/demo", 200, response.to_string()).in_account("source")
}

fn no_cluster() -> Exchange {
    call("GET /clusters/demo", 404, rest_error("ResourceNotFoundException", "no"))
}

fn two_workspaces() -> Exchange {
    let other = WORKSPACE.replace("ws-1", "ws-2");
    let accounts = json!({ "accounts": ["222222222222"] });
    let table_of_two = json!({
        "rules": [{ "match": accounts, "workspaceArn": WORKSPACE }],
        "workspaces": [{ "match": accounts, "workspaceArn": other }],
    });
    table(table_of_two).in_account("hub")
}

#[tokio::test]
async fn tags_determine_the_route_and_the_reconciliation_determines_the_execution_name() {
    let exchanges = || [described("ACTIVE", json!({ "team": "a" })), two_workspaces()];
    let decision = json!(route(json!({}), exchanges()).await.unwrap());
    let request = json!({
        "clusterArn": CLUSTER, "workspaceArn": WORKSPACE, "patchTrust": "FINAL", "checkIngestion": "REPORT",
    });
    assert_eq!(
        (&decision["action"], &decision["request"]),
        (&json!("ONBOARD"), &request)
    );
    let name = decision["name"].as_str().unwrap();
    assert!(
        name.starts_with("reconcile-demo-") && name.len() == "reconcile-demo-".len() + 16,
        "{name}"
    );
    let again = json!(route(json!({}), exchanges()).await.unwrap());
    assert_eq!(
        again["name"], name,
        "a repeated step of a reconciliation yields the same execution name"
    );
    let other = json!(route(json!({ "reconciliation": EARLIER }), exchanges()).await.unwrap());
    assert_ne!(other["name"], name);
    for (tags, vended, workspace) in [
        (json!({}), "ws-2", "ws-2"),
        (json!({ "ampxa:workspace": "ws-1" }), "ws-2", "ws-1"),
    ] {
        let exchanges = [described("CREATING", tags), two_workspaces()];
        let decision = json!(route(json!({ "workspace": vended }), exchanges).await.unwrap());
        assert_eq!(
            decision["request"]["workspaceArn"],
            WORKSPACE.replace("ws-1", workspace)
        );
    }
}

#[tokio::test]
async fn a_cluster_that_is_deleting_opted_out_or_unmatched_is_skipped() {
    for (exchanges, reason) in [
        (vec![no_cluster()], "it was deleted meanwhile"),
        (vec![described("DELETING", json!({}))], "it is being deleted"),
        (
            vec![described("ACTIVE", json!({ "ampxa:onboard": "no" })), two_workspaces()],
            "its tag ampxa:onboard has the value no",
        ),
        (
            vec![described("ACTIVE", json!({})), no_table()],
            "no rule matches it, and there is no default workspace",
        ),
    ] {
        let decision = json!(route(json!({}), exchanges).await.unwrap());
        assert_eq!(decision, json!({ "action": "SKIP", "reason": reason }));
    }
}

#[tokio::test]
async fn a_workspace_that_is_not_open_to_the_account_is_an_error_that_names_who_chose_it() {
    let chosen = json!({ "ampxa:workspace": "ws-9" });
    for (input, tags, chosen_by) in [
        (json!({}), chosen, "the cluster's tag ampxa:workspace"),
        (
            json!({ "workspace": "ws-9" }),
            json!({}),
            "the reconciliation's field workspace",
        ),
    ] {
        let error = route(input, [described("ACTIVE", tags), two_workspaces()])
            .await
            .unwrap_err();
        assert_eq!(error.name(), "InvalidRequest");
        let expected =
            format!("{chosen_by}: the workspace \"ws-9\" is not open to account 222222222222 in us-west-2; ");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
    let denied = call("GET /clusters/demo", 403, rest_error("AccessDeniedException", "no"));
    assert_eq!(route(json!({}), [denied]).await.unwrap_err().name(), "AccessDenied");
}

async fn mark(
    missing: bool,
    orphan_since: Option<&str>,
    exchanges: impl IntoIterator<Item = Exchange>,
) -> Result<orphans::Output, Error> {
    let script = Script::new(exchanges);
    let input = orphans::Input::try_from(json!({
        "clusterArn": CLUSTER, "scraperArns": [SCRAPER], "missing": missing, "orphanSince": orphan_since,
        "reconciliation": RECONCILIATION, "execution": "e",
    }));
    let account = script.account();
    let output = orphans::mark(&account.eks(), &account.amp(), &input.unwrap()).await;
    script.assert_finished();
    output
}

fn tag(status: u16) -> Exchange {
    tags("POST", status)
}

fn untag(status: u16) -> Exchange {
    tags("DELETE", status).with_text("tagKeys=ampxa:orphan-since")
}

fn tags(method: &str, status: u16) -> Exchange {
    let path = "arn%3Aaws%3Aaps%3Aus-west-2%3A222222222222%3Ascraper%2Fs-1";
    let response = match status {
        200 => "{}".to_owned(),
        404 => rest_error("ResourceNotFoundException", "no"),
        _ => rest_error("AccessDeniedException", "no"),
    };
    call(&format!("{method} /tags/{path}"), status, response)
}

#[tokio::test]
async fn the_first_reconciliation_without_the_cluster_only_tags_its_scrapers() {
    let first = || tag(200).with_body(json!({ "tags": { "ampxa:orphan-since": RECONCILIATION } }));
    for orphan_since in [None, Some(RECONCILIATION)] {
        assert_eq!(
            mark(true, orphan_since, [no_cluster(), first()]).await,
            Ok(orphans::Output::Wait)
        );
    }
    assert_eq!(
        mark(true, None, [no_cluster(), tag(404)]).await,
        Ok(orphans::Output::Wait)
    );
}

#[tokio::test]
async fn a_second_reconciliation_without_the_cluster_offboards_it() {
    let output = json!(mark(true, Some(EARLIER), [no_cluster()]).await.unwrap());
    assert_eq!(
        (&output["action"], &output["request"]),
        (&json!("OFFBOARD"), &json!({ "clusterArn": CLUSTER }))
    );
    assert!(
        output["name"].as_str().unwrap().starts_with("reconcile-orphan-demo-"),
        "{output}"
    );
}

#[tokio::test]
async fn an_orphan_whose_cluster_exists_again_is_recovered() {
    let existing = || described("ACTIVE", json!({})).in_account("default");
    assert_eq!(
        mark(true, Some(EARLIER), [existing(), untag(200)]).await,
        Ok(orphans::Output::Recovered)
    );
    assert_eq!(
        mark(false, Some(EARLIER), [untag(200)]).await,
        Ok(orphans::Output::Recovered)
    );
    assert_eq!(
        mark(false, Some(EARLIER), [untag(404)]).await,
        Ok(orphans::Output::Recovered)
    );
}

#[tokio::test]
async fn an_error_of_aws_is_returned_and_nothing_is_offboarded() {
    let denied = call("GET /clusters/demo", 403, rest_error("AccessDeniedException", "no"));
    assert_eq!(
        mark(true, Some(EARLIER), [denied]).await.unwrap_err().name(),
        "AccessDenied"
    );
    assert_eq!(
        mark(true, None, [no_cluster(), tag(403)]).await.unwrap_err().name(),
        "AccessDenied"
    );
    assert_eq!(
        mark(false, None, [untag(403)]).await.unwrap_err().name(),
        "AccessDenied"
    );
}

#[test]
fn a_missing_or_invalid_field_is_named() {
    let location = |input| Location::try_from(input).map(drop);
    let route = |input| route::Input::try_from(input).map(drop);
    let orphan = |input| orphans::Input::try_from(input).map(drop);
    for (result, message) in [
        (location(json!({})), "input: missing field `account`"),
        (
            location(json!({ "account": "x", "region": "us-west-2" })),
            "account: \"x\" is not valid",
        ),
        (
            location(json!({ "account": "222222222222", "region": "oregon" })),
            "region: \"oregon\" is not valid",
        ),
        (route(json!(null)), "input: invalid type: null"),
        (
            route(json!({ "reconciliation": RECONCILIATION })),
            "input: missing field `clusterArn`",
        ),
        (
            route(json!({ "clusterArn": CLUSTER })),
            "input: missing field `reconciliation`",
        ),
        (
            orphan(json!({ "clusterArn": CLUSTER, "reconciliation": RECONCILIATION, "scraperArns": [] })),
            "input: missing field `missing`",
        ),
        (
            orphan(
                json!({ "clusterArn": CLUSTER, "reconciliation": RECONCILIATION, "missing": true, "scraperArns": ["x"] }),
            ),
            "scraperArns[0]: ",
        ),
    ] {
        let error = result.unwrap_err();
        assert_eq!(error.name(), "InvalidRequest");
        assert!(
            error.to_string().starts_with(message),
            "{error:?} does not begin with {message:?}"
        );
    }
}
