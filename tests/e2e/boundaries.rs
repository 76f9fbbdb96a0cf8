//! The provisioners: what they refuse to do, whoever asks.

use crate::world::{HUB, SOURCE, TARGET, world};
use ampxa_cli::account::Account;
use aws_credential_types::Credentials;
use driver::{REGION, demo};

/// A principal of the hub, made for a test, that may assume anything it is trusted by.
async fn hub_principal(path: &str, name: &str) -> Account {
    let hub = world().cloud.account(HUB, REGION);
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{HUB}:root"}},"Action":"sts:AssumeRole"}}]}}"#
    );
    let any = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}"#;
    let iam = hub.iam();
    iam.create_role()
        .path(path)
        .role_name(name)
        .assume_role_policy_document(trust)
        .send()
        .await
        .unwrap();
    iam.put_role_policy()
        .role_name(name)
        .policy_name("any")
        .policy_document(any)
        .send()
        .await
        .unwrap();
    assume(&hub, &format!("arn:aws:iam::{HUB}:role{path}{name}"))
        .await
        .expect("the hub's root may assume its roles")
}

async fn assume(who: &Account, role: &str) -> Result<Account, String> {
    narrowed(who, role, None).await
}

/// The same in a session that a policy narrows.
async fn narrowed(who: &Account, role: &str, policy: Option<String>) -> Result<Account, String> {
    let assume = who.sts().assume_role().role_arn(role).role_session_name("test");
    let answer = assume.set_policy(policy).send().await;
    let session = answer
        .map_err(|error| format!("{:?}", error.into_service_error()))?
        .credentials
        .unwrap();
    let credentials = Credentials::new(
        session.access_key_id,
        session.secret_access_key,
        Some(session.session_token),
        None,
        "test",
    );
    let account = role.split(':').nth(4).unwrap();
    Ok(Account::with_credentials(
        &world().cloud.url,
        account,
        REGION,
        credentials,
    ))
}

fn denied<T: std::fmt::Debug, E: std::fmt::Debug>(answer: Result<T, E>, action: &str) {
    let why = format!("{:?}", answer.expect_err(action));
    assert!(why.contains("AccessDenied") && why.contains(action), "{action}: {why}");
}

const NOBODY: &str = r#"{"Version":"2012-10-17","Statement":[]}"#;
const ANYTHING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
const ANYBODY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;

#[tokio::test]
async fn only_the_hubs_own_functions_may_assume_a_provisioner() {
    let unrelated = hub_principal("/", "not-a-function").await;
    let function = hub_principal("/ampxa/", "a-function").await;
    for (account, side) in [(SOURCE, "source"), (TARGET, "target")] {
        let provisioner = format!("arn:aws:iam::{account}:role/ampxa-{side}-provisioner");
        denied(assume(&unrelated, &provisioner).await, "sts:AssumeRole");
        denied(
            assume(&world().cloud.account(HUB, REGION), &provisioner).await,
            "sts:AssumeRole",
        );
        denied(
            assume(&world().cloud.account("777777777777", REGION), &provisioner).await,
            "sts:AssumeRole",
        );
        assume(&function, &provisioner).await.expect("a function of the hub");
    }
}

#[tokio::test]
async fn a_provisioner_makes_no_role_outside_its_fence() {
    let function = hub_principal("/ampxa/", "fence").await;
    for (account, side) in [(SOURCE, "source"), (TARGET, "target")] {
        let own = format!("ampxa-{side}-provisioner");
        let iam = assume(&function, &format!("arn:aws:iam::{account}:role/{own}"))
            .await
            .unwrap()
            .iam();
        let boundary = format!("arn:aws:iam::{account}:policy/ampxa-{side}-boundary");
        let create = |name: &str| iam.create_role().role_name(name).assume_role_policy_document(NOBODY);
        let name = format!("ampxa-{side}-fenced");

        denied(create(&name).send().await, "iam:CreateRole");
        let other = "arn:aws:iam::aws:policy/AdministratorAccess";
        denied(create(&name).permissions_boundary(other).send().await, "iam:CreateRole");
        denied(
            create("something-else").permissions_boundary(&boundary).send().await,
            "iam:CreateRole",
        );
        let across = if side == "source" {
            "ampxa-target-fenced"
        } else {
            "ampxa-source-fenced"
        };
        denied(
            create(across).permissions_boundary(&boundary).send().await,
            "iam:CreateRole",
        );
        create(&name)
            .permissions_boundary(&boundary)
            .send()
            .await
            .expect("inside the fence");

        let attach = |arn: &str| iam.attach_role_policy().role_name(&name).policy_arn(arn);
        denied(attach(other).send().await, "iam:AttachRolePolicy");
        let unbounded = iam
            .put_role_permissions_boundary()
            .role_name(&name)
            .permissions_boundary(other);
        denied(unbounded.send().await, "iam:PutRolePermissionsBoundary");
        denied(
            iam.delete_role_permissions_boundary().role_name(&name).send().await,
            "iam:DeleteRolePermissionsBoundary",
        );
        iam.put_role_policy()
            .role_name(&name)
            .policy_name("p")
            .policy_document(ANYTHING)
            .send()
            .await
            .expect("a bounded role");
    }
}

#[tokio::test]
async fn a_provisioner_cannot_touch_itself_or_its_boundary() {
    let function = hub_principal("/ampxa/", "itself").await;
    for (account, side) in [(SOURCE, "source"), (TARGET, "target")] {
        let own = format!("ampxa-{side}-provisioner");
        let iam = assume(&function, &format!("arn:aws:iam::{account}:role/{own}"))
            .await
            .unwrap()
            .iam();
        let boundary = format!("arn:aws:iam::{account}:policy/ampxa-{side}-boundary");
        denied(
            iam.put_role_policy()
                .role_name(&own)
                .policy_name("more")
                .policy_document(ANYTHING)
                .send()
                .await,
            "iam:PutRolePolicy",
        );
        denied(
            iam.update_assume_role_policy()
                .role_name(&own)
                .policy_document(ANYBODY)
                .send()
                .await,
            "iam:UpdateAssumeRolePolicy",
        );
        denied(
            iam.put_role_permissions_boundary()
                .role_name(&own)
                .permissions_boundary(&boundary)
                .send()
                .await,
            "iam:PutRolePermissionsBoundary",
        );
        denied(
            iam.delete_role_policy()
                .role_name(&own)
                .policy_name("provision")
                .send()
                .await,
            "iam:DeleteRolePolicy",
        );
        denied(
            iam.create_policy_version()
                .policy_arn(&boundary)
                .policy_document(ANYTHING)
                .set_as_default(true)
                .send()
                .await,
            "iam:CreatePolicyVersion",
        );
        denied(
            iam.delete_policy().policy_arn(&boundary).send().await,
            "iam:DeletePolicy",
        );
        denied(iam.create_user().user_name("mallory").send().await, "iam:CreateUser");
        denied(
            iam.create_access_key().user_name("mallory").send().await,
            "iam:CreateAccessKey",
        );
    }
}

#[tokio::test]
async fn a_role_of_our_name_without_the_boundary_gets_no_policy() {
    let function = hub_principal("/ampxa/", "unbounded").await;
    for (account, side) in [(SOURCE, "source"), (TARGET, "target")] {
        let name = format!("ampxa-{side}-unbounded");
        let root = world().cloud.account(account, REGION).iam();
        root.create_role()
            .role_name(&name)
            .assume_role_policy_document(NOBODY)
            .send()
            .await
            .unwrap();
        let provisioner = format!("arn:aws:iam::{account}:role/ampxa-{side}-provisioner");
        let iam = assume(&function, &provisioner).await.unwrap().iam();
        denied(
            iam.put_role_policy()
                .role_name(&name)
                .policy_name("more")
                .policy_document(ANYTHING)
                .send()
                .await,
            "iam:PutRolePolicy",
        );
    }
}

/// The step that looks for samples has a session that may ask its workspace and nothing else, whatever the
/// provisioner may.
#[tokio::test]
async fn a_session_for_samples_may_query_one_workspace_and_do_nothing_else() {
    let target = world().cloud.account(TARGET, REGION);
    let (mine, other) = (
        demo::workspace(&target, "mine").await.unwrap(),
        demo::workspace(&target, "other").await.unwrap(),
    );
    let function = hub_principal("/ampxa/", "asks-for-samples").await;
    let provisioner = format!("arn:aws:iam::{TARGET}:role/ampxa-target-provisioner");
    let id = |workspace: &str| workspace.rsplit('/').next().unwrap().to_owned();

    let whole = assume(&function, &provisioner).await.unwrap();
    whole.query(&id(&other), "up").unwrap();

    let policy = ampxa::policy::queries(&mine.parse().unwrap()).to_string();
    let session = narrowed(&function, &provisioner, Some(policy)).await.unwrap();
    assert!(session.query(&id(&mine), "up").unwrap().is_empty());
    denied(session.query(&id(&other), "up"), "aps:QueryMetrics");
    let role = session
        .iam()
        .get_role()
        .role_name("ampxa-target-provisioner")
        .send()
        .await;
    denied(role.map_err(|error| error.into_service_error()), "iam:GetRole");
}
