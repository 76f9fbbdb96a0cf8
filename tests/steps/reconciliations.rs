//! The steps of a reconciliation: check the request, find clusters, route a cluster, mark orphans.

use crate::{
    checks::{IN_ORGANIZATION, reader},
    replies::{Role, iam_error, rest_error, scraper, scrapers, workspace_with_tags},
    routes::{failed, settings, table},
    script::{CLUSTER, Exchange, SCRAPER, Script, WORKSPACE, call},
};
use ampxa::{
    arn::WorkspaceArn,
    aws::Account,
    error::Error,
    reconcile::{
        self, Defaults, Input, Output,
        clusters::{self, Location},
        orphans, route, summary,
    },
    request::Mode,
    routing::Settings,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

const POST: &str = "POST /";
const RECONCILIATION: &str = "arn:aws:states:us-west-2:111111111111:execution:ampxa-reconcile:monday";
const EARLIER: &str = "arn:aws:states:us-west-2:111111111111:execution:ampxa-reconcile:sunday";

fn no_table() -> Exchange {
    failed("ParameterNotFound")
}

/// The account of a workspace. Only one account has a reader.
fn target_of(script: &Script, workspace: &WorkspaceArn) -> Result<Account, Error> {
    match &**workspace.account() {
        "333333333333" => Ok(script.account_of("target")),
        other => Err(Error::AccessDenied(format!("no reader in {other}"))),
    }
}

async fn check(
    request: Value,
    accounts: &str,
    settings: &Settings,
    exchanges: impl IntoIterator<Item = Exchange>,
) -> Result<(Output, Vec<Value>), Error> {
    let script = Script::new(exchanges);
    let hub = script.account_of("hub");
    let defaults = Defaults {
        accounts: accounts.to_owned(),
        regions: "us-west-2,eu-west-1".to_owned(),
    };
    let input = Input::try_from(json!({ "request": request, "execution": RECONCILIATION })).unwrap();
    let target = async |workspace: &WorkspaceArn| target_of(&script, workspace);
    let output = reconcile::check(&hub, &hub.bucket("bucket"), target, settings, &defaults, input).await;
    script.assert_finished();
    let lines = script.last_body();
    output.map(|output| {
        let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap());
        (output, lines.collect())
    })
}

/// The same for a request that is valid: the last call writes the locations. Returns the lines of the object.
async fn locations(
    request: Value,
    accounts: &str,
    settings: &Settings,
    exchanges: impl IntoIterator<Item = Exchange>,
) -> Vec<Value> {
    let wrote = call("PUT /reports/monday/locations.jsonl", 200, "").in_account("hub");
    let exchanges = exchanges.into_iter().chain([wrote]);
    check(request, accounts, settings, exchanges).await.unwrap().1
}

/// The line of a location. The first Region of an account is marked.
fn location(account: &str, region: &str, first: bool, has_pairs: bool) -> Value {
    let mut line = json!({ "kind": "LOCATION", "account": account, "region": region });
    for (field, _) in [("first", first), ("hasPairs", has_pairs)].iter().filter(|(_, is)| *is) {
        line[field] = json!(true);
    }
    line
}

/// The lines of an account in the Regions of the tests.
fn in_both_regions(account: &str, has_pairs: bool) -> [Value; 2] {
    [
        location(account, "us-west-2", true, has_pairs),
        location(account, "eu-west-1", false, has_pairs),
    ]
}

/// The trust policy of a target role that admits this principal with this external id.
fn target_trust(principal: Value, external_id: &str) -> Value {
    json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal,
        "Condition": { "StringEquals": { "sts:ExternalId": external_id } },
    }] })
}

/// A page of ListRoles: names, and external ids in the trust policies. IAM shows the unique ids of deleted source roles.
fn listed_roles(roles: &[(&str, &str)], marker: Option<&str>) -> Exchange {
    let trusts: Vec<(&str, Value)> = roles
        .iter()
        .map(|(name, external_id)| (*name, target_trust(json!({ "AWS": "AROADELETED" }), external_id)))
        .collect();
    listed_with_trust(&trusts, marker)
}

/// A page of ListRoles: names and trust policies.
fn listed_with_trust(roles: &[(&str, Value)], marker: Option<&str>) -> Exchange {
    let members: String = roles
        .iter()
        .map(|(name, trust)| {
            format!(
                "<member><Path>/</Path><RoleName>{name}</RoleName><RoleId>AROA</RoleId><Arn>arn:aws:iam::333333333333:role/{name}\
                 </Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>{}</AssumeRolePolicyDocument>\
                 </member>",
                utf8_percent_encode(&trust.to_string(), NON_ALPHANUMERIC)
            )
        })
        .collect();
    let more = marker.map_or("<IsTruncated>false</IsTruncated>".to_owned(), |marker| {
        format!("<IsTruncated>true</IsTruncated><Marker>{marker}</Marker>")
    });
    let body = format!(
        "<ListRolesResponse><ListRolesResult>{more}<Roles>{members}</Roles></ListRolesResult></ListRolesResponse>"
    );
    call("ListRoles", 200, body).in_account("target")
}

/// A table with a rule for each workspace.
fn table_of(workspaces: &[&str]) -> Exchange {
    let rule = |workspace: &&str| json!({ "workspaceArn": workspace, "anyAccount": true });
    table(json!({ "rules": workspaces.iter().map(rule).collect::<Vec<_>>() }))
}

#[tokio::test]
async fn accounts_that_a_target_role_names_have_pairs_and_each_target_account_is_listed_once() {
    let second = WORKSPACE.replace("ws-1", "ws-2");
    let exchanges = [
        table_of(&[WORKSPACE, &second]),
        listed_roles(
            &[
                ("ampxa-target-a-1", "arn:aws:aps:us-west-2:222222222222:scraper/s-1"),
                ("other", "arn:aws:aps:us-west-2:444444444444:scraper/s-1"),
                ("ampxa-target-theirs", "not an ARN"),
            ],
            Some("more"),
        )
        .with_text("MaxItems=1000"),
        // A role that admits no scraper yet.
        listed_roles(
            &[("ampxa-target-b-1", "arn:aws:aps:us-west-2:555555555555:scraper/*")],
            None,
        )
        .with_text("Marker=more"),
    ];
    let request = json!({ "accounts": ["222222222222", "444444444444", "555555555555"] });
    let lines = locations(request, "", &without_organizations(), exchanges).await;
    // Accounts with pairs are first.
    let expected = [
        in_both_regions("222222222222", true),
        in_both_regions("555555555555", true),
        in_both_regions("444444444444", false),
    ];
    // The role without the ARN of a scraper belongs to no pair.
    let (last, locations) = lines.split_last().unwrap();
    assert_eq!(locations, expected.concat());
    assert_eq!(
        *last,
        json!({ "kind": "ROLE", "roleArn": "arn:aws:iam::333333333333:role/ampxa-target-theirs" })
    );
}

#[tokio::test]
async fn a_target_role_that_trusts_anything_but_the_source_role_of_its_pair_is_reported_as_ownerless() {
    let scraper = "arn:aws:aps:us-west-2:222222222222:scraper/s-1";
    let source_role = |account: &str, name: &str| json!({ "AWS": format!("arn:aws:iam::{account}:role/{name}") });
    let own = || source_role("222222222222", "ampxa-source-demo-1a2b3c4d");
    let good = target_trust(own(), scraper);
    let mut two_statements = good.clone();
    let statement = two_statements["Statement"][0].clone();
    two_statements["Statement"].as_array_mut().unwrap().push(statement);
    let mut two_kinds = own();
    two_kinds["Service"] = json!("ec2.amazonaws.com");
    let name = "ampxa-target-demo-1a2b3c4d";
    for (trust, ownerless) in [
        (good, false),
        (target_trust(json!({ "AWS": "AROADELETED" }), scraper), false),
        (
            target_trust(source_role("222222222222", "ampxa-source-demo-00000000"), scraper),
            true,
        ),
        (target_trust(source_role("222222222222", "admin"), scraper), true),
        // A stranger's role of the same name.
        (
            target_trust(source_role("999999999999", "ampxa-source-demo-1a2b3c4d"), scraper),
            true,
        ),
        (target_trust(json!({ "AWS": "*" }), scraper), true),
        (target_trust(json!("*"), scraper), true),
        (target_trust(two_kinds, scraper), true),
        (target_trust(own(), "none"), true),
        (two_statements, true),
        (json!({}), true),
    ] {
        let other = ("other-role", target_trust(json!("*"), scraper));
        let exchanges = [
            table_of(&[WORKSPACE]),
            listed_with_trust(&[(name, trust.clone()), other], None),
        ];
        let request = json!({ "accounts": ["444444444444"] });
        let lines = locations(request, "", &without_organizations(), exchanges).await;
        let role = json!({ "kind": "ROLE", "roleArn": format!("arn:aws:iam::333333333333:role/{name}") });
        let expected: &[Value] = if ownerless { &[role] } else { &[] };
        assert_eq!(&lines[2..], expected, "{trust}");
    }
}

/// GetRole of a source role with these tags.
fn source_role(name: &str, cluster: &str, workspace: &str) -> Exchange {
    let mut role = Role::ours(json!({}), "boundary");
    role.tags = vec![
        ("ampxa:cluster".to_owned(), cluster.to_owned()),
        ("ampxa:workspace".to_owned(), workspace.to_owned()),
    ];
    let response = role.response("GetRole");
    let response = response
        .replace("<RoleName>name<", &format!("<RoleName>{name}<"))
        .replace("role/name<", &format!("role/{name}<"));
    call("GetRole", 200, response)
        .with_text(format!("RoleName={name}"))
        .in_account("source")
}

#[tokio::test]
async fn source_roles_without_the_tags_of_their_pair_are_reported_in_the_first_region_only() {
    let pair = ampxa::pair::Pair {
        cluster: CLUSTER.parse().unwrap(),
        workspace: WORKSPACE.parse().unwrap(),
    };
    let (own, other) = (pair.source_role_name(), "ampxa-source-demo-00000000");
    let names: Vec<(&str, Value)> = [own.as_str(), other, "ampxa-source-gone", "ampxa-reader-source"]
        .into_iter()
        .map(|name| (name, json!({})))
        .collect();
    let exchanges = [
        listed(&[], None),
        listed_scrapers(&[]),
        listed_with_trust(&names, None).in_account("source"),
        source_role(&own, CLUSTER, WORKSPACE),
        // The tags of a pair whose role has another name.
        source_role(other, CLUSTER, WORKSPACE),
        call("GetRole", 404, iam_error("NoSuchEntity", "no")),
    ];
    let output = find_in(true, &settings(), exchanges).await.unwrap();
    let expected = json!([{ "kind": "ROLE", "roleArn": format!("arn:aws:iam::222222222222:role/{other}") }]);
    assert_eq!(json!(of_kind(&output, "ROLE")), expected);
    let output = find(&settings(), [listed(&[], None), listed_scrapers(&[])])
        .await
        .unwrap();
    assert_eq!(
        json!(output.findings),
        json!([location("222222222222", "us-west-2", false, false)])
    );
}

#[tokio::test]
async fn a_cluster_is_listed_with_the_workspaces_that_a_route_connected_it_to() {
    let of = |id: &str, workspace: &str, origin: Option<&str>| {
        let mut one = scraper("ACTIVE", true);
        one["arn"] = json!(SCRAPER.replace("s-1", id));
        one["tags"]["ampxa:workspace"] = json!(WORKSPACE.replace("ws-1", workspace));
        match origin {
            Some(origin) => one["tags"]["ampxa:origin"] = json!(origin),
            None => _ = one["tags"].as_object_mut().unwrap().remove("ampxa:origin"),
        }
        one
    };
    let scrapers = [
        of("s-1", "ws-1", Some("route")),
        of("s-2", "ws-2", Some("request")),
        of("s-3", "ws-3", None),
        of("s-4", "ws-4", Some("route")),
    ];
    let exchanges = [
        listed(&["demo", "other"], None),
        listed_scrapers(&scrapers),
        described_workspace("ws-1", Some("organization")),
        described_workspace("ws-2", Some("organization")),
        described_workspace("ws-3", Some("organization")),
        described_workspace("ws-4", Some("organization")),
        no_table(),
    ];
    let output = find(&settings(), exchanges).await.unwrap();
    let expected = json!([
        {
            "kind": "CLUSTER", "clusterArn": CLUSTER, "connected": true,
            "routedWorkspaces": [WORKSPACE, WORKSPACE.replace("ws-1", "ws-4")],
        },
        { "kind": "CLUSTER", "clusterArn": CLUSTER.replace("demo", "other") },
    ]);
    assert_eq!(json!(of_kind(&output, "CLUSTER")), expected);
}

#[tokio::test]
async fn routed_pairs_that_the_table_no_longer_names_are_reported_or_removed() {
    let ws = |id: &str| WORKSPACE.replace("ws-1", id);
    let routed = json!([ws("ws-1"), ws("ws-8"), ws("ws-9")]);
    let workspaces = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|one| one["workspaceArn"].as_str().unwrap().to_owned())
            .collect()
    };
    let out_tag = json!({ "ampxa:onboard": "no" });
    for (tags, expected) in [
        (json!({}), vec![ws("ws-8"), ws("ws-9")]),
        // The table does not onboard the cluster at all.
        (out_tag, vec![ws("ws-1"), ws("ws-8"), ws("ws-9")]),
        // What the table names is not known.
        (json!({ "ampxa:workspace": "ws-7" }), vec![]),
    ] {
        for remove in [false, true] {
            let input = json!({ "routedWorkspaces": routed, "removeUnrouted": remove });
            let roles = expected.iter().map(|workspace| role_with_origin(workspace, "route"));
            let exchanges = [described("ACTIVE", tags.clone()), two_workspaces()]
                .into_iter()
                .chain(roles);
            let decision = json!(route(input, exchanges).await.unwrap());
            let (full, empty) = if remove {
                ("removals", "unrouted")
            } else {
                ("unrouted", "removals")
            };
            assert_eq!(workspaces(&decision[full]), expected, "{tags}");
            assert_eq!(decision[empty], json!([]), "{tags}");
            let mut names: Vec<&str> = decision[full]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["name"].as_str().unwrap())
                .collect();
            assert!(
                names
                    .iter()
                    .all(|name| name.starts_with("reconcile-unrouted-demo-") && name.len() <= 80)
            );
            names.dedup();
            assert_eq!(names.len(), expected.len(), "each pair has an execution of its own");
        }
    }
    let input = json!({ "routedWorkspaces": routed });
    for exchange in [no_cluster(), described("DELETING", json!({}))] {
        let decision = json!(route(input.clone(), [exchange]).await.unwrap());
        assert_eq!(decision["unrouted"], json!([]));
    }
    // A scraper that was created again has the origin of its last onboarding. The role has that of the first.
    let exchanges = [described("ACTIVE", json!({})), two_workspaces()];
    let roles = [
        role_with_origin(&ws("ws-8"), "request"),
        role_with_origin(&ws("ws-9"), "route"),
    ];
    let decision = json!(route(input, exchanges.into_iter().chain(roles)).await.unwrap());
    assert_eq!(workspaces(&decision["unrouted"]), [ws("ws-9")]);
    // The table names units, but they were not read.
    let of_unit =
        json!({ "rules": [{ "match": { "organizationalUnits": ["ou-abcd-12345678"] }, "workspaceArn": WORKSPACE }] });
    let input = json!({ "routedWorkspaces": routed, "removeUnrouted": true });
    let exchanges = [described("ACTIVE", json!({})), table(of_unit).in_account("hub")];
    let decision = json!(route(input, exchanges).await.unwrap());
    assert_eq!((&decision["unrouted"], &decision["removals"]), (&json!([]), &json!([])));
    // The field of the reconciliation overrides the table.
    let input = json!({ "routedWorkspaces": routed, "workspace": "ws-2" });
    let decision = json!(
        route(input, [described("ACTIVE", json!({})), two_workspaces()])
            .await
            .unwrap()
    );
    assert_eq!(decision["unrouted"], json!([]));
}

#[tokio::test]
async fn every_account_may_have_pairs_if_a_target_account_cannot_be_read() {
    let no_reader = WORKSPACE.replace("333333333333", "999999999999");
    let denied = call("ListRoles", 403, iam_error("AccessDenied", "no")).in_account("target");
    let request = || json!({ "accounts": ["222222222222"] });
    for exchanges in [
        vec![table_of(&[WORKSPACE, &no_reader]), listed_roles(&[], None)],
        vec![table_of(&[WORKSPACE]), denied],
    ] {
        let lines = locations(request(), "", &without_organizations(), exchanges).await;
        assert_eq!(lines, in_both_regions("222222222222", true));
    }
    let lost = [
        table_of(&[WORKSPACE]),
        call("ListRoles", 503, iam_error("ServiceUnavailable", "no")),
    ];
    let error = check(request(), "", &without_organizations(), lost).await.unwrap_err();
    assert_eq!(error.name(), "Transient");
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
    let wrote = || call("PUT /reports/monday/locations.jsonl", 200, "");
    let output = check(request, "555555555555", &without_organizations(), [no_table(), wrote()]).await;
    let expected = Output {
        locations: "reports/monday/locations.jsonl".to_owned(),
        folder: "reports/monday/".to_owned(),
        is_whole: false,
        provisioner_timeout_minutes: 60,
        workspace: Some("ws-1".to_owned()),
        remove_unrouted: false,
        mode: Mode::Apply,
        expected_plan: None,
        plans: false,
        disconnects: false,
        version: ampxa::VERSION,
    };
    let lines = [
        location("222222222222", "us-east-1", true, false),
        location("444444444444", "us-east-1", true, false),
    ];
    assert_eq!(output, Ok((expected, lines.to_vec())));
    let (output, lines) = check(json!({}), "555555555555", &settings(), [no_table(), wrote()])
        .await
        .unwrap();
    assert!(output.is_whole);
    assert_eq!(lines, in_both_regions("555555555555", false));
}

#[tokio::test]
async fn onboardings_are_planned_for_a_plan_and_for_an_expected_plan() {
    let plan = "0".repeat(32);
    for (request, mode, expected_plan, plans) in [
        (json!({}), Mode::Apply, None, false),
        (json!({ "mode": "APPLY" }), Mode::Apply, None, false),
        (json!({ "mode": "PLAN" }), Mode::Plan, None, true),
        (json!({ "expectedPlan": plan }), Mode::Apply, Some(plan.clone()), true),
    ] {
        let wrote = call("PUT /reports/monday/locations.jsonl", 200, "");
        let checked = check(request, "555555555555", &settings(), [no_table(), wrote]).await;
        let output = checked.unwrap().0;
        assert_eq!(
            (output.mode, output.expected_plan, output.plans),
            (mode, expected_plan, plans)
        );
    }
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
        let lines = locations(request, default_accounts, &settings(), exchanges()).await;
        let expected = [
            in_both_regions("111111111111", false),
            in_both_regions("333333333333", false),
        ];
        assert_eq!(lines, expected.concat());
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

/// Finds the clusters of a location that is not the first one of its account.
async fn find(settings: &Settings, exchanges: impl IntoIterator<Item = Exchange>) -> Result<clusters::Output, Error> {
    find_in(false, settings, exchanges).await
}

async fn find_in(
    first: bool,
    settings: &Settings,
    exchanges: impl IntoIterator<Item = Exchange>,
) -> Result<clusters::Output, Error> {
    let script = Script::new(exchanges);
    let (hub, source) = (script.account_of("hub"), script.account_of("source"));
    let location = Location {
        account: "222222222222".parse().unwrap(),
        region: "us-west-2".parse().unwrap(),
        first,
    };
    let target = async |workspace: &WorkspaceArn| target_of(&script, workspace);
    let output = clusters::find(&hub, Ok(source), target, (settings, IN_ORGANIZATION), &location).await;
    script.assert_finished();
    output
}

/// The findings of a kind.
fn of_kind(output: &clusters::Output, kind: &str) -> Vec<Value> {
    let all = output.findings.iter().map(|finding| json!(finding));
    all.filter(|finding| finding["kind"] == kind).collect()
}

/// The names of the clusters.
fn names(output: &clusters::Output) -> Vec<String> {
    let arns = of_kind(output, "CLUSTER").into_iter();
    arns.map(|one| {
        one["clusterArn"]
            .as_str()
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned()
    })
    .collect()
}

fn listed(names: &[&str], next: Option<&str>) -> Exchange {
    let response = json!({ "clusters": names, "nextToken": next });
    call("GET /clusters", 200, response.to_string()).in_account("source")
}

/// The description of a workspace, by its id, with this tag `ampxa:accept`.
fn described_workspace(id: &str, accept: Option<&str>) -> Exchange {
    let tags = accept.map_or(json!({}), |accept| json!({ "ampxa:accept": accept }));
    call(&format!("GET /workspaces/{id}"), 200, workspace_with_tags(tags)).in_account("target")
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
        described_workspace("ws-1", Some("222222222222")),
        no_table().in_account("hub"),
    ];
    let output = find(&settings(), exchanges).await.unwrap();
    assert_eq!(names(&output), ["demo", "b", "c"]);
    assert!(output.reachable && output.findings.len() == 4);
}

#[tokio::test]
async fn a_location_whose_findings_do_not_fit_the_payload_says_how_many_are_missing() {
    // Names of the maximum length.
    let names_of =
        |count: usize| -> Vec<String> { (0..count).map(|i| format!("c{i:04}-{}", "x".repeat(94))).collect() };
    for (count, fits) in [(900, true), (2_500, false)] {
        let all = names_of(count);
        let listed_names: Vec<&str> = all.iter().map(String::as_str).collect();
        let exchanges = [listed(&listed_names, None), listed_scrapers(&[]), no_table()];
        let output = find(&settings(), exchanges).await.unwrap();
        let found = names(&output);
        assert!(json!(output).to_string().len() < 256 * 1024 - 1024);
        assert_eq!(found, all[..found.len()]);
        let failure = json!(output.findings[0])["failure"].clone();
        assert_eq!(failure.is_null(), fits, "{failure}");
        if !fits {
            let cause = format!(
                "the location has 2500 clusters and other findings, and a reconciliation reads only the first {}",
                found.len()
            );
            assert_eq!(failure["Error"], "TooManyClusters");
            assert!(failure["Cause"].as_str().unwrap().starts_with(&cause), "{failure}");
        }
    }
}

#[tokio::test]
async fn scrapers_of_clusters_that_ampxa_did_not_create_are_unmanaged() {
    let mut of_terraform = scraper("ACTIVE", false);
    of_terraform["tags"] = json!({ "terraform": "true" });
    let mut deleting = scraper("DELETING", false);
    deleting["arn"] = json!(SCRAPER.replace("s-1", "s-2"));
    let exchanges = [
        listed(&["demo"], None),
        listed_scrapers(&[of_terraform, deleting]),
        no_table(),
    ];
    let output = find(&settings(), exchanges).await.unwrap();
    let found = of_kind(&output, "SCRAPER");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (&found[0]["scraperArn"], &found[0]["clusterArn"]),
        (&json!(SCRAPER), &json!(CLUSTER))
    );
    assert_eq!(found[0]["workspaceArn"], WORKSPACE);
    // A cluster that only others connect is not connected.
    assert_eq!(
        json!(of_kind(&output, "CLUSTER")),
        json!([{ "kind": "CLUSTER", "clusterArn": CLUSTER }])
    );
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
        let clusters = of_kind(&output, "CLUSTER");
        assert_eq!(clusters.len(), 2);
        for cluster in clusters {
            assert_eq!(cluster["organizationalUnits"], json!(["ou-a1b2-prod0000"]));
        }
    }
}

#[tokio::test]
async fn an_account_without_a_provisioner_is_reported_as_unreachable() {
    let script = Script::new([]);
    let location = json!({ "account": "222222222222", "region": "us-west-2", "first": true });
    let location = Location::try_from(location).unwrap();
    let (hub, settings) = (script.account(), settings());
    let no_target = async |_: &WorkspaceArn| unreachable!();
    let denied = |error| clusters::find(&hub, Err(error), no_target, (&settings, IN_ORGANIZATION), &location);
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
        described_workspace("ws-1", Some("organization")),
        no_table(),
    ];
    let output = find(&settings(), exchanges).await.unwrap();
    assert_eq!(
        json!(of_kind(&output, "ORPHAN")),
        json!([
            {
                "kind": "ORPHAN", "clusterArn": CLUSTER.replace("demo", "missing"),
                "scraperArns": [SCRAPER.replace("s-1", "s-3"), SCRAPER.replace("s-1", "s-4")],
                "missing": true, "orphanSince": EARLIER,
            },
            {
                "kind": "ORPHAN", "clusterArn": CLUSTER.replace("demo", "recovered"), "scraperArns": [SCRAPER.replace("s-1", "s-2")],
                "missing": false, "orphanSince": EARLIER,
            },
        ])
    );
}

/// A scraper of a cluster in the source account that writes to a workspace.
fn scraper_to(workspace: &str, name: &str) -> Value {
    let mut scraper = scraper_of(name, name, None);
    scraper["tags"]["ampxa:workspace"] = json!(workspace);
    scraper
}

#[tokio::test]
async fn pairs_that_their_workspaces_do_not_accept_are_reported_whoever_connected_them() {
    let ws = |id: &str| WORKSPACE.replace("ws-1", id);
    let departed = WORKSPACE.replace("333333333333", "444444444444");
    let exchanges = [
        listed(&[], None),
        listed_scrapers(&[
            scraper_to(&ws("ws-1"), "accepted"),
            scraper_to(&ws("ws-2"), "no-tag"),
            scraper_to(&ws("ws-2"), "no-tag-either"),
            scraper_to(&ws("ws-3"), "optional"),
            scraper_to(&ws("ws-4"), "other"),
            scraper_to(&ws("ws-5"), "unit"),
            scraper_to(&ws("ws-6"), "deleted"),
            scraper_to(&departed, "departed"),
        ]),
        described_workspace("ws-1", Some("222222222222")),
        // A workspace is read once, whatever the number of its pairs.
        described_workspace("ws-2", None),
        reader(&[]),
        described_workspace("ws-3", None),
        reader(&[("ampxa:workspace-consent", "OPTIONAL")]),
        described_workspace("ws-4", Some("777777777777")),
        described_workspace("ws-5", Some("ou-a1b2-c3d4e5f6")),
        call(
            POST,
            200,
            json!({ "Parents": [{ "Id": "ou-a1b2-c3d4e5f6", "Type": "ORGANIZATIONAL_UNIT" }] }).to_string(),
        )
        .in_account("hub"),
        call(
            POST,
            200,
            json!({ "Parents": [{ "Id": "r-a1b2", "Type": "ROOT" }] }).to_string(),
        ),
        call(
            "GET /workspaces/ws-6",
            404,
            rest_error("ResourceNotFoundException", "no"),
        ),
    ];
    let output = find(&settings(), exchanges).await.unwrap();
    let refused = |name: &str, workspace: &str, reason: &str| {
        json!({
            "kind": "PAIR", "clusterArn": CLUSTER.replace("demo", name), "workspaceArn": workspace,
            "known": workspace != departed, "reason": reason,
        })
    };
    let expected = json!([
        refused("no-tag", &ws("ws-2"), "it has no tag ampxa:accept"),
        refused("no-tag-either", &ws("ws-2"), "it has no tag ampxa:accept"),
        refused("other", &ws("ws-4"), "its tag ampxa:accept does not name the account"),
        refused("deleted", &ws("ws-6"), "the workspace does not exist"),
        refused("departed", &departed, "no reader in 444444444444"),
    ]);
    assert_eq!(json!(of_kind(&output, "PAIR")), expected);
}

/// Consent is a report: the clusters of the location are reconciled without it.
#[tokio::test]
async fn a_workspace_that_cannot_be_read_does_not_stop_the_inventory() {
    let other_region = WORKSPACE.replace("us-west-2", "us-east-1");
    let exchanges = [
        listed(&[], None),
        listed_scrapers(&[scraper("ACTIVE", true), scraper_to(&other_region, "elsewhere")]),
        call(
            "GET /workspaces/ws-1",
            429,
            rest_error("ThrottlingException", "slow down"),
        ),
    ];
    let output = find(&settings(), exchanges).await.unwrap();
    let listed = of_kind(&output, "PAIR");
    assert!(
        listed.len() == 2 && listed.iter().all(|pair| pair["known"] == false),
        "{listed:?}"
    );
    assert!(
        listed[0]["reason"].as_str().unwrap().contains("ThrottlingException"),
        "{listed:?}"
    );
    assert!(
        listed[1]["reason"].as_str().unwrap().contains("another Region"),
        "{listed:?}"
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
    let decision = route::route(&hub.ssm(), &source.eks(), &source.iam(), &settings(), &input).await;
    script.assert_finished();
    decision
}

/// The response of GetRole for the source role of the pair with a workspace.
fn role_with_origin(workspace: &str, origin: &str) -> Exchange {
    let pair = ampxa::pair::Pair {
        cluster: CLUSTER.parse().unwrap(),
        workspace: workspace.parse().unwrap(),
    };
    let mut role = Role::ours(json!({}), "boundary");
    role.tags.retain(|(key, _)| key != "ampxa:origin");
    role.tags.push(("ampxa:origin".to_owned(), origin.to_owned()));
    call("GetRole", 200, role.response("GetRole"))
        .with_text(format!("RoleName={}", pair.source_role_name()))
        .in_account("source")
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
    assert_eq!((&decision["unrouted"], &decision["removals"]), (&json!([]), &json!([])));
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
        let expected = json!({ "action": "SKIP", "reason": reason, "unrouted": [], "removals": [] });
        assert_eq!(decision, expected);
    }
}

#[tokio::test]
async fn a_workspace_that_is_not_open_to_the_account_skips_the_cluster_or_is_an_error_of_the_reconciliation() {
    let why = "the workspace \"ws-9\" is not open to account 222222222222 in us-west-2; ";
    let tagged = described("ACTIVE", json!({ "ampxa:workspace": "ws-9" }));
    let decision = json!(route(json!({}), [tagged, two_workspaces()]).await.unwrap());
    let reason = decision["reason"].as_str().unwrap();
    assert_eq!(decision["action"], "SKIP");
    assert!(
        reason.starts_with(&format!("its tag ampxa:workspace is not valid: {why}")),
        "{reason}"
    );
    let untagged = described("ACTIVE", json!({}));
    let error = route(json!({ "workspace": "ws-9" }), [untagged, two_workspaces()])
        .await
        .unwrap_err();
    assert_eq!(error.name(), "InvalidRequest");
    assert!(
        error
            .to_string()
            .starts_with(&format!("the reconciliation's field workspace: {why}")),
        "{error}"
    );
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
async fn a_tag_that_aws_does_not_remove_is_overwritten_and_does_not_count_any_more() {
    let overwritten = || tag(200).with_body(json!({ "tags": { "ampxa:orphan-since": "recovered" } }));
    for status in [403, 409] {
        assert_eq!(
            mark(false, Some(EARLIER), [untag(status), overwritten()]).await,
            Ok(orphans::Output::Recovered)
        );
    }
    let scrapers = scrapers(&[scraper_of("gone", "s-1", Some("recovered"))]);
    let script = Script::new([call("GET /scrapers", 200, scrapers)]);
    let listed = ampxa::scraper::list(script.account().amp().list_scrapers())
        .await
        .unwrap();
    assert_eq!(ampxa::scraper::owned(&listed)[0].orphan_since, None);
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
        mark(false, None, [untag(403), tag(403)]).await.unwrap_err().name(),
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

/// A manifest of a Map with these files of results.
fn manifest(succeeded: &[&str], failed: &[&str]) -> String {
    let files = |keys: &[&str]| -> Vec<Value> { keys.iter().map(|key| json!({ "Key": key, "Size": 1 })).collect() };
    json!({
        "DestinationBucket": "bucket", "MapRunArn": "arn:m",
        "ResultFiles": { "FAILED": files(failed), "PENDING": [], "SUCCEEDED": files(succeeded) },
    })
    .to_string()
}

async fn summarize(whole: bool, exchanges: impl IntoIterator<Item = Exchange>) -> (Result<Value, Error>, String) {
    let script = Script::new(exchanges);
    let input = json!({
        "mode": "APPLY", "maps": ["reports/monday/found/manifest.json", "reports/monday/applied/manifest.json"],
        "isWhole": whole, "endedAt": "2026-01-01T00:00:00Z", "execution": RECONCILIATION,
    });
    let input = summary::Input::try_from(input).unwrap();
    let output = summary::summarize(&script.account_of("hub").bucket("bucket"), &input).await;
    script.assert_finished();
    (output.map(|output| json!(output)), script.last_body())
}

fn object(key: &str, content: impl Into<String>) -> Exchange {
    call(&format!("GET /reports/monday/{key}"), 200, content).in_account("hub")
}

#[tokio::test]
async fn a_report_has_a_line_for_each_result_of_the_last_map_and_counts_children_that_did_not_finish() {
    let cluster = |name: &str, outcome: &str| {
        let result = json!({ "outcome": outcome, "executionArn": format!("arn:e:{name}") });
        json!({ "kind": "CLUSTER", "clusterArn": CLUSTER.replace("demo", name), "result": result }).to_string()
    };
    let files = ["reports/monday/applied/a.json", "reports/monday/applied/b.json"];
    let exchanges = |failed: &str| {
        [
            object(
                "found/manifest.json",
                manifest(&["reports/monday/found/a.json"], &["reports/monday/found/f.json"]),
            ),
            object("found/f.json", failed.to_owned()),
            object("applied/manifest.json", manifest(&files, &[])),
            object(
                "applied/a.json",
                format!("{}\n{}", cluster("a", "ONBOARDED"), cluster("b", "UNCHANGED")),
            ),
            object("applied/b.json", cluster("c", "REPAIRED")),
        ]
    };
    let put = |key: &str| call(&format!("PUT /reports/{key}"), 200, "").in_account("hub");
    let failed = json!([{ "Status": "TIMED_OUT" }, { "Status": "FAILED" }]).to_string();
    let (output, report) = summarize(true, exchanges(&failed).into_iter().chain([put("monday/report.jsonl")])).await;
    let output = output.unwrap();
    assert_eq!(
        output["counts"],
        json!({ "ONBOARDED": 1, "UNCHANGED": 1, "REPAIRED": 1 })
    );
    assert_eq!(
        (&output["lost"], &output["report"]),
        (&json!(2), &json!("s3://bucket/reports/monday/report.jsonl"))
    );
    let lines: Vec<Value> = report.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines[2],
        json!({
            "account": "222222222222", "region": "us-west-2", "clusterArn": CLUSTER.replace("demo", "c"),
            "verdict": "REPAIRED", "connected": true, "executionArn": "arn:e:c",
        })
    );
    assert_eq!(lines.len(), 3);

    // The last report of all accounts and Regions is found without the name of its execution.
    let both = [put("monday/report.jsonl"), put("latest.json")];
    let (output, latest) = summarize(true, exchanges("[]").into_iter().chain(both)).await;
    let latest: Value = serde_json::from_str(&latest).unwrap();
    assert_eq!(
        latest,
        json!({
            "executionArn": RECONCILIATION, "mode": "APPLY", "endedAt": "2026-01-01T00:00:00Z",
            "counts": { "ONBOARDED": 1, "UNCHANGED": 1, "REPAIRED": 1 },
            "coverage": { "seen": 3, "connected": 3, "percent": 100.0 },
            "report": "s3://bucket/reports/monday/report.jsonl",
        })
    );
    assert_eq!(output.unwrap()["isWhole"], true);
    // One of some accounts is not.
    let (output, _) = summarize(false, exchanges("[]").into_iter().chain([put("monday/report.jsonl")])).await;
    assert_eq!(output.unwrap()["isWhole"], false);
}

#[tokio::test]
async fn a_result_that_cannot_be_read_is_an_error() {
    for (status, error) in [(403, "AccessDenied"), (503, "Transient")] {
        let body = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>".replace(
            "AccessDenied",
            match status {
                403 => "AccessDenied",
                _ => "SlowDown",
            },
        );
        let denied = call("GET /reports/monday/found/manifest.json", status, body);
        assert_eq!(summarize(false, [denied]).await.0.unwrap_err().name(), error);
    }
}
