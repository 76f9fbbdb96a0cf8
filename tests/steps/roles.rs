//! Ensuring and patching roles.

use crate::{
    replies::{Role, attached, done, iam_error, inline_policy},
    script::{EXECUTION, SCRAPER, Script, Turn, call, task},
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

fn fresh() -> Task<EnsureInput> {
    task(json!({}), json!({ "scraperArn": null }))
}

fn with_scraper() -> Task<EnsureInput> {
    task(json!({}), json!({ "scraperArn": SCRAPER }))
}

fn absent() -> Turn {
    call("GetRole", 404, iam_error("NoSuchEntity", "no such role"))
}

fn found(role: &Role) -> Turn {
    call("GetRole", 200, role.shown("GetRole"))
}

fn right(task: &Task<EnsureInput>) -> Role {
    let role = roles::target(task);
    Role::ours(role.placeholder_trust, &role.boundary)
}

fn reads(task: &Task<EnsureInput>) -> [Turn; 2] {
    [
        call(
            "GetRolePolicy",
            200,
            inline_policy(&policy::target_permissions(&task.pair)),
        ),
        call("ListAttachedRolePolicies", 200, attached(&[REMOTE_WRITE])),
    ]
}

async fn ensure(turns: impl IntoIterator<Item = Turn>, task: &Task<EnsureInput>) -> Result<EnsureOutput, Error> {
    let script = Script::new(turns);
    let ensured = roles::ensure(&script.account().iam(), &roles::target(task)).await;
    script.is_over();
    ensured
}

fn repaired(what: &'static str) -> Result<EnsureOutput, Error> {
    Ok(EnsureOutput {
        created: false,
        repaired: vec![what],
    })
}

#[tokio::test]
async fn a_role_is_made_shut_inside_its_boundary_with_its_tags_and_policies() {
    let task = fresh();
    let role = roles::target(&task);
    let turns = [
        absent(),
        call("CreateRole", 200, right(&task).shown("CreateRole"))
            .saying("RoleName=ampxa-target-demo-")
            .saying("PermissionsBoundary=arn:aws:iam::333333333333:policy/ampxa-target-boundary")
            .saying("ampxa:cluster")
            .saying("ampxa:workspace")
            .saying(format!("Key=ampxa:created-by&Tags.member.2.Value={EXECUTION}"))
            .saying(policy::target_trust(&task.pair, Gate::Placeholder).to_string())
            .saying("scraper/*"),
        call("PutRolePolicy", 200, done("PutRolePolicy")).saying(role.permissions.to_string()),
        call("AttachRolePolicy", 200, done("AttachRolePolicy")).saying(REMOTE_WRITE),
    ];
    assert_eq!(
        ensure(turns, &task).await,
        Ok(EnsureOutput {
            created: true,
            repaired: vec![]
        })
    );
}

#[tokio::test]
async fn a_role_is_created_with_the_placeholder_trust_even_when_its_scraper_is_known() {
    let task = with_scraper();
    let placeholder = policy::target_trust(&task.pair, Gate::Placeholder).to_string();
    let turns = [
        absent(),
        call("CreateRole", 200, right(&task).shown("CreateRole")).saying(placeholder),
        call("PutRolePolicy", 200, done("PutRolePolicy")),
        call("AttachRolePolicy", 200, done("AttachRolePolicy")),
    ];
    assert!(ensure(turns, &task).await.unwrap().created);
}

#[tokio::test]
async fn the_source_role_wears_no_managed_policy() {
    let task = fresh();
    let role = roles::source(&task);
    let script = Script::new([
        absent(),
        call("CreateRole", 200, right(&task).shown("CreateRole")).saying("scraper.aps.amazonaws.com"),
        call("PutRolePolicy", 200, done("PutRolePolicy")).saying(task.pair.target_role_arn()),
    ]);
    roles::ensure(&script.account().iam(), &role).await.unwrap();
    script.is_over();
}

#[tokio::test]
async fn a_role_that_is_right_is_only_read() {
    let task = fresh();
    let [policy, attached] = reads(&task);
    let ensured = ensure([found(&right(&task)), policy, attached], &task).await;
    assert_eq!(
        ensured,
        Ok(EnsureOutput {
            created: false,
            repaired: vec![]
        })
    );
}

#[tokio::test]
async fn the_open_trust_of_the_pairs_own_scraper_stays_open() {
    let task = with_scraper();
    let mut role = right(&task);
    role.trust = policy::target_trust(&task.pair, Gate::Scraper(&SCRAPER.parse().unwrap()));
    let [policy, attached] = reads(&task);
    let ensured = ensure([found(&role), policy, attached], &task).await;
    assert_eq!(
        ensured,
        Ok(EnsureOutput {
            created: false,
            repaired: vec![]
        })
    );
}

/// Every trust policy that is neither the placeholder nor that of the pair's own scraper is shut.
#[tokio::test]
async fn any_other_trust_is_shut() {
    let task = with_scraper();
    let shut = policy::target_trust(&task.pair, Gate::Placeholder);
    let other = SCRAPER.replace("s-1", "s-2").parse().unwrap();
    let mut deleted_principal = shut.clone();
    deleted_principal["Statement"][0]["Principal"]["AWS"] = json!("AROAEXAMPLEID12345678");
    let mut unconditional = shut.clone();
    unconditional["Statement"][0]
        .as_object_mut()
        .unwrap()
        .remove("Condition");
    let garbage = json!("not a document");
    for trust in [
        policy::target_trust(&task.pair, Gate::Scraper(&other)),
        deleted_principal,
        unconditional,
        garbage,
        Value::Null,
    ] {
        let mut role = right(&task);
        role.trust = trust.clone();
        let write = call("UpdateAssumeRolePolicy", 200, done("UpdateAssumeRolePolicy")).saying(shut.to_string());
        let [policy, attached] = reads(&task);
        let ensured = ensure([found(&role), write, policy, attached], &task).await;
        assert_eq!(ensured, repaired("trust policy"), "{trust}");
    }
}

#[tokio::test]
async fn each_drift_alone_is_repaired_and_only_it() {
    let task = fresh();
    let [policy, attach] = reads(&task);

    for boundary in [None, Some("arn:aws:iam::aws:policy/AdministratorAccess".to_owned())] {
        let mut role = right(&task);
        role.boundary = boundary;
        let write =
            call("PutRolePermissionsBoundary", 200, done("PutRolePermissionsBoundary")).saying("ampxa-target-boundary");
        let ensured = ensure([found(&role), write, policy.clone(), attach.clone()], &task).await;
        assert_eq!(ensured, repaired("permissions boundary"));
    }

    let tagged = self::task(json!({ "tags": { "team": "payments" } }), json!({}));
    let write = call("TagRole", 200, done("TagRole")).saying("Key=team&Tags.member.1.Value=payments");
    let ensured = ensure([found(&right(&task)), write, policy.clone(), attach.clone()], &tagged).await;
    assert_eq!(ensured, repaired("tags"));

    let missing = call("GetRolePolicy", 404, iam_error("NoSuchEntity", "no such policy"));
    let wider = call(
        "GetRolePolicy",
        200,
        inline_policy(&json!({ "Version": "2012-10-17", "Statement": [] })),
    );
    for seen in [missing, wider] {
        let write = call("PutRolePolicy", 200, done("PutRolePolicy"));
        let ensured = ensure([found(&right(&task)), seen, write, attach.clone()], &task).await;
        assert_eq!(ensured, repaired("permissions"));
    }

    let other = call(
        "ListAttachedRolePolicies",
        200,
        attached(&["arn:aws:iam::aws:policy/ReadOnlyAccess"]),
    );
    let write = call("AttachRolePolicy", 200, done("AttachRolePolicy")).saying(REMOTE_WRITE);
    let ensured = ensure([found(&right(&task)), policy, other, write], &task).await;
    assert_eq!(ensured, repaired("managed policy"));
}

#[tokio::test]
async fn a_role_somebody_else_made_is_left_alone() {
    let task = fresh();
    let mut untagged = right(&task);
    untagged.tags.clear();
    let mut of_another_pair = right(&task);
    of_another_pair.tags[1].1 = "arn:aws:aps:us-west-2:333333333333:workspace/ws-2".to_owned();
    for role in [untagged, of_another_pair] {
        let why = ensure([found(&role)], &task).await.unwrap_err();
        assert_eq!(why.name(), "Conflict");
    }
}

#[tokio::test]
async fn a_role_that_another_execution_made_in_between_is_joined() {
    let task = fresh();
    let taken = call("CreateRole", 409, iam_error("EntityAlreadyExists", "it exists"));
    let [policy, attached] = reads(&task);
    let ensured = ensure([absent(), taken, found(&right(&task)), policy, attached], &task).await;
    assert_eq!(
        ensured,
        Ok(EnsureOutput {
            created: false,
            repaired: vec![]
        })
    );
}

#[tokio::test]
async fn a_role_that_appears_in_between_is_joined_only_when_it_is_ours_and_shown() {
    let task = fresh();
    let taken = call("CreateRole", 409, iam_error("EntityAlreadyExists", "it exists"));
    let mut theirs = right(&task);
    theirs.tags.clear();
    for (seen, name) in [(found(&theirs), "Conflict"), (absent(), "NotVisibleYet")] {
        let why = ensure([absent(), taken.clone(), seen], &task).await.unwrap_err();
        assert_eq!(why.name(), name);
    }
}

#[tokio::test]
async fn the_source_role_is_read_repaired_and_shut_as_the_target_role_is() {
    let other = SCRAPER.replace("s-1", "s-2").parse().unwrap();
    let (task, with_scraper) = (fresh(), with_scraper());
    let open = |scraper| policy::source_trust(&task.pair, Gate::Scraper(scraper));
    let own = SCRAPER.parse().unwrap();
    for (task, trust, shut) in [
        (&task, policy::source_trust(&task.pair, Gate::Placeholder), false),
        (&task, open(&own), true),
        (&with_scraper, open(&own), false),
        (&with_scraper, open(&other), true),
    ] {
        let role = roles::source(task);
        let seen = Role::ours(trust.clone(), &role.boundary);
        let mut turns = vec![found(&seen).saying(&role.name)];
        if shut {
            turns.push(
                call("UpdateAssumeRolePolicy", 200, done("UpdateAssumeRolePolicy"))
                    .saying(role.placeholder_trust.to_string()),
            );
        }
        turns.push(call("GetRolePolicy", 200, inline_policy(&role.permissions)));
        let script = Script::new(turns);
        let ensured = roles::ensure(&script.account().iam(), &role).await.unwrap();
        assert_eq!(ensured.repaired.contains(&"trust policy"), shut, "{trust}");
        script.is_over();
    }
}

#[tokio::test]
async fn a_tag_that_is_not_ours_stays_and_one_of_another_value_is_put_right() {
    let task = self::task(json!({ "tags": { "team": "payments" } }), json!({}));
    let mut role = right(&task);
    role.tags.push(("team".to_owned(), "another".to_owned()));
    role.tags.push(("somebody's".to_owned(), "own".to_owned()));
    let name = task.pair.target_role_name();
    let only = format!("RoleName={name}&Tags.member.1.Key=team&Tags.member.1.Value=payments");
    let write = call("TagRole", 200, done("TagRole")).saying(only);
    let [policy, attached] = reads(&task);
    let ensured = ensure([found(&role), write, policy, attached], &task).await;
    assert_eq!(ensured, repaired("tags"));
}

#[tokio::test]
async fn a_step_that_died_after_it_made_the_role_goes_on() {
    let task = fresh();
    let mut role = right(&task);
    role.tags[2].1 = EXECUTION.to_owned();
    let turns = [
        found(&role),
        call("GetRolePolicy", 404, iam_error("NoSuchEntity", "no such policy")),
        call("PutRolePolicy", 200, done("PutRolePolicy")),
        call("ListAttachedRolePolicies", 200, attached(&[])),
        call("AttachRolePolicy", 200, done("AttachRolePolicy")),
    ];
    assert_eq!(
        ensure(turns, &task).await,
        Ok(EnsureOutput {
            created: true,
            repaired: vec![]
        })
    );
}

#[tokio::test]
async fn what_iam_does_not_see_yet_is_said_by_name() {
    let task = fresh();
    let unknown = iam_error(
        "MalformedPolicyDocument",
        "Invalid principal in policy: &quot;AWS&quot;:&quot;arn&quot;",
    );
    let why = ensure([absent(), call("CreateRole", 400, unknown)], &task)
        .await
        .unwrap_err();
    assert_eq!(why.name(), "NotVisibleYet");
    assert!(why.to_string().contains("Invalid principal"), "{why}");

    let made = call("CreateRole", 200, right(&task).shown("CreateRole"));
    let gone = call("PutRolePolicy", 404, iam_error("NoSuchEntity", "no such role"));
    let why = ensure([absent(), made, gone], &task).await.unwrap_err();
    assert_eq!(why.name(), "NotVisibleYet");

    let wrong = call(
        "CreateRole",
        400,
        iam_error("MalformedPolicyDocument", "Syntax errors in policy."),
    );
    assert_eq!(
        ensure([absent(), wrong], &task).await.unwrap_err().name(),
        "InvalidRequest"
    );
}

fn patching(role: &ampxa::roles::Role) -> [Turn; 3] {
    let shut = Role::ours(role.placeholder_trust.clone(), &role.boundary);
    let open = Role::ours(role.scraper_trust.clone().unwrap(), &role.boundary);
    let write = call("UpdateAssumeRolePolicy", 200, done("UpdateAssumeRolePolicy"));
    [
        found(&shut),
        write
            .saying(role.scraper_trust.clone().unwrap().to_string())
            .saying(SCRAPER),
        found(&open),
    ]
}

#[tokio::test]
async fn the_patch_writes_both_the_gate_last_and_reads_them_back() {
    let task = with_scraper();
    let (source, target) = (patching(&roles::source(&task)), patching(&roles::target(&task)));
    let source = source.map(|turn| turn.saying(task.pair.source_role_name()).of("source"));
    let target = target.map(|turn| turn.saying(task.pair.target_role_name()).of("target"));
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
    script.is_over();
}

#[tokio::test]
async fn a_patch_of_what_is_right_only_reads() {
    let task = with_scraper();
    let open = [roles::source(&task), roles::target(&task)]
        .map(|role| found(&Role::ours(role.scraper_trust.unwrap(), &role.boundary)));
    let script = Script::new(open);
    let iam = script.account().iam();
    assert_eq!(
        patch::patch(&iam, &iam, &task).await,
        Ok(Output {
            source: false,
            target: false
        })
    );
    script.is_over();
}

#[tokio::test]
async fn a_patch_that_died_between_the_two_is_finished() {
    let task = with_scraper();
    let source = roles::source(&task);
    let done = found(&Role::ours(source.scraper_trust.unwrap(), &source.boundary));
    let script = Script::new([done].into_iter().chain(patching(&roles::target(&task))));
    let iam = script.account().iam();
    let patched = patch::patch(&iam, &iam, &task).await;
    assert_eq!(
        patched,
        Ok(Output {
            source: false,
            target: true
        })
    );
    script.is_over();
}

/// IAM puts an id in the place of a principal that was deleted, and keeps it when one of its name
/// is made again.
#[tokio::test]
async fn a_principal_that_became_an_id_is_patched() {
    let task = with_scraper();
    let (source, target) = (roles::source(&task), roles::target(&task));
    let mut broken = target.scraper_trust.clone().unwrap();
    broken["Statement"][0]["Principal"]["AWS"] = json!("AROAEXAMPLEID12345678");
    let [_, write, after] = patching(&target);
    let script = Script::new([
        found(&Role::ours(source.scraper_trust.unwrap(), &source.boundary)),
        found(&Role::ours(broken, &target.boundary)),
        write,
        after,
    ]);
    let iam = script.account().iam();
    assert!(patch::patch(&iam, &iam, &task).await.unwrap().target);
    script.is_over();
}

#[tokio::test]
async fn the_gate_too_is_read_back() {
    let task = with_scraper();
    let [before, write, _] = patching(&roles::target(&task));
    let [_, _, after] = patching(&roles::source(&task));
    for seen in [before.clone(), absent()] {
        let script = Script::new([after.clone(), before.clone(), write.clone(), seen]);
        let iam = script.account().iam();
        let why = patch::patch(&iam, &iam, &task).await.unwrap_err();
        assert_eq!(why.name(), "NotVisibleYet");
        script.is_over();
    }
}

#[tokio::test]
async fn a_patch_that_iam_does_not_show_is_not_believed() {
    let task = with_scraper();
    let [before, write, _] = patching(&roles::source(&task));
    let script = Script::new([before.clone(), write, before]);
    let iam = script.account().iam();
    let why = patch::patch(&iam, &iam, &task).await.unwrap_err();
    assert_eq!(why.name(), "NotVisibleYet");
    script.is_over();
}

#[tokio::test]
async fn nothing_is_patched_without_a_scraper_of_this_account_and_region() {
    let elsewhere = [
        SCRAPER.replace("222222222222", "333333333333"),
        SCRAPER.replace("us-west-2", "eu-west-1"),
    ];
    for known in [
        json!({}),
        json!({ "scraperArn": elsewhere[0] }),
        json!({ "scraperArn": elsewhere[1] }),
    ] {
        let script = Script::new([]);
        let iam = script.account().iam();
        let why = patch::patch(&iam, &iam, &task(json!({}), known)).await.unwrap_err();
        assert!(why.to_string().starts_with("scraperArn: "), "{why}");
    }
}

#[tokio::test]
async fn a_patch_leaves_alone_what_is_not_ours() {
    let task = with_scraper();
    let mut role = Role::ours(roles::source(&task).placeholder_trust, "boundary");
    role.tags.clear();
    let script = Script::new([found(&role)]);
    let iam = script.account().iam();
    assert_eq!(patch::patch(&iam, &iam, &task).await.unwrap_err().name(), "Conflict");
    script.is_over();
}
