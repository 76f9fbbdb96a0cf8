//! Taking away what carries our tags, and nothing else.

use crate::{
    replies::{Role, attached, done, iam_error, rest_error, scraper, scraper_of_this_execution, scrapers},
    script::{CLUSTER, EXECUTION, SCRAPER, Script, Turn, WORKSPACE, call, task},
};
use ampxa::{
    error::Error,
    offboarding,
    roles::{self, Outcome},
    scraper,
};
use serde_json::{Value, json};

fn listed(all: &[Value]) -> Turn {
    call("GET /scrapers", 200, scrapers(all))
        .saying(format!("sourceArn={CLUSTER}"))
        .saying(format!("destinationArn={WORKSPACE}"))
}

fn deleted(status: u16, answer: String) -> Turn {
    call("DELETE /scrapers/s-1", status, answer)
}

fn deleting() -> Turn {
    deleted(
        202,
        json!({ "scraperId": "s-1", "status": { "statusCode": "DELETING" } }).to_string(),
    )
}

async fn remove_scraper(turns: impl IntoIterator<Item = Turn>, known: Value) -> Result<scraper::RemoveOutput, Error> {
    let script = Script::new(turns);
    let removed = scraper::remove(&script.account().amp(), &task(json!({}), known)).await;
    script.is_over();
    removed
}

fn left(arns: &[&str]) -> scraper::RemoveOutput {
    scraper::RemoveOutput {
        deleted: arns.is_empty(),
        scraper_arns: arns.iter().map(ToString::to_string).collect(),
    }
}

#[tokio::test]
async fn no_scraper_is_a_scraper_that_is_gone() {
    assert_eq!(remove_scraper([listed(&[])], json!({})).await, Ok(left(&[])));
}

#[tokio::test]
async fn a_scraper_at_rest_is_deleted_and_one_that_changes_is_waited_for() {
    for status in ["ACTIVE", "CREATION_FAILED", "UPDATE_FAILED", "DELETION_FAILED"] {
        let turns = [listed(&[scraper(status, true)]), deleting()];
        assert_eq!(remove_scraper(turns, json!({})).await, Ok(left(&[SCRAPER])), "{status}");
    }
    for status in ["CREATING", "UPDATING", "DELETING"] {
        let turns = [listed(&[scraper(status, true)])];
        assert_eq!(remove_scraper(turns, json!({})).await, Ok(left(&[SCRAPER])), "{status}");
    }
}

#[tokio::test]
async fn a_scraper_that_changed_or_went_meanwhile_is_looked_at_again() {
    for (status, code) in [(409, "ConflictException"), (404, "ResourceNotFoundException")] {
        let turns = [
            listed(&[scraper("ACTIVE", true)]),
            deleted(status, rest_error(code, "no")),
        ];
        assert_eq!(remove_scraper(turns, json!({})).await, Ok(left(&[SCRAPER])));
    }
    let denied = deleted(403, rest_error("AccessDeniedException", "no"));
    let why = remove_scraper([listed(&[scraper("ACTIVE", true)]), denied], json!({}))
        .await
        .unwrap_err();
    assert_eq!(why.name(), "AccessDenied");
}

#[tokio::test]
async fn a_scraper_that_is_not_ours_not_named_or_not_made_by_the_execution_stays() {
    let mut half = scraper("ACTIVE", true);
    half["tags"].as_object_mut().unwrap().remove("ampxa:workspace");
    for (shown, known) in [
        (scraper("ACTIVE", false), json!({})),
        (half, json!({})),
        (scraper("ACTIVE", true), json!({ "createdBy": EXECUTION })),
        (
            scraper("ACTIVE", true),
            json!({ "scraperArns": [SCRAPER.replace("s-1", "s-2")] }),
        ),
        (scraper("ACTIVE", true), json!({ "scraperArns": [] })),
    ] {
        assert_eq!(remove_scraper([listed(&[shown])], known).await, Ok(left(&[])));
    }
    for known in [
        json!({ "createdBy": EXECUTION }),
        json!({ "scraperArns": [SCRAPER], "createdBy": null }),
    ] {
        let turns = [listed(&[scraper_of_this_execution("ACTIVE")]), deleting()];
        assert_eq!(remove_scraper(turns, known).await, Ok(left(&[SCRAPER])));
    }
}

fn role() -> Role {
    Role::ours(json!({}), "arn:aws:iam::222222222222:policy/boundary")
}

fn shown(role: &Role) -> Turn {
    call("GetRole", 200, role.shown("GetRole")).saying("RoleName=r")
}

fn inline(names: &[&str]) -> String {
    let members: String = names.iter().map(|name| format!("<member>{name}</member>")).collect();
    format!(
        "<ListRolePoliciesResponse><ListRolePoliciesResult><IsTruncated>false</IsTruncated><PolicyNames>{members}\
         </PolicyNames></ListRolePoliciesResult></ListRolePoliciesResponse>"
    )
}

async fn remove_role(turns: impl IntoIterator<Item = Turn>, known: Value) -> Result<Outcome, Error> {
    let script = Script::new(turns);
    let task = task(json!({}), known);
    let removed = roles::remove(&script.account().iam(), "arn:r".to_owned(), "r", &task).await;
    script.is_over();
    removed.map(|removed| {
        assert_eq!(removed.role_arn, "arn:r");
        removed.outcome
    })
}

#[tokio::test]
async fn a_role_goes_with_all_its_policies_the_one_that_allows_first() {
    let turns = [
        shown(&role()),
        call(
            "ListAttachedRolePolicies",
            200,
            attached(&["arn:aws:iam::aws:policy/A", "arn:aws:iam::aws:policy/B"]),
        ),
        call("DetachRolePolicy", 200, done("DetachRolePolicy")).saying("policy/A"),
        call("DetachRolePolicy", 200, done("DetachRolePolicy")).saying("policy/B"),
        call("ListRolePolicies", 200, inline(&["ampxa", "theirs"])),
        call("DeleteRolePolicy", 200, done("DeleteRolePolicy")).saying("PolicyName=ampxa"),
        call("DeleteRolePolicy", 200, done("DeleteRolePolicy")).saying("PolicyName=theirs"),
        call("DeleteRole", 200, done("DeleteRole")).saying("RoleName=r"),
    ];
    assert_eq!(remove_role(turns, json!({})).await, Ok(Outcome::Removed));
}

#[tokio::test]
async fn a_role_that_is_gone_or_goes_meanwhile_is_gone() {
    let gone = |action: &str| call(action, 404, iam_error("NoSuchEntity", "no"));
    assert_eq!(remove_role([gone("GetRole")], json!({})).await, Ok(Outcome::NotFound));
    let turns = [
        shown(&role()),
        gone("ListAttachedRolePolicies"),
        gone("ListRolePolicies"),
        gone("DeleteRole"),
    ];
    assert_eq!(remove_role(turns, json!({})).await, Ok(Outcome::Removed));
    // What is gone carries no tag, by which alone it may be removed.
    let turns = [
        shown(&role()),
        call("ListAttachedRolePolicies", 200, attached(&[])),
        call("ListRolePolicies", 200, inline(&[])),
        call("DeleteRole", 403, iam_error("AccessDenied", "no")),
        gone("GetRole"),
    ];
    assert_eq!(remove_role(turns, json!({})).await, Ok(Outcome::Removed));
}

#[tokio::test]
async fn a_role_of_somebody_elses_or_of_another_execution_stays() {
    let mut half = role();
    half.tags.retain(|(key, _)| key != "ampxa:cluster");
    let mut other = role();
    other.tags[1].1 = "arn:aws:aps:us-west-2:333333333333:workspace/ws-2".to_owned();
    for theirs in [half, other] {
        for known in [json!({}), json!({ "createdBy": "somebody" })] {
            assert_eq!(remove_role([shown(&theirs)], known).await, Ok(Outcome::NotOwned));
        }
    }
    let known = json!({ "createdBy": EXECUTION });
    assert_eq!(remove_role([shown(&role())], known).await, Ok(Outcome::CreatedByOther));
}

#[tokio::test]
async fn what_iam_refuses_is_told() {
    let denied = |action: &str| call(action, 403, iam_error("AccessDenied", "no"));
    let until = |n: usize| {
        let all = [
            shown(&role()),
            call(
                "ListAttachedRolePolicies",
                200,
                attached(&["arn:aws:iam::aws:policy/A"]),
            ),
            call("DetachRolePolicy", 200, done("DetachRolePolicy")),
            call("ListRolePolicies", 200, inline(&["ampxa"])),
            call("DeleteRolePolicy", 200, done("DeleteRolePolicy")),
        ];
        all.into_iter().take(n)
    };
    for (n, action) in [
        "GetRole",
        "ListAttachedRolePolicies",
        "DetachRolePolicy",
        "ListRolePolicies",
        "DeleteRolePolicy",
        "DeleteRole",
    ]
    .into_iter()
    .enumerate()
    {
        // The role is still there, so it is a refusal.
        let look = (n > 0).then(|| shown(&role()));
        let why = remove_role(until(n).chain([denied(action)]).chain(look), json!({}))
            .await
            .unwrap_err();
        assert_eq!(why.name(), "AccessDenied");
        assert!(why.to_string().starts_with(&format!("iam:{action} answered ")), "{why}");
    }
}

async fn pairs(turns: impl IntoIterator<Item = Turn>, workspace: Option<&str>) -> Vec<String> {
    let script = Script::new(turns);
    let account = script.account();
    let input = json!({ "request": { "clusterArn": CLUSTER, "workspaceArn": workspace } });
    let request = offboarding::Request::try_from(input).unwrap();
    let found = offboarding::find_pairs(&account.amp(), &account.iam(), &request)
        .await
        .unwrap();
    script.is_over();
    let workspaces = found.pairs.iter().map(|pair| {
        assert_eq!(pair.cluster_arn.to_string(), CLUSTER);
        pair.workspace_arn.as_ref().unwrap().id().to_owned()
    });
    workspaces.collect()
}

/// A page of roles, and the marker of the next one, if there is one.
fn role_names(names: &[&str], next: Option<&str>) -> String {
    let members: String = names
        .iter()
        .map(|name| {
            format!(
                "<member><Path>/</Path><RoleName>{name}</RoleName><RoleId>AROA</RoleId><Arn>arn:aws:iam::222222222222:role/{name}\
                 </Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></member>"
            )
        })
        .collect();
    let more = next.map_or("<IsTruncated>false</IsTruncated>".to_owned(), |marker| {
        format!("<IsTruncated>true</IsTruncated><Marker>{marker}</Marker>")
    });
    format!("<ListRolesResponse><ListRolesResult>{more}<Roles>{members}</Roles></ListRolesResult></ListRolesResponse>")
}

#[tokio::test]
async fn a_pair_that_is_named_is_not_looked_for() {
    assert_eq!(pairs([], Some(WORKSPACE)).await, ["ws-1"]);
}

#[tokio::test]
async fn the_pairs_of_a_cluster_are_found_by_their_scrapers_and_by_their_source_roles() {
    let workspace = |id: &str| WORKSPACE.replace("ws-1", id);
    let role_name = |id: &str| {
        let pair = ampxa::pair::Pair {
            cluster: CLUSTER.parse().unwrap(),
            workspace: workspace(id).parse().unwrap(),
        };
        pair.source_role_name()
    };
    let mut second = scraper("DELETING", true);
    second["tags"]["ampxa:workspace"] = json!(workspace("ws-2"));
    let source = call(
        "GET /scrapers",
        200,
        scrapers(&[scraper("ACTIVE", true), second, scraper("ACTIVE", false)]),
    )
    .saying(format!("sourceArn={CLUSTER}"));
    let (first, third) = (role_name("ws-1"), role_name("ws-3"));
    let names = [
        "ampxa-source-provisioner",
        "ampxa-source-demo2-00000000",
        &first,
        &third,
        "ampxa-source-demo-theirs",
    ];
    let shown = |name: &str, id: &str| {
        let mut role = role();
        role.tags[1].1 = workspace(id);
        let xml = role
            .shown("GetRole")
            .replace("<RoleName>name<", &format!("<RoleName>{name}<"));
        call("GetRole", 200, xml).saying(format!("RoleName={name}"))
    };
    let turns = [
        source,
        call("ListRoles", 200, role_names(&names[..3], Some("page-2"))),
        shown(&first, "ws-1"),
        call("ListRoles", 200, role_names(&names[3..], None)).saying("Marker=page-2"),
        shown(&third, "ws-3"),
        // Our tags on a role that has not the name that follows from them: not ours.
        shown("ampxa-source-demo-theirs", "ws-4"),
    ];
    let mut found = pairs(turns, None).await;
    found.sort();
    assert_eq!(found, ["ws-1", "ws-2", "ws-3"]);
}
