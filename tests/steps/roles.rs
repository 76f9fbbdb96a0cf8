//! Ensure roles, and patch their trust policies.

use crate::{
    replies::{Role, attached, done, iam_error, inline_policy},
    script::{EXECUTION, Exchange, SCRAPER, Script, call, task},
};
use ampxa::{
    error::Error,
    patch::{self, Output},
    policy::{self, Gate},
    roles::{self, EnsureInput, EnsureOutput},
    task::Task,
};
use serde_json::{Value, json};

const REMOTE_WRITE: &str = "arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess";

fn without_scraper() -> Task<EnsureInput> {
    task(json!({}), json!({ "scraperArn": null }))
}

fn with_scraper() -> Task<EnsureInput> {
    task(json!({}), json!({ "scraperArn": SCRAPER }))
}

/// GetRole: the role does not exist.
fn not_found() -> Exchange {
    call("GetRole", 404, iam_error("NoSuchEntity", "no such role"))
}

/// GetRole: the role exists.
fn found(role: &Role) -> Exchange {
    call("GetRole", 200, role.response("GetRole"))
}

/// The target role in its desired state, with the placeholder trust.
fn matching(task: &Task<EnsureInput>) -> Role {
    let role = roles::target(task);
    Role::ours(role.placeholder_trust, &role.boundary)
}

/// The calls that read the policies of a target role in its desired state.
fn read_policies(task: &Task<EnsureInput>) -> [Exchange; 2] {
    [
        call(
            "GetRolePolicy",
            200,
            inline_policy(&policy::target_permissions(&task.pair)),
        ),
        call("ListAttachedRolePolicies", 200, attached(&[REMOTE_WRITE])),
    ]
}

async fn ensure(
    exchanges: impl IntoIterator<Item = Exchange>,
    task: &Task<EnsureInput>,
) -> Result<EnsureOutput, Error> {
    let script = Script::new(exchanges);
    let ensured = roles::ensure(&script.account().iam(), &roles::target(task)).await;
    script.assert_finished();
    ensured
}

fn repaired(part: &'static str) -> Result<EnsureOutput, Error> {
    Ok(EnsureOutput {
        created: false,
        repaired: vec![part],
    })
}

#[tokio::test]
async fn a_new_role_has_the_placeholder_trust_its_boundary_tags_and_policies() {
    let task = without_scraper();
    let role = roles::target(&task);
    let exchanges = [
        not_found(),
        call("CreateRole", 200, matching(&task).response("CreateRole"))
            .with_text("RoleName=ampxa-target-demo-")
            .with_text("PermissionsBoundary=arn:aws:iam::333333333333:policy/ampxa-target-boundary")
            .with_text("ampxa:cluster")
            .with_text("ampxa:workspace")
            .with_text(format!("Key=ampxa:created-by&Tags.member.2.Value={EXECUTION}"))
            .with_text(policy::target_trust(&task.pair, Gate::Placeholder).to_string())
            .with_text("scraper/*"),
        call("PutRolePolicy", 200, done("PutRolePolicy")).with_text(role.permissions.to_string()),
        call("AttachRolePolicy", 200, done("AttachRolePolicy")).with_text(REMOTE_WRITE),
    ];
    assert_eq!(
        ensure(exchanges, &task).await,
        Ok(EnsureOutput {
            created: true,
            repaired: vec![]
        })
    );
}

#[tokio::test]
async fn a_new_role_has_the_placeholder_trust_even_if_the_scraper_exists() {
    let task = with_scraper();
    let placeholder = policy::target_trust(&task.pair, Gate::Placeholder).to_string();
    let exchanges = [
        not_found(),
        call("CreateRole", 200, matching(&task).response("CreateRole")).with_text(placeholder),
        call("PutRolePolicy", 200, done("PutRolePolicy")),
        call("AttachRolePolicy", 200, done("AttachRolePolicy")),
    ];
    assert!(ensure(exchanges, &task).await.unwrap().created);
}

#[tokio::test]
async fn the_source_role_has_no_managed_policy() {
    let task = without_scraper();
    let role = roles::source(&task);
    let script = Script::new([
        not_found(),
        call("CreateRole", 200, matching(&task).response("CreateRole")).with_text("scraper.aps.amazonaws.com"),
        call("PutRolePolicy", 200, done("PutRolePolicy")).with_text(task.pair.target_role_arn()),
    ]);
    roles::ensure(&script.account().iam(), &role).await.unwrap();
    script.assert_finished();
}

#[tokio::test]
async fn a_matching_role_is_only_read() {
    let task = without_scraper();
    let [policy, attached] = read_policies(&task);
    let ensured = ensure([found(&matching(&task)), policy, attached], &task).await;
    assert_eq!(
        ensured,
        Ok(EnsureOutput {
            created: false,
            repaired: vec![]
        })
    );
}

#[tokio::test]
async fn the_scraper_trust_of_the_pairs_own_scraper_is_kept() {
    let task = with_scraper();
    let mut role = matching(&task);
    role.trust = policy::target_trust(&task.pair, Gate::Scraper(&SCRAPER.parse().unwrap()));
    let [policy, attached] = read_policies(&task);
    let ensured = ensure([found(&role), policy, attached], &task).await;
    assert_eq!(
        ensured,
        Ok(EnsureOutput {
            created: false,
            repaired: vec![]
        })
    );
}

/// A trust policy that is neither the placeholder nor names the pair's own scraper is replaced by the placeholder.
#[tokio::test]
async fn any_other_trust_is_replaced_by_the_placeholder() {
    let task = with_scraper();
    let placeholder = policy::target_trust(&task.pair, Gate::Placeholder);
    let other = SCRAPER.replace("s-1", "s-2").parse().unwrap();
    let mut deleted_principal = placeholder.clone();
    deleted_principal["Statement"][0]["Principal"]["AWS"] = json!("AROAEXAMPLEID12345678");
    let mut unconditional = placeholder.clone();
    unconditional["Statement"][0]
        .as_object_mut()
        .unwrap()
        .remove("Condition");
    let invalid = json!("not a document");
    for trust in [
        policy::target_trust(&task.pair, Gate::Scraper(&other)),
        deleted_principal,
        unconditional,
        invalid,
        Value::Null,
    ] {
        let mut role = matching(&task);
        role.trust = trust.clone();
        let write =
            call("UpdateAssumeRolePolicy", 200, done("UpdateAssumeRolePolicy")).with_text(placeholder.to_string());
        let [policy, attached] = read_policies(&task);
        let ensured = ensure([found(&role), policy, attached, write], &task).await;
        assert_eq!(ensured, repaired("trust policy"), "{trust}");
    }
}

#[tokio::test]
async fn each_drift_is_repaired_alone() {
    let task = without_scraper();
    let [policy, attach] = read_policies(&task);

    for boundary in [None, Some("arn:aws:iam::aws:policy/AdministratorAccess".to_owned())] {
        let mut role = matching(&task);
        role.boundary = boundary;
        let write = call("PutRolePermissionsBoundary", 200, done("PutRolePermissionsBoundary"))
            .with_text("ampxa-target-boundary");
        let ensured = ensure([found(&role), policy.clone(), attach.clone(), write], &task).await;
        assert_eq!(ensured, repaired("permissions boundary"));
    }

    let tagged = self::task(json!({ "tags": { "team": "payments" } }), json!({}));
    let write = call("TagRole", 200, done("TagRole")).with_text("Key=team&Tags.member.1.Value=payments");
    let ensured = ensure(
        [found(&matching(&task)), policy.clone(), attach.clone(), write],
        &tagged,
    )
    .await;
    assert_eq!(ensured, repaired("tags"));

    let missing = call("GetRolePolicy", 404, iam_error("NoSuchEntity", "no such policy"));
    let wider = call(
        "GetRolePolicy",
        200,
        inline_policy(&json!({ "Version": "2012-10-17", "Statement": [] })),
    );
    for read in [missing, wider] {
        let write = call("PutRolePolicy", 200, done("PutRolePolicy"));
        let ensured = ensure([found(&matching(&task)), read, attach.clone(), write], &task).await;
        assert_eq!(ensured, repaired("permissions"));
    }

    let other = call(
        "ListAttachedRolePolicies",
        200,
        attached(&["arn:aws:iam::aws:policy/ReadOnlyAccess"]),
    );
    let write = call("AttachRolePolicy", 200, done("AttachRolePolicy")).with_text(REMOTE_WRITE);
    let ensured = ensure([found(&matching(&task)), policy, other, write], &task).await;
    assert_eq!(ensured, repaired("managed policy"));
}

/// The policy of the provisioner denies every other write to a role without the permissions boundary.
#[tokio::test]
async fn the_permissions_boundary_is_repaired_before_every_other_part() {
    let task = without_scraper();
    let [policy, attach] = read_policies(&task);
    let mut role = matching(&task);
    (role.boundary, role.trust) = (None, json!({}));
    let (boundary, trust) = ("PutRolePermissionsBoundary", "UpdateAssumeRolePolicy");
    let writes = [boundary, trust].map(|action| call(action, 200, done(action)));
    let exchanges = [found(&role), policy, attach].into_iter().chain(writes);
    let ensured = ensure(exchanges, &task).await.unwrap();
    assert_eq!(ensured.repaired, ["permissions boundary", "trust policy"]);
}

#[tokio::test]
async fn a_role_without_our_tags_is_a_conflict() {
    let task = without_scraper();
    let mut untagged = matching(&task);
    untagged.tags.clear();
    let mut of_another_pair = matching(&task);
    of_another_pair.tags[1].1 = "arn:aws:aps:us-west-2:333333333333:workspace/ws-2".to_owned();
    for role in [untagged, of_another_pair] {
        let error = ensure([found(&role)], &task).await.unwrap_err();
        assert_eq!(error.name(), "Conflict");
    }
    let mut of_a_stack = matching(&task);
    of_a_stack.tags = vec![("aws:cloudformation:stack-name".to_owned(), "legacy".to_owned())];
    let message = ensure([found(&of_a_stack)], &task).await.unwrap_err().to_string();
    assert!(
        message.contains("aws:cloudformation:stack-name = \"legacy\". It was left alone."),
        "{message}"
    );
    assert!(!message.to_lowercase().contains("delete"), "{message}");
}

#[tokio::test]
async fn a_role_that_another_execution_created_in_the_meantime_is_used() {
    let task = without_scraper();
    let exists = call("CreateRole", 409, iam_error("EntityAlreadyExists", "it exists"));
    let [policy, attached] = read_policies(&task);
    let ensured = ensure([not_found(), exists, found(&matching(&task)), policy, attached], &task).await;
    assert_eq!(
        ensured,
        Ok(EnsureOutput {
            created: false,
            repaired: vec![]
        })
    );
}

#[tokio::test]
async fn a_role_that_appears_in_the_meantime_must_have_our_tags_and_be_visible() {
    let task = without_scraper();
    let exists = call("CreateRole", 409, iam_error("EntityAlreadyExists", "it exists"));
    let mut foreign = matching(&task);
    foreign.tags.clear();
    for (read, name) in [(found(&foreign), "Conflict"), (not_found(), "NotVisibleYet")] {
        let error = ensure([not_found(), exists.clone(), read], &task).await.unwrap_err();
        assert_eq!(error.name(), name);
    }
}

#[tokio::test]
async fn the_trust_of_the_source_role_is_kept_or_replaced_like_that_of_the_target_role() {
    let other = SCRAPER.replace("s-1", "s-2").parse().unwrap();
    let (task, with_scraper) = (without_scraper(), with_scraper());
    let scraper_trust = |scraper| policy::source_trust(&task.pair, Gate::Scraper(scraper));
    let own = SCRAPER.parse().unwrap();
    for (task, trust, replaced) in [
        (&task, policy::source_trust(&task.pair, Gate::Placeholder), false),
        (&task, scraper_trust(&own), true),
        (&with_scraper, scraper_trust(&own), false),
        (&with_scraper, scraper_trust(&other), true),
    ] {
        let role = roles::source(task);
        let existing = Role::ours(trust.clone(), &role.boundary);
        let mut exchanges = vec![found(&existing).with_text(&role.name)];
        exchanges.push(call("GetRolePolicy", 200, inline_policy(&role.permissions)));
        if replaced {
            exchanges.push(
                call("UpdateAssumeRolePolicy", 200, done("UpdateAssumeRolePolicy"))
                    .with_text(role.placeholder_trust.to_string()),
            );
        }
        let script = Script::new(exchanges);
        let ensured = roles::ensure(&script.account().iam(), &role).await.unwrap();
        assert_eq!(ensured.repaired.contains(&"trust policy"), replaced, "{trust}");
        script.assert_finished();
    }
}

#[tokio::test]
async fn foreign_tags_are_kept_and_a_different_value_of_a_requested_tag_is_corrected() {
    let task = self::task(json!({ "tags": { "team": "payments" } }), json!({}));
    let mut role = matching(&task);
    role.tags.push(("team".to_owned(), "another".to_owned()));
    role.tags.push(("foreign".to_owned(), "tag".to_owned()));
    let name = task.pair.target_role_name();
    let text = format!("RoleName={name}&Tags.member.1.Key=team&Tags.member.1.Value=payments");
    let write = call("TagRole", 200, done("TagRole")).with_text(text);
    let [policy, attached] = read_policies(&task);
    let ensured = ensure([found(&role), policy, attached, write], &task).await;
    assert_eq!(ensured, repaired("tags"));
}

#[tokio::test]
async fn a_repeated_step_completes_the_role_that_it_created() {
    let task = without_scraper();
    let mut role = matching(&task);
    role.tags[2].1 = EXECUTION.to_owned();
    let exchanges = [
        found(&role),
        call("GetRolePolicy", 404, iam_error("NoSuchEntity", "no such policy")),
        call("ListAttachedRolePolicies", 200, attached(&[])),
        call("PutRolePolicy", 200, done("PutRolePolicy")),
        call("AttachRolePolicy", 200, done("AttachRolePolicy")),
    ];
    assert_eq!(
        ensure(exchanges, &task).await,
        Ok(EnsureOutput {
            created: true,
            repaired: vec![]
        })
    );
}

#[tokio::test]
async fn eventual_consistency_of_iam_is_not_visible_yet() {
    let task = without_scraper();
    let unknown = iam_error(
        "MalformedPolicyDocument",
        "Invalid principal in policy: &quot;AWS&quot;:&quot;arn&quot;",
    );
    let error = ensure([not_found(), call("CreateRole", 400, unknown)], &task)
        .await
        .unwrap_err();
    assert_eq!(error.name(), "NotVisibleYet");
    assert!(error.to_string().contains("Invalid principal"), "{error}");

    let created = call("CreateRole", 200, matching(&task).response("CreateRole"));
    let missing = call("PutRolePolicy", 404, iam_error("NoSuchEntity", "no such role"));
    let error = ensure([not_found(), created, missing], &task).await.unwrap_err();
    assert_eq!(error.name(), "NotVisibleYet");

    let invalid = call(
        "CreateRole",
        400,
        iam_error("MalformedPolicyDocument", "Syntax errors in policy."),
    );
    assert_eq!(
        ensure([not_found(), invalid], &task).await.unwrap_err().name(),
        "InvalidRequest"
    );
}

/// The calls that patch a trust policy: read, write, read back.
fn patch_calls(role: &ampxa::roles::Role) -> [Exchange; 3] {
    let before = Role::ours(role.placeholder_trust.clone(), &role.boundary);
    let after = Role::ours(role.scraper_trust.clone().unwrap(), &role.boundary);
    let write = call("UpdateAssumeRolePolicy", 200, done("UpdateAssumeRolePolicy"));
    [
        found(&before),
        write
            .with_text(role.scraper_trust.clone().unwrap().to_string())
            .with_text(SCRAPER),
        found(&after),
    ]
}

#[tokio::test]
async fn the_patch_writes_source_then_target_and_reads_both_back() {
    let task = with_scraper();
    let (source, target) = (patch_calls(&roles::source(&task)), patch_calls(&roles::target(&task)));
    let source = source.map(|exchange| exchange.with_text(task.pair.source_role_name()).in_account("source"));
    let target = target.map(|exchange| exchange.with_text(task.pair.target_role_name()).in_account("target"));
    let script = Script::new(source.into_iter().chain(target));
    let (source, target) = (script.account_of("source"), script.account_of("target"));
    let patched = patch::patch(&source.iam(), &target.iam(), &task).await;
    assert_eq!(
        patched,
        Ok(Output {
            source: true,
            target: true
        })
    );
    script.assert_finished();
}

#[tokio::test]
async fn the_patch_repairs_the_permissions_boundary_first() {
    let task = with_scraper();
    let source = roles::source(&task);
    let mut unbounded = Role::ours(source.placeholder_trust.clone(), &source.boundary);
    unbounded.boundary = None;
    let [_, write, read] = patch_calls(&source);
    let put = call("PutRolePermissionsBoundary", 200, done("PutRolePermissionsBoundary"));
    let source = [found(&unbounded), put.with_text("ampxa-source-boundary"), write, read];
    let script = Script::new(source.into_iter().chain(patch_calls(&roles::target(&task))));
    let account = script.account();
    patch::patch(&account.iam(), &account.iam(), &task).await.unwrap();
    script.assert_finished();
}

#[tokio::test]
async fn a_patch_of_matching_trust_policies_only_reads() {
    let task = with_scraper();
    let patched = [roles::source(&task), roles::target(&task)]
        .map(|role| found(&Role::ours(role.scraper_trust.unwrap(), &role.boundary)));
    let script = Script::new(patched);
    let iam = script.account().iam();
    assert_eq!(
        patch::patch(&iam, &iam, &task).await,
        Ok(Output {
            source: false,
            target: false
        })
    );
    script.assert_finished();
}

#[tokio::test]
async fn an_interrupted_patch_is_completed() {
    let task = with_scraper();
    let source = roles::source(&task);
    let done = found(&Role::ours(source.scraper_trust.unwrap(), &source.boundary));
    let script = Script::new([done].into_iter().chain(patch_calls(&roles::target(&task))));
    let iam = script.account().iam();
    let patched = patch::patch(&iam, &iam, &task).await;
    assert_eq!(
        patched,
        Ok(Output {
            source: false,
            target: true
        })
    );
    script.assert_finished();
}

/// IAM replaces a deleted principal by its id, and keeps the id if a principal of the same name is created again.
#[tokio::test]
async fn a_principal_that_was_replaced_by_its_id_is_patched() {
    let task = with_scraper();
    let (source, target) = (roles::source(&task), roles::target(&task));
    let mut with_id = target.scraper_trust.clone().unwrap();
    with_id["Statement"][0]["Principal"]["AWS"] = json!("AROAEXAMPLEID12345678");
    let [_, write, after] = patch_calls(&target);
    let script = Script::new([
        found(&Role::ours(source.scraper_trust.unwrap(), &source.boundary)),
        found(&Role::ours(with_id, &target.boundary)),
        write,
        after,
    ]);
    let iam = script.account().iam();
    assert!(patch::patch(&iam, &iam, &task).await.unwrap().target);
    script.assert_finished();
}

#[tokio::test]
async fn the_target_trust_policy_is_read_back() {
    let task = with_scraper();
    let [before, write, _] = patch_calls(&roles::target(&task));
    let [_, _, after] = patch_calls(&roles::source(&task));
    for read_back in [before.clone(), not_found()] {
        let script = Script::new([after.clone(), before.clone(), write.clone(), read_back]);
        let iam = script.account().iam();
        let error = patch::patch(&iam, &iam, &task).await.unwrap_err();
        assert_eq!(error.name(), "NotVisibleYet");
        script.assert_finished();
    }
}

#[tokio::test]
async fn a_patch_that_iam_does_not_return_yet_is_not_visible_yet() {
    let task = with_scraper();
    let [before, write, _] = patch_calls(&roles::source(&task));
    let script = Script::new([before.clone(), write, before]);
    let iam = script.account().iam();
    let error = patch::patch(&iam, &iam, &task).await.unwrap_err();
    assert_eq!(error.name(), "NotVisibleYet");
    script.assert_finished();
}

#[tokio::test]
async fn a_patch_needs_a_scraper_in_the_account_and_region_of_the_cluster() {
    let other_locations = [
        SCRAPER.replace("222222222222", "333333333333"),
        SCRAPER.replace("us-west-2", "eu-west-1"),
    ];
    for input in [
        json!({}),
        json!({ "scraperArn": other_locations[0] }),
        json!({ "scraperArn": other_locations[1] }),
    ] {
        let script = Script::new([]);
        let iam = script.account().iam();
        let error = patch::patch(&iam, &iam, &task(json!({}), input)).await.unwrap_err();
        assert!(error.to_string().starts_with("scraperArn: "), "{error}");
    }
}

#[tokio::test]
async fn a_patch_of_a_role_without_our_tags_is_a_conflict() {
    let task = with_scraper();
    let mut role = Role::ours(roles::source(&task).placeholder_trust, "boundary");
    role.tags.clear();
    let script = Script::new([found(&role)]);
    let iam = script.account().iam();
    assert_eq!(patch::patch(&iam, &iam, &task).await.unwrap_err().name(), "Conflict");
    script.assert_finished();
}
