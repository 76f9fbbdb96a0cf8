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
        self, Batch, Defaults, Output, Request,
        clusters::{self, Location},
        orphans, route,
    },
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
) -> Result<Output, Error> {
    let script = Script::new(exchanges);
    let hub = script.account();
    let defaults = Defaults {
        accounts: accounts.to_owned(),
        regions: "us-west-2,eu-west-1".to_owned(),
    };
    let request = Request::try_from(json!({ "request": request })).unwrap();
    let target = async |workspace: &WorkspaceArn| target_of(&script, workspace);
    let output = reconcile::check(&hub.ssm(), &hub.organizations(), target, settings, &defaults, request).await;
    script.assert_finished();
    output
}

/// A batch of one account without pairs.
fn batch(account: &str) -> Batch {
    Batch {
        accounts: vec![account.parse().unwrap()],
        ..Batch::default()
    }
}

/// A batch of one account that has pairs.
fn batch_with_pairs(account: &str) -> Batch {
    Batch {
        accounts_with_pairs: vec![account.parse().unwrap()],
        ..Batch::default()
    }
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
    let output = check(request, "", &without_organizations(), exchanges).await.unwrap();
    let expected = [
        batch_with_pairs("222222222222"),
        batch("444444444444"),
        batch_with_pairs("555555555555"),
    ];
    assert_eq!(output.batches, expected);
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
        let output = json!(check(request, "", &without_organizations(), exchanges).await.unwrap());
        let role = json!({ "outcome": "OWNERLESS", "roleArn": format!("arn:aws:iam::333333333333:role/{name}") });
        let expected = if ownerless { json!([role]) } else { json!([]) };
        assert_eq!(output["outcomes"], expected, "{trust}");
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
    let output = json!(find_in(true, &settings(), exchanges).await.unwrap());
    let expected = json!([{ "roleArn": format!("arn:aws:iam::222222222222:role/{other}") }]);
    assert_eq!(output["summary"]["ownerlessRoles"], expected);
    assert_eq!(output["summary"]["counts"], json!({ "OWNERLESS": 1 }));
    let output = find(&settings(), [listed(&[], None), listed_scrapers(&[])])
        .await
        .unwrap();
    assert!(output.summary.counts.is_empty());
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
    let output = json!(find(&settings(), exchanges).await.unwrap());
    let expected = json!([
        { "name": "demo", "routedWorkspaces": [WORKSPACE, WORKSPACE.replace("ws-1", "ws-4")] },
        { "name": "other" },
    ]);
    assert_eq!(output["groups"], json!([{ "clusters": expected, "orphans": [] }]));
    assert_eq!(output["clusterArnPrefix"], CLUSTER.trim_end_matches("demo"));
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
        let output = check(request(), "", &without_organizations(), exchanges).await.unwrap();
        assert_eq!(output.batches, [batch_with_pairs("222222222222")]);
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
    let output = check(request, "555555555555", &without_organizations(), [no_table()]).await;
    let expected = Output {
        batches: vec![batch("222222222222"), batch("444444444444")],
        regions: vec!["us-east-1".parse().unwrap()],
        provisioner_timeout_minutes: 60,
        workspace: Some("ws-1".to_owned()),
        remove_unrouted: false,
        outcomes: Vec::new(),
        max_listed: 40,
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

/// Finds the clusters of a location that is not the first one of its account.
async fn find(settings: &Settings, exchanges: impl IntoIterator<Item = Exchange>) -> Result<clusters::Output, Error> {
    find_in(false, settings, exchanges).await
}

async fn find_in(
    first: bool,
    settings: &Settings,
    exchanges: impl IntoIterator<Item = Exchange>,
) -> Result<clusters::Output, Error> {
    find_after("", first, settings, exchanges).await
}

/// Finds the clusters after a name.
async fn find_after(
    after: &str,
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
        after: after.to_owned(),
        max_listed: 40,
    };
    let target = async |workspace: &WorkspaceArn| target_of(&script, workspace);
    let output = clusters::find(&hub, Ok(source), target, (settings, IN_ORGANIZATION), &location).await;
    script.assert_finished();
    output
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
    assert_eq!(names(&output), [["b", "c", "demo"]]);
    assert!(output.reachable && output.groups[0].orphans.is_empty() && output.organizational_units.is_empty());
    assert_eq!(output.next, "");
}

/// The names of the clusters of each group.
fn names(output: &clusters::Output) -> Vec<Vec<&str>> {
    let groups = output.groups.iter();
    groups
        .map(|group| group.clusters.iter().map(|found| found.name.as_str()).collect())
        .collect()
}

#[tokio::test]
async fn a_location_with_thousands_of_clusters_has_groups_of_at_most_100_and_inventories_that_fit_the_payload() {
    // Names of the maximum length, listed in no order.
    let all: Vec<String> = (0..2_500)
        .map(|i| format!("c{:04}-{}", i * 7919 % 2_500, "x".repeat(94)))
        .collect();
    let listed_names: Vec<&str> = all.iter().map(String::as_str).collect();
    let (mut after, mut found, mut inventories) = (String::new(), Vec::new(), 0);
    loop {
        // Roles and the workspaces of pairs are read for the first inventory only.
        let roles = (after.is_empty()).then(|| listed_with_trust(&[], None).in_account("source"));
        let exchanges = [listed(&listed_names, None), listed_scrapers(&[])]
            .into_iter()
            .chain(roles)
            .chain([no_table()]);
        let output = find_after(&after, true, &settings(), exchanges).await.unwrap();
        for group in names(&output) {
            assert!((1..=clusters::MAX_GROUP).contains(&group.len()));
            found.extend(group.into_iter().map(str::to_owned));
        }
        assert!(json!(output).to_string().len() < clusters::MAX_INVENTORY + 16 * 1024);
        inventories += 1;
        if output.next.is_empty() {
            break;
        }
        assert_eq!(found.last(), Some(&output.next));
        after = output.next;
    }
    let mut sorted = all.clone();
    sorted.sort();
    assert_eq!(found, sorted);
    assert_eq!(inventories, 4);
}

#[tokio::test]
async fn each_workspace_and_orphan_counts_towards_the_size_of_a_group() {
    let mut scrapers = Vec::new();
    for number in 0..90 {
        let mut one = scraper_of("demo", &format!("s-a{number}"), None);
        one["tags"]["ampxa:workspace"] = json!(WORKSPACE.replace("ws-1", &format!("ws-{number}")));
        one["tags"]["ampxa:origin"] = json!("route");
        scrapers.push(one);
    }
    scrapers.extend((0..20).map(|number| scraper_of(&format!("gone-{number:02}"), &format!("s-b{number}"), None)));
    // The consent of the others is not read.
    let workspaces = (0..50).map(|number| described_workspace(&format!("ws-{number}"), Some("organization")));
    let exchanges = [listed(&["demo"], None), listed_scrapers(&scrapers)];
    let exchanges = exchanges.into_iter().chain(workspaces).chain([no_table()]);
    let output = find(&settings(), exchanges).await.unwrap();
    let sizes: Vec<(usize, usize)> = output
        .groups
        .iter()
        .map(|group| (group.clusters.len(), group.orphans.len()))
        .collect();
    assert_eq!(sizes, [(1, 9), (0, 11)]);
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
    let location = json!({
        "account": "222222222222", "region": "us-west-2", "first": true, "after": "", "maxListed": 40,
    });
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
        json!(output.groups[0].orphans),
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
    let output = json!(find(&settings(), exchanges).await.unwrap());
    let refused = |name: &str, workspace: &str, reason: &str| {
        json!({
            "clusterArn": CLUSTER.replace("demo", name), "workspaceArn": workspace,
            "reason": reason,
        })
    };
    let expected = json!([
        refused("no-tag", &ws("ws-2"), "it has no tag ampxa:accept"),
        refused("no-tag-either", &ws("ws-2"), "it has no tag ampxa:accept"),
        refused("other", &ws("ws-4"), "its tag ampxa:accept does not name the account"),
        refused("deleted", &ws("ws-6"), "the workspace does not exist"),
        refused("departed", &departed, "no reader in 444444444444"),
    ]);
    assert_eq!(output["summary"]["notAccepted"], expected);
    let counts = json!({ "NOT_ACCEPTED": 4, "CONSENT_UNKNOWN": 1 });
    assert_eq!(output["summary"]["counts"], counts);
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
    let output = json!(find(&settings(), exchanges).await.unwrap());
    let listed = &output["summary"]["notAccepted"];
    assert_eq!(output["summary"]["counts"], json!({ "CONSENT_UNKNOWN": 2 }), "{output}");
    assert!(
        listed[0]["reason"].as_str().unwrap().contains("ThrottlingException"),
        "{listed}"
    );
    assert!(
        listed[1]["reason"].as_str().unwrap().contains("another Region"),
        "{listed}"
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
