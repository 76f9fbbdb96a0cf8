//! Removal of scrapers and roles: only resources with our tags are deleted.

use crate::{
    replies::{Role, attached, cluster, done, iam_error, rest_error, scraper, scraper_of_this_execution, scrapers},
    script::{CLUSTER, EXECUTION, Exchange, SCRAPER, Script, WORKSPACE, call, task},
};
use ampxa::{
    arn::WorkspaceArn,
    aws::Unreachable,
    error::Error,
    offboarding, plan,
    roles::{self, Outcome, RemoveInput as RoleInput, Side},
    scraper,
    task::Task,
};
use serde_json::{Value, json};

fn listed(all: &[Value]) -> Exchange {
    call("GET /scrapers", 200, scrapers(all))
        .with_text(format!("sourceArn={CLUSTER}"))
        .with_text(format!("destinationArn={WORKSPACE}"))
}

fn delete_scraper(status: u16, response: String) -> Exchange {
    call("DELETE /scrapers/s-1", status, response)
}

fn deleting() -> Exchange {
    delete_scraper(
        202,
        json!({ "scraperId": "s-1", "status": { "statusCode": "DELETING" } }).to_string(),
    )
}

async fn remove_scraper(
    exchanges: impl IntoIterator<Item = Exchange>,
    input: Value,
) -> Result<scraper::RemoveOutput, Error> {
    let script = Script::new(exchanges);
    let removed = scraper::remove(&script.account().amp(), &task(json!({}), input)).await;
    script.assert_finished();
    removed
}

/// The output while these scrapers still exist.
fn remaining(arns: &[&str]) -> scraper::RemoveOutput {
    scraper::RemoveOutput {
        roles_in_use_by: None,
        deleted: arns.is_empty(),
        scraper_arns: arns.iter().map(ToString::to_string).collect(),
        unreachable: None,
    }
}

#[tokio::test]
async fn a_missing_scraper_counts_as_deleted() {
    assert_eq!(remove_scraper([listed(&[])], json!({})).await, Ok(remaining(&[])));
}

#[tokio::test]
async fn a_stable_scraper_is_deleted_and_a_changing_one_is_waited_for() {
    for status in ["ACTIVE", "CREATION_FAILED", "UPDATE_FAILED", "DELETION_FAILED"] {
        let exchanges = [listed(&[scraper(status, true)]), deleting()];
        assert_eq!(
            remove_scraper(exchanges, json!({})).await,
            Ok(remaining(&[SCRAPER])),
            "{status}"
        );
    }
    for status in ["CREATING", "UPDATING", "DELETING"] {
        let exchanges = [listed(&[scraper(status, true)])];
        assert_eq!(
            remove_scraper(exchanges, json!({})).await,
            Ok(remaining(&[SCRAPER])),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_scraper_that_changed_or_was_deleted_in_the_meantime_is_polled_again() {
    for (status, code) in [(409, "ConflictException"), (404, "ResourceNotFoundException")] {
        let exchanges = [
            listed(&[scraper("ACTIVE", true)]),
            delete_scraper(status, rest_error(code, "no")),
        ];
        assert_eq!(remove_scraper(exchanges, json!({})).await, Ok(remaining(&[SCRAPER])));
    }
    let denied = delete_scraper(403, rest_error("AccessDeniedException", "no"));
    let error = remove_scraper([listed(&[scraper("ACTIVE", true)]), denied], json!({}))
        .await
        .unwrap_err();
    assert_eq!(error.name(), "AccessDenied");
}

#[tokio::test]
async fn a_scraper_without_our_tags_or_outside_the_input_is_kept() {
    let mut one_tag = scraper("ACTIVE", true);
    one_tag["tags"].as_object_mut().unwrap().remove("ampxa:workspace");
    for (listed_scraper, input) in [
        (scraper("ACTIVE", false), json!({})),
        (one_tag, json!({})),
        (scraper("ACTIVE", true), json!({ "createdBy": EXECUTION })),
        (
            scraper("ACTIVE", true),
            json!({ "scraperArns": [SCRAPER.replace("s-1", "s-2")] }),
        ),
        (scraper("ACTIVE", true), json!({ "scraperArns": [] })),
    ] {
        assert_eq!(
            remove_scraper([listed(&[listed_scraper])], input).await,
            Ok(remaining(&[]))
        );
    }
    for input in [
        json!({ "createdBy": EXECUTION }),
        json!({ "scraperArns": [SCRAPER], "createdBy": null }),
    ] {
        let exchanges = [listed(&[scraper_of_this_execution("ACTIVE")]), deleting()];
        assert_eq!(remove_scraper(exchanges, input).await, Ok(remaining(&[SCRAPER])));
    }
}

fn role() -> Role {
    Role::ours(json!({}), "arn:aws:iam::222222222222:policy/ampxa-source-boundary")
}

fn get_role(role: &Role) -> Exchange {
    call("GetRole", 200, role.response("GetRole")).with_text("RoleName=ampxa-source-demo-")
}

fn inline_policies(names: &[&str]) -> String {
    let members: String = names.iter().map(|name| format!("<member>{name}</member>")).collect();
    format!(
        "<ListRolePoliciesResponse><ListRolePoliciesResult><IsTruncated>false</IsTruncated><PolicyNames>{members}\
         </PolicyNames></ListRolePoliciesResult></ListRolePoliciesResponse>"
    )
}

async fn remove_role(exchanges: impl IntoIterator<Item = Exchange>, input: Value) -> Result<Outcome, Error> {
    let script = Script::new(exchanges);
    let task = task(json!({}), input);
    let removed = roles::remove(&script.account().iam(), Side::Source, &task).await;
    script.assert_finished();
    removed.map(|removed| {
        assert_eq!(removed.role_arn, task.pair.source_role_arn());
        removed.outcome
    })
}

#[tokio::test]
async fn managed_policies_are_detached_before_inline_policies_and_the_role_are_deleted() {
    let exchanges = [
        get_role(&role()),
        call(
            "ListAttachedRolePolicies",
            200,
            attached(&["arn:aws:iam::aws:policy/A", "arn:aws:iam::aws:policy/B"]),
        ),
        call("DetachRolePolicy", 200, done("DetachRolePolicy")).with_text("policy/A"),
        call("DetachRolePolicy", 200, done("DetachRolePolicy")).with_text("policy/B"),
        call("ListRolePolicies", 200, inline_policies(&["ampxa", "other"])),
        call("DeleteRolePolicy", 200, done("DeleteRolePolicy")).with_text("PolicyName=ampxa"),
        call("DeleteRolePolicy", 200, done("DeleteRolePolicy")).with_text("PolicyName=other"),
        call("DeleteRole", 200, done("DeleteRole")).with_text("RoleName=ampxa-source-demo-"),
    ];
    assert_eq!(remove_role(exchanges, json!({})).await, Ok(Outcome::Removed));
}

#[tokio::test]
async fn the_permissions_boundary_is_repaired_before_the_role_is_deleted() {
    let put = "PutRolePermissionsBoundary";
    for boundary in [None, Some("arn:aws:iam::aws:policy/AdministratorAccess".to_owned())] {
        let mut unbounded = role();
        unbounded.boundary = boundary;
        let exchanges = [
            get_role(&unbounded),
            call(put, 200, done(put)).with_text("policy/ampxa-source-boundary"),
            call("ListAttachedRolePolicies", 200, attached(&[])),
            call("ListRolePolicies", 200, inline_policies(&[])),
            call("DeleteRole", 200, done("DeleteRole")),
        ];
        assert_eq!(remove_role(exchanges, json!({})).await, Ok(Outcome::Removed));
    }
}

#[tokio::test]
async fn a_role_that_is_missing_or_deleted_in_the_meantime_is_no_error() {
    let missing = |action: &str| call(action, 404, iam_error("NoSuchEntity", "no"));
    assert_eq!(
        remove_role([missing("GetRole")], json!({})).await,
        Ok(Outcome::NotFound)
    );
    let exchanges = [
        get_role(&role()),
        missing("ListAttachedRolePolicies"),
        missing("ListRolePolicies"),
        missing("DeleteRole"),
    ];
    assert_eq!(remove_role(exchanges, json!({})).await, Ok(Outcome::Removed));
    // A deleted role has no tags, so the tag condition of the policy denies a second deletion.
    let exchanges = [
        get_role(&role()),
        call("ListAttachedRolePolicies", 200, attached(&[])),
        call("ListRolePolicies", 200, inline_policies(&[])),
        call("DeleteRole", 403, iam_error("AccessDenied", "no")),
        missing("GetRole"),
    ];
    assert_eq!(remove_role(exchanges, json!({})).await, Ok(Outcome::Removed));
}

#[tokio::test]
async fn a_role_without_our_tags_or_of_another_execution_is_kept() {
    let mut one_tag = role();
    one_tag.tags.retain(|(key, _)| key != "ampxa:cluster");
    let mut other_pair = role();
    other_pair.tags[1].1 = "arn:aws:aps:us-west-2:333333333333:workspace/ws-2".to_owned();
    for foreign in [one_tag, other_pair] {
        for input in [json!({}), json!({ "createdBy": "another execution" })] {
            assert_eq!(remove_role([get_role(&foreign)], input).await, Ok(Outcome::NotOwned));
        }
    }
    let input = json!({ "createdBy": EXECUTION });
    assert_eq!(
        remove_role([get_role(&role())], input).await,
        Ok(Outcome::CreatedByOther)
    );
}

#[tokio::test]
async fn an_error_of_iam_is_returned() {
    let denied = |action: &str| call(action, 403, iam_error("AccessDenied", "no"));
    let first = |n: usize| {
        let all = [
            get_role(&role()),
            call(
                "ListAttachedRolePolicies",
                200,
                attached(&["arn:aws:iam::aws:policy/A"]),
            ),
            call("DetachRolePolicy", 200, done("DetachRolePolicy")),
            call("ListRolePolicies", 200, inline_policies(&["ampxa"])),
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
        // The role still exists, so the denial is an error.
        let read_again = (n > 0).then(|| get_role(&role()));
        let error = remove_role(first(n).chain([denied(action)]).chain(read_again), json!({}))
            .await
            .unwrap_err();
        assert_eq!(error.name(), "AccessDenied");
        assert!(
            error.to_string().starts_with(&format!("iam:{action} failed with ")),
            "{error}"
        );
    }
}

async fn find_pairs(
    exchanges: impl IntoIterator<Item = Exchange>,
    request: Value,
) -> Result<offboarding::Pairs, Error> {
    let script = Script::new(exchanges);
    let account = script.account();
    let request = offboarding::Request::try_from(json!({ "request": request })).unwrap();
    let output = offboarding::find_pairs(async || Ok(account.clone()), &request).await;
    script.assert_finished();
    output
}

async fn pairs(exchanges: impl IntoIterator<Item = Exchange>, workspace: Option<&str>) -> Vec<String> {
    let request = json!({ "clusterArn": CLUSTER, "workspaceArn": workspace });
    let output = find_pairs(exchanges, request).await.unwrap();
    assert_eq!(output.skip_reason, None);
    let workspaces = output.pairs.iter().map(|pair| {
        assert_eq!(pair.cluster_arn.to_string(), CLUSTER);
        pair.workspace_arn.as_ref().unwrap().id().to_owned()
    });
    workspaces.collect()
}

/// A page of ListRoles, with the marker of the next page.
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
async fn the_pair_of_the_request_needs_no_search() {
    assert_eq!(pairs([], Some(WORKSPACE)).await, ["ws-1"]);
}

fn describe_cluster(status: u16, response: String) -> Exchange {
    call("GET /clusters/demo", status, response)
}

#[tokio::test]
async fn an_event_about_a_cluster_that_exists_and_is_not_being_deleted_finds_no_pairs() {
    for request in [
        json!({ "clusterArn": CLUSTER, "origin": "EVENT" }),
        json!({ "clusterArn": CLUSTER, "workspaceArn": WORKSPACE, "origin": "EVENT" }),
    ] {
        for status in ["CREATING", "ACTIVE", "UPDATING", "FAILED", "PENDING"] {
            let exists = describe_cluster(200, cluster(status, true, "API"));
            let output = find_pairs([exists], request.clone()).await.unwrap();
            assert_eq!(output.pairs, []);
            let reason = output.skip_reason.unwrap();
            assert!(reason.contains(CLUSTER) && reason.contains(status), "{reason}");
        }
    }
}

#[tokio::test]
async fn an_event_about_a_cluster_that_is_missing_or_being_deleted_finds_its_pairs() {
    let request = json!({ "clusterArn": CLUSTER, "workspaceArn": WORKSPACE, "origin": "EVENT" });
    for gone in [
        describe_cluster(404, rest_error("ResourceNotFoundException", "no")),
        describe_cluster(200, cluster("DELETING", true, "API")),
    ] {
        let output = json!(find_pairs([gone], request.clone()).await.unwrap());
        // The steps that remove the pair parse this request, without the field "origin".
        let pair = json!({ "clusterArn": CLUSTER, "workspaceArn": WORKSPACE });
        assert_eq!(output, json!({ "pairs": [pair], "skipReason": null }));
    }
    let denied = describe_cluster(403, rest_error("AccessDeniedException", "no"));
    assert_eq!(find_pairs([denied], request).await.unwrap_err().name(), "AccessDenied");
}

#[tokio::test]
async fn the_pairs_of_a_cluster_are_found_by_scrapers_and_source_roles() {
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
    .with_text(format!("sourceArn={CLUSTER}"));
    let (first, third) = (role_name("ws-1"), role_name("ws-3"));
    let names = [
        "ampxa-provisioner-source",
        "ampxa-source-demo2-00000000",
        &first,
        &third,
        "ampxa-source-demo-other",
    ];
    let get_role = |name: &str, id: &str| {
        let mut role = role();
        role.tags[1].1 = workspace(id);
        let xml = role
            .response("GetRole")
            .replace("<RoleName>name<", &format!("<RoleName>{name}<"));
        call("GetRole", 200, xml).with_text(format!("RoleName={name}"))
    };
    let exchanges = [
        source,
        call("ListRoles", 200, role_names(&names[..3], Some("page-2"))),
        get_role(&first, "ws-1"),
        call("ListRoles", 200, role_names(&names[3..], None)).with_text("Marker=page-2"),
        get_role(&third, "ws-3"),
        // A role with our tags, but not with the name that follows from them, is not ours.
        get_role("ampxa-source-demo-other", "ws-4"),
    ];
    let mut found = pairs(exchanges, None).await;
    found.sort();
    assert_eq!(found, ["ws-1", "ws-2", "ws-3"]);
}

#[tokio::test]
async fn an_unreachable_account_is_an_output_only_on_request() {
    let unreachable = || Err(Unreachable("cannot be assumed".to_owned()));
    let why = Some("cannot be assumed".to_owned());
    let of_scraper = async |leave: bool| {
        let task = task(json!({}), json!({ "leaveUnreachable": leave }));
        scraper::remove_in(unreachable(), &task).await
    };
    let of_role = async |leave: bool| {
        let task = task(json!({}), json!({ "leaveUnreachable": leave }));
        roles::remove_in(unreachable(), Side::Target, &task).await
    };
    let left = of_scraper(true).await.unwrap();
    assert_eq!(
        (left.deleted, left.scraper_arns, left.unreachable),
        (false, vec![], why.clone())
    );
    let left = of_role(true).await.unwrap();
    assert_eq!((left.outcome, left.unreachable), (Outcome::Unreachable, why));
    assert!(
        left.role_arn
            .starts_with("arn:aws:iam::333333333333:role/ampxa-target-demo-")
    );
    let denied = Error::AccessDenied("cannot be assumed".to_owned());
    assert_eq!(of_scraper(false).await, Err(denied.clone()));
    assert_eq!(of_role(false).await, Err(denied));
}

/// A disabled Region and an expired token have the HTTP status 403 too.
#[tokio::test]
async fn only_a_denial_of_sts_makes_an_account_unreachable() {
    let task: Task<RoleInput> = task(json!({}), json!({}));
    for (status, code, is_unreachable) in [
        (403, "AccessDenied", true),
        (403, "RegionDisabledException", false),
        (403, "ExpiredTokenException", false),
        (400, "Throttling", false),
        (500, "InternalFailure", false),
    ] {
        let script = Script::new([call("AssumeRole", status, iam_error(code, "no"))]);
        let reached = script
            .aws("us-west-2")
            .writing()
            .target_if_reachable(&task.pair.workspace)
            .await;
        assert_eq!(matches!(reached, Ok(Err(_))), is_unreachable, "{code}");
        assert!(!matches!(reached, Ok(Ok(_))), "{code}");
    }
}

#[tokio::test]
async fn the_pair_of_a_request_is_known_without_the_source_account() {
    let denied = async || Err(Error::AccessDenied("cannot be assumed.".to_owned()));
    let both = json!({ "request": { "clusterArn": CLUSTER, "workspaceArn": WORKSPACE } });
    let found = offboarding::find_pairs(denied, &both.try_into().unwrap())
        .await
        .unwrap();
    assert_eq!(found.pairs.len(), 1);
    let cluster = json!({ "request": { "clusterArn": CLUSTER } });
    let error = offboarding::find_pairs(denied, &cluster.try_into().unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.name(), "AccessDenied");
    assert!(
        error.to_string().contains("add the workspace to the request"),
        "{error}"
    );
}

/// Whether a step gets access to an account.
type Access = Result<Result<(), Unreachable>, Error>;

/// The plan of a removal of pairs whose accounts are accessed as given. A request that names its pair has only one.
async fn plan_removal(
    exchanges: impl IntoIterator<Item = Exchange>,
    source: Access,
    targets: &[(&str, Access)],
) -> plan::Output {
    let script = Script::new(exchanges);
    let access = |account: &Access| {
        let reached = account.clone()?;
        Ok(reached.map(|()| script.account()))
    };
    let workspaces = targets.iter().map(|(id, _)| WORKSPACE.replace("ws-1", id));
    let input = json!({
        "clusterArn": CLUSTER, "workspaceArns": workspaces.collect::<Vec<_>>(), "leaveUnreachable": targets.len() == 1,
        "execution": EXECUTION,
    });
    let input = plan::RemovalInput::try_from(input).unwrap();
    let target = async |workspace: &WorkspaceArn| {
        let (_, target) = targets.iter().find(|(id, _)| *id == workspace.id()).unwrap();
        access(target)
    };
    let output = plan::removal(async || access(&source), target, &input).await;
    script.assert_finished();
    output.unwrap()
}

#[tokio::test]
async fn a_plan_of_a_removal_lists_the_deletions_before_the_first_failure_and_all_prerequisites() {
    let denied = |why: &str| Error::AccessDenied(why.to_owned());
    let resources = |plan: &plan::Output| -> Vec<&str> { plan.changes.iter().map(|change| change.resource).collect() };
    let lists = || listed(&[scraper("ACTIVE", true)]);
    let source_role = || get_role(&role());
    let target_role = || call("GetRole", 200, role().response("GetRole")).with_text("RoleName=ampxa-target-demo-");
    let reached = || Ok(Ok(()));
    let unreachable = || Ok(Err(Unreachable("cannot be assumed".to_owned())));

    let plan = plan_removal(
        [lists(), target_role(), source_role()],
        reached(),
        &[("ws-1", reached())],
    )
    .await;
    assert_eq!(resources(&plan), ["scraper", "target role", "source role"]);
    assert_eq!((plan.would_fail_as, plan.prerequisites.len()), (None, 0));

    // An account that cannot be reached is left, and the other resources are removed.
    let plan = plan_removal([lists(), source_role()], reached(), &[("ws-1", unreachable())]).await;
    assert_eq!(resources(&plan), ["scraper", "source role"]);
    assert_eq!(plan.would_fail_as, Some("OffboardingIncomplete"));
    assert_eq!(plan.prerequisites, ["cannot be assumed"]);

    // Another denial of STS is not left: a disabled Region.
    let plan = plan_removal(
        [lists(), source_role()],
        reached(),
        &[("ws-1", Err(denied("the Region")))],
    )
    .await;
    assert_eq!(resources(&plan), ["scraper"]);
    assert_eq!(plan.would_fail_as, Some("AccessDenied"));
    assert_eq!(plan.prerequisites, ["the Region"]);

    // A denied call is a failure after which nothing is removed, also if an account is left before.
    let no = call("GetRole", 403, iam_error("AccessDenied", "no"));
    let plan = plan_removal([no], unreachable(), &[("ws-1", reached())]).await;
    assert_eq!(resources(&plan), [""; 0]);
    assert_eq!(plan.would_fail_as, Some("AccessDenied"));
    assert_eq!(plan.prerequisites.len(), 2, "{:?}", plan.prerequisites);

    // The other pairs continue. The second one has nothing left.
    let missing = || call("GetRole", 404, iam_error("NoSuchEntity", "no"));
    let nothing = || call("GET /scrapers", 200, scrapers(&[]));
    let exchanges = [lists(), source_role(), nothing(), missing(), missing()];
    let plan = plan_removal(exchanges, reached(), &[("ws-1", unreachable()), ("ws-2", reached())]).await;
    assert_eq!(resources(&plan), ["scraper"]);
    assert_eq!(plan.would_fail_as, Some("AccessDenied"));
}
