//! A reconciliation's steps: what it goes through, what is there, where it belongs, what is gone.

use crate::{
    replies::{rest_error, scraper, scrapers},
    routes::{refused, settings, table},
    script::{CLUSTER, SCRAPER, Script, Turn, WORKSPACE, call},
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
const SWEEP: &str = "arn:aws:states:us-west-2:111111111111:execution:ampxa-reconcile:monday";
const EARLIER: &str = "arn:aws:states:us-west-2:111111111111:execution:ampxa-reconcile:sunday";

fn no_table() -> Turn {
    refused("ParameterNotFound")
}

async fn check(
    request: Value,
    accounts: &str,
    settings: &Settings,
    turns: impl IntoIterator<Item = Turn>,
) -> Result<Output, Error> {
    let script = Script::new(turns);
    let hub = script.account();
    let defaults = Defaults {
        accounts: accounts.to_owned(),
        regions: "us-west-2,eu-west-1".to_owned(),
    };
    let request = Request::try_from(json!({ "request": request })).unwrap();
    let plan = reconcile::check(&hub.ssm(), &hub.organizations(), settings, &defaults, request).await;
    script.is_over();
    plan
}

/// A batch of one account.
fn batch(account: &str) -> Batch {
    Batch {
        accounts: vec![account.to_owned()],
    }
}

fn without_organizations() -> Settings {
    Settings {
        organizations: false,
        ..settings()
    }
}

#[tokio::test]
async fn a_reconciliation_goes_through_what_it_names_else_through_what_the_hub_names() {
    let named = json!({
        "accounts": ["222222222222", "444444444444"], "regions": ["us-east-1"], "provisionerTimeoutMinutes": 60, "workspace": "ws-1",
    });
    let plan = check(named, "555555555555", &without_organizations(), [no_table()]).await;
    let right = Output {
        batches: vec![batch("222222222222"), batch("444444444444")],
        regions: vec!["us-east-1".to_owned()],
        provisioner_timeout_minutes: 60,
        workspace: Some("ws-1".to_owned()),
        max_listed: 50,
    };
    assert_eq!(plan, Ok(right));
    let usual = check(json!({}), "555555555555", &settings(), [no_table()])
        .await
        .unwrap();
    assert_eq!(usual.batches, [batch("555555555555")]);
    assert_eq!(usual.regions, ["us-west-2", "eu-west-1"]);
}

#[tokio::test]
async fn the_organizations_active_accounts_are_listed_page_by_page() {
    let page = |accounts: Value, next: Option<&str>| {
        call(
            POST,
            200,
            json!({ "Accounts": accounts, "NextToken": next }).to_string(),
        )
    };
    let turns = || {
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
            .saying("\"NextToken\":\"more\""),
        ]
    };
    for (request, usual) in [
        (json!({}), ""),
        (json!({ "organization": true }), ""),
        (json!({ "organization": true }), "999999999999"),
    ] {
        let plan = check(request, usual, &settings(), turns()).await.unwrap();
        assert_eq!(plan.batches, [batch("111111111111"), batch("333333333333")]);
    }
}

#[tokio::test]
async fn a_reconciliation_of_nothing_or_with_a_wrong_table_is_refused_before_anything() {
    let why = check(json!({}), "", &without_organizations(), [no_table()])
        .await
        .unwrap_err();
    assert!(why.to_string().starts_with("accounts: missing; "), "{why}");
    let organization = json!({ "organization": true });
    let why = check(organization, "222222222222", &without_organizations(), [no_table()])
        .await
        .unwrap_err();
    assert!(
        why.to_string().starts_with("organization: the hub may not ask"),
        "{why}"
    );
    let wrong = table(json!({ "rules": [{}] }));
    let why = check(json!({}), "222222222222", &settings(), [wrong])
        .await
        .unwrap_err();
    assert!(
        why.to_string().starts_with("routes: rules[0].workspaceArn: missing"),
        "{why}"
    );
}

async fn find(settings: &Settings, turns: impl IntoIterator<Item = Turn>) -> Result<clusters::Output, Error> {
    let script = Script::new(turns);
    let (hub, source) = (script.account_of("hub"), script.account_of("source"));
    let place = Location {
        account: "222222222222".to_owned(),
        region: "us-west-2".to_owned(),
    };
    let found = clusters::find(&hub, Ok(source), settings, &place).await;
    script.is_over();
    found
}

fn listed(names: &[&str], next: Option<&str>) -> Turn {
    let answer = json!({ "clusters": names, "nextToken": next });
    call("GET /clusters", 200, answer.to_string()).of("source")
}

fn its_scrapers(all: &[Value]) -> Turn {
    call("GET /scrapers", 200, scrapers(all)).of("source")
}

#[tokio::test]
async fn the_clusters_of_a_place_are_listed_page_by_page() {
    let turns = [
        listed(&["demo", "b"], Some("more")),
        listed(&["c"], None).saying("nextToken=more"),
        its_scrapers(&[scraper("ACTIVE", true)]),
        no_table().of("hub"),
    ];
    let found = find(&settings(), turns).await.unwrap();
    let clusters: Vec<String> = found.clusters.iter().map(ToString::to_string).collect();
    let arn = |name: &str| CLUSTER.replace("demo", name);
    assert_eq!(clusters, [arn("demo"), arn("b"), arn("c")]);
    assert!(found.reachable && found.orphans.is_empty() && found.organizational_units.is_empty());
}

#[tokio::test]
async fn an_accounts_organizational_units_are_looked_up_once_where_a_rule_names_one() {
    let rules = json!({ "rules": [{ "match": { "organizationalUnits": ["ou-a1b2-prod0000"] }, "ignore": "x" }] });
    let parent = |id: &str, kind: &str| {
        let answer = json!({ "Parents": [{ "Id": id, "Type": kind }] });
        call(POST, 200, answer.to_string()).of("hub")
    };
    let turns = [
        listed(&["demo", "b"], None),
        its_scrapers(&[]),
        table(rules).of("hub"),
        parent("ou-a1b2-prod0000", "ORGANIZATIONAL_UNIT").saying("222222222222"),
        parent("r-a1b2", "ROOT"),
    ];
    let found = find(&settings(), turns).await.unwrap();
    assert_eq!(found.organizational_units, ["ou-a1b2-prod0000"]);
}

#[tokio::test]
async fn an_account_that_cannot_be_entered_is_told_and_no_error() {
    let script = Script::new([]);
    let place = Location::try_from(json!({ "account": "222222222222", "region": "us-west-2" })).unwrap();
    let (hub, settings) = (script.account(), settings());
    let denied = |error| clusters::find(&hub, Err(error), &settings, &place);
    let found = denied(Error::AccessDenied("no provisioner".to_owned())).await.unwrap();
    assert_eq!(
        (found.reachable, found.reason.as_deref()),
        (false, Some("no provisioner"))
    );
    let lost = denied(Error::Transient("lost".to_owned())).await.unwrap_err();
    assert_eq!(lost.name(), "Transient");
}

#[tokio::test]
async fn a_list_that_is_refused_makes_no_cluster_missed() {
    let denied = call("GET /clusters", 403, rest_error("AccessDeniedException", "no"));
    assert_eq!(find(&settings(), [denied]).await.unwrap_err().name(), "AccessDenied");
    let broken = [
        listed(&["b"], Some("more")),
        call("GET /clusters", 500, rest_error("ServerException", "no")),
    ];
    assert_eq!(find(&settings(), broken).await.unwrap_err().name(), "Transient");
}

/// A scraper of ours for a cluster of this name, seen gone by this reconciliation.
fn serving(name: &str, id: &str, orphan_since: Option<&str>) -> Value {
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
async fn only_scrapers_of_ours_make_a_cluster_missed() {
    let mut going = serving("going", "s-7", None);
    going["status"]["statusCode"] = json!("DELETING");
    let mut half = serving("half", "s-8", None);
    half["tags"].as_object_mut().unwrap().remove("ampxa:workspace");
    let mut borrowed = serving("borrowed", "s-9", None);
    borrowed["source"]["eksConfiguration"]["clusterArn"] = json!(CLUSTER);
    let mut elsewhere = serving("elsewhere", "s-10", None);
    let other = CLUSTER.replace("us-west-2", "us-east-1");
    elsewhere["tags"]["ampxa:cluster"] = json!(other);
    elsewhere["source"]["eksConfiguration"]["clusterArn"] = json!(other);
    let turns = [
        listed(&["demo", "back"], None),
        its_scrapers(&[
            scraper("ACTIVE", true),
            scraper("ACTIVE", false),
            serving("back", "s-2", Some(EARLIER)),
            serving("gone", "s-3", None),
            serving("gone", "s-4", Some(EARLIER)),
            going,
            half,
            borrowed,
            elsewhere,
        ]),
        no_table(),
    ];
    let found = find(&settings(), turns).await.unwrap();
    assert_eq!(
        json!(found.orphans),
        json!([
            {
                "clusterArn": CLUSTER.replace("demo", "back"), "scraperArns": [SCRAPER.replace("s-1", "s-2")],
                "missing": false, "orphanSince": EARLIER,
            },
            {
                "clusterArn": CLUSTER.replace("demo", "gone"),
                "scraperArns": [SCRAPER.replace("s-1", "s-3"), SCRAPER.replace("s-1", "s-4")],
                "missing": true, "orphanSince": EARLIER,
            },
        ])
    );
}

async fn route(input: Value, turns: impl IntoIterator<Item = Turn>) -> Result<route::Output, Error> {
    let script = Script::new(turns);
    let mut asked =
        json!({ "clusterArn": CLUSTER, "reconciliation": SWEEP, "execution": "e", "organizationalUnits": [] });
    asked
        .as_object_mut()
        .unwrap()
        .extend(input.as_object().unwrap().clone());
    let (hub, source) = (script.account_of("hub"), script.account_of("source"));
    let asked = route::Input::try_from(asked).unwrap();
    let decision = route::route(&hub.ssm(), &source.eks(), &settings(), &asked).await;
    script.is_over();
    decision
}

fn described(status: &str, tags: Value) -> Turn {
    let answer = json!({ "cluster": { "name": "demo", "arn": CLUSTER, "status": status, "tags": tags } });
    call("GET /clusters/demo", 200, answer.to_string()).of("source")
}

fn no_cluster() -> Turn {
    call("GET /clusters/demo", 404, rest_error("ResourceNotFoundException", "no"))
}

fn two_workspaces() -> Turn {
    let other = WORKSPACE.replace("ws-1", "ws-2");
    table(json!({ "rules": [{ "workspaceArn": WORKSPACE }], "workspaces": [other] })).of("hub")
}

#[tokio::test]
async fn a_cluster_is_routed_by_its_tags_and_named_after_the_reconciliation() {
    let turns = || [described("ACTIVE", json!({ "team": "a" })), two_workspaces()];
    let decision = json!(route(json!({}), turns()).await.unwrap());
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
    let again = json!(route(json!({}), turns()).await.unwrap());
    assert_eq!(
        again["name"], name,
        "a reconciliation that asks again joins what it started"
    );
    let other = json!(route(json!({ "reconciliation": EARLIER }), turns()).await.unwrap());
    assert_ne!(other["name"], name);
    for (tags, vended, workspace) in [
        (json!({}), "ws-2", "ws-2"),
        (json!({ "ampxa:workspace": "ws-1" }), "ws-2", "ws-1"),
    ] {
        let turns = [described("CREATING", tags), two_workspaces()];
        let decision = json!(route(json!({ "workspace": vended }), turns).await.unwrap());
        assert_eq!(
            decision["request"]["workspaceArn"],
            WORKSPACE.replace("ws-1", workspace)
        );
    }
}

#[tokio::test]
async fn a_cluster_that_goes_opts_out_or_belongs_nowhere_is_left_alone() {
    for (turns, why) in [
        (vec![no_cluster()], "it was deleted meanwhile"),
        (vec![described("DELETING", json!({}))], "it is being deleted"),
        (
            vec![described("ACTIVE", json!({ "ampxa:onboard": "no" })), two_workspaces()],
            "its tag ampxa:onboard says no",
        ),
        (
            vec![described("ACTIVE", json!({})), no_table()],
            "no rule matches it, and there is no default workspace",
        ),
    ] {
        let decision = json!(route(json!({}), turns).await.unwrap());
        assert_eq!(decision, json!({ "action": "SKIP", "reason": why }));
    }
}

#[tokio::test]
async fn a_workspace_that_is_not_allowed_is_refused() {
    let tags = json!({ "ampxa:workspace": "ws-9" });
    let why = route(json!({}), [described("ACTIVE", tags), two_workspaces()])
        .await
        .unwrap_err();
    assert_eq!(why.name(), "InvalidRequest");
    let denied = call("GET /clusters/demo", 403, rest_error("AccessDeniedException", "no"));
    assert_eq!(route(json!({}), [denied]).await.unwrap_err().name(), "AccessDenied");
}

async fn note(
    absent: bool,
    orphan_since: Option<&str>,
    turns: impl IntoIterator<Item = Turn>,
) -> Result<orphans::Output, Error> {
    let script = Script::new(turns);
    let missed = orphans::Input::try_from(json!({
        "clusterArn": CLUSTER, "scraperArns": [SCRAPER], "missing": absent, "orphanSince": orphan_since, "reconciliation": SWEEP,
        "execution": "e",
    }));
    let account = script.account();
    let noted = orphans::mark(&account.eks(), &account.amp(), &missed.unwrap()).await;
    script.is_over();
    noted
}

fn tag(status: u16) -> Turn {
    tags("POST", status)
}

fn untag(status: u16) -> Turn {
    tags("DELETE", status).saying("tagKeys=ampxa:orphan-since")
}

fn tags(method: &str, status: u16) -> Turn {
    let path = "arn%3Aaws%3Aaps%3Aus-west-2%3A222222222222%3Ascraper%2Fs-1";
    let answer = match status {
        200 => "{}".to_owned(),
        404 => rest_error("ResourceNotFoundException", "no"),
        _ => rest_error("AccessDeniedException", "no"),
    };
    call(&format!("{method} /tags/{path}"), status, answer)
}

#[tokio::test]
async fn one_reconciliation_that_misses_a_cluster_only_tags_its_scrapers() {
    let first = || tag(200).saying_only(json!({ "tags": { "ampxa:orphan-since": SWEEP } }));
    for orphan_since in [None, Some(SWEEP)] {
        assert_eq!(
            note(true, orphan_since, [no_cluster(), first()]).await,
            Ok(orphans::Output::Wait)
        );
    }
    assert_eq!(
        note(true, None, [no_cluster(), tag(404)]).await,
        Ok(orphans::Output::Wait)
    );
}

#[tokio::test]
async fn a_second_reconciliation_that_misses_it_has_it_offboarded() {
    let noted = json!(note(true, Some(EARLIER), [no_cluster()]).await.unwrap());
    assert_eq!(
        (&noted["action"], &noted["request"]),
        (&json!("OFFBOARD"), &json!({ "clusterArn": CLUSTER }))
    );
    assert!(
        noted["name"].as_str().unwrap().starts_with("reconcile-orphan-demo-"),
        "{noted}"
    );
}

#[tokio::test]
async fn a_cluster_that_is_there_after_all_is_not_missed_any_more() {
    let there = || described("ACTIVE", json!({})).of("somebody");
    assert_eq!(
        note(true, Some(EARLIER), [there(), untag(200)]).await,
        Ok(orphans::Output::Recovered)
    );
    assert_eq!(
        note(false, Some(EARLIER), [untag(200)]).await,
        Ok(orphans::Output::Recovered)
    );
    assert_eq!(
        note(false, Some(EARLIER), [untag(404)]).await,
        Ok(orphans::Output::Recovered)
    );
}

#[tokio::test]
async fn what_aws_refuses_is_told_and_removes_nothing() {
    let denied = call("GET /clusters/demo", 403, rest_error("AccessDeniedException", "no"));
    assert_eq!(
        note(true, Some(EARLIER), [denied]).await.unwrap_err().name(),
        "AccessDenied"
    );
    assert_eq!(
        note(true, None, [no_cluster(), tag(403)]).await.unwrap_err().name(),
        "AccessDenied"
    );
    assert_eq!(
        note(false, None, [untag(403)]).await.unwrap_err().name(),
        "AccessDenied"
    );
}

#[test]
fn what_a_step_is_not_given_is_named() {
    let place = |input| Location::try_from(input).map(drop);
    let asked = |input| route::Input::try_from(input).map(drop);
    let missed = |input| orphans::Input::try_from(input).map(drop);
    for (read, says) in [
        (place(json!({})), "account: missing; expected 12 digits"),
        (
            place(json!({ "account": "x", "region": "us-west-2" })),
            "account: \"x\" is not valid",
        ),
        (
            place(json!({ "account": "222222222222", "region": "oregon" })),
            "region: \"oregon\" is not valid",
        ),
        (asked(json!(null)), "request: expected an object"),
        (asked(json!({ "reconciliation": SWEEP })), "clusterArn: missing"),
        (asked(json!({ "clusterArn": CLUSTER })), "reconciliation: missing"),
        (
            missed(json!({ "clusterArn": CLUSTER, "reconciliation": SWEEP })),
            "missing: expected true or false",
        ),
        (
            missed(json!({ "clusterArn": CLUSTER, "reconciliation": SWEEP, "missing": true, "scraperArns": ["x"] })),
            "scraperArns[0]: ",
        ),
    ] {
        let why = read.unwrap_err();
        assert_eq!(why.name(), "InvalidRequest");
        assert!(
            why.to_string().starts_with(says),
            "{why:?} does not begin with {says:?}"
        );
    }
}
