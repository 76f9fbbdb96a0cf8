//! The guardrails of the provisioners: who may assume them, and what IAM denies them.

use crate::deployment::{HUB, SOURCE, TARGET, deployment};
use ampxa_cli::account::Account;
use aws_credential_types::Credentials;
use driver::{REGION, demo};

/// Creates a role in the hub that may assume every role that trusts it; returns a session of it.
async fn hub_principal(path: &str, name: &str) -> Account {
    let hub = deployment().cloud.account(HUB, REGION);
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
        .expect("the root user of the hub could not assume a role of the hub")
}

async fn assume(principal: &Account, role: &str) -> Result<Account, String> {
    assume_with_policy(principal, role, None).await
}

/// The same with a session policy.
async fn assume_with_policy(principal: &Account, role: &str, policy: Option<String>) -> Result<Account, String> {
    let assume = principal.sts().assume_role().role_arn(role).role_session_name("test");
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
        &deployment().cloud.url,
        account,
        REGION,
        credentials,
    ))
}

/// Asserts that IAM denied an action.
fn assert_denied<T: std::fmt::Debug, E: std::fmt::Debug>(answer: Result<T, E>, action: &str) {
    let why = format!("{:?}", answer.expect_err(action));
    assert!(why.contains("AccessDenied") && why.contains(action), "{action}: {why}");
}

const EMPTY_POLICY: &str = r#"{"Version":"2012-10-17","Statement":[]}"#;
const ALLOW_EVERYTHING: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
const TRUST_EVERYONE: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;

#[tokio::test]
async fn only_functions_of_the_hub_may_assume_a_provisioner() {
    let unrelated = hub_principal("/", "not-a-function").await;
    let function = hub_principal("/ampxa/", "a-function").await;
    for (account, side) in [(SOURCE, "source"), (TARGET, "target")] {
        let provisioner = format!("arn:aws:iam::{account}:role/ampxa-{side}-provisioner");
        assert_denied(assume(&unrelated, &provisioner).await, "sts:AssumeRole");
        assert_denied(
            assume(&deployment().cloud.account(HUB, REGION), &provisioner).await,
            "sts:AssumeRole",
        );
        assert_denied(
            assume(&deployment().cloud.account("777777777777", REGION), &provisioner).await,
            "sts:AssumeRole",
        );
        assume(&function, &provisioner)
            .await
            .expect("a function of the hub could not assume the provisioner");
    }
}

/// A session of a provisioner.
struct Provisioner {
    /// The name of its role.
    own: String,
    iam: aws_sdk_iam::Client,
    /// The ARN of the permissions boundary of the roles that it creates.
    boundary: String,
}

impl Provisioner {
    async fn assumed_by(function: &Account, account: &str, side: &str) -> Self {
        let own = format!("ampxa-{side}-provisioner");
        let session = assume(function, &format!("arn:aws:iam::{account}:role/{own}")).await;
        Self {
            own,
            iam: session.unwrap().iam(),
            boundary: format!("arn:aws:iam::{account}:policy/ampxa-{side}-boundary"),
        }
    }
}

#[tokio::test]
async fn a_provisioner_creates_only_roles_with_its_prefix_and_its_boundary() {
    let function = hub_principal("/ampxa/", "bounded").await;
    for (account, side) in [(SOURCE, "source"), (TARGET, "target")] {
        let Provisioner { iam, boundary, .. } = Provisioner::assumed_by(&function, account, side).await;
        let create = |name: &str| {
            iam.create_role()
                .role_name(name)
                .assume_role_policy_document(EMPTY_POLICY)
        };
        let name = format!("ampxa-{side}-bounded");

        assert_denied(create(&name).send().await, "iam:CreateRole");
        let other = "arn:aws:iam::aws:policy/AdministratorAccess";
        assert_denied(create(&name).permissions_boundary(other).send().await, "iam:CreateRole");
        assert_denied(
            create("something-else").permissions_boundary(&boundary).send().await,
            "iam:CreateRole",
        );
        let of_other_side = if side == "source" {
            "ampxa-target-bounded"
        } else {
            "ampxa-source-bounded"
        };
        assert_denied(
            create(of_other_side).permissions_boundary(&boundary).send().await,
            "iam:CreateRole",
        );
        create(&name)
            .permissions_boundary(&boundary)
            .send()
            .await
            .expect("a role with the prefix and the boundary could not be created");

        let attach = |arn: &str| iam.attach_role_policy().role_name(&name).policy_arn(arn);
        assert_denied(attach(other).send().await, "iam:AttachRolePolicy");
        let other_boundary = iam
            .put_role_permissions_boundary()
            .role_name(&name)
            .permissions_boundary(other);
        assert_denied(other_boundary.send().await, "iam:PutRolePermissionsBoundary");
        assert_denied(
            iam.delete_role_permissions_boundary().role_name(&name).send().await,
            "iam:DeleteRolePermissionsBoundary",
        );
        iam.put_role_policy()
            .role_name(&name)
            .policy_name("p")
            .policy_document(ALLOW_EVERYTHING)
            .send()
            .await
            .expect("a policy could not be added to a role with the boundary");
    }
}

#[tokio::test]
async fn a_provisioner_cannot_change_itself_or_its_boundary() {
    let function = hub_principal("/ampxa/", "itself").await;
    for (account, side) in [(SOURCE, "source"), (TARGET, "target")] {
        let Provisioner { own, iam, boundary } = Provisioner::assumed_by(&function, account, side).await;
        assert_denied(
            iam.put_role_policy()
                .role_name(&own)
                .policy_name("more")
                .policy_document(ALLOW_EVERYTHING)
                .send()
                .await,
            "iam:PutRolePolicy",
        );
        assert_denied(
            iam.update_assume_role_policy()
                .role_name(&own)
                .policy_document(TRUST_EVERYONE)
                .send()
                .await,
            "iam:UpdateAssumeRolePolicy",
        );
        assert_denied(
            iam.put_role_permissions_boundary()
                .role_name(&own)
                .permissions_boundary(&boundary)
                .send()
                .await,
            "iam:PutRolePermissionsBoundary",
        );
        assert_denied(
            iam.delete_role_policy()
                .role_name(&own)
                .policy_name("provision")
                .send()
                .await,
            "iam:DeleteRolePolicy",
        );
        assert_denied(
            iam.create_policy_version()
                .policy_arn(&boundary)
                .policy_document(ALLOW_EVERYTHING)
                .set_as_default(true)
                .send()
                .await,
            "iam:CreatePolicyVersion",
        );
        assert_denied(
            iam.delete_policy().policy_arn(&boundary).send().await,
            "iam:DeletePolicy",
        );
        assert_denied(iam.create_user().user_name("mallory").send().await, "iam:CreateUser");
        assert_denied(
            iam.create_access_key().user_name("mallory").send().await,
            "iam:CreateAccessKey",
        );
    }
}

#[tokio::test]
async fn a_provisioner_cannot_add_a_policy_to_a_role_without_the_boundary() {
    let function = hub_principal("/ampxa/", "unbounded").await;
    for (account, side) in [(SOURCE, "source"), (TARGET, "target")] {
        let name = format!("ampxa-{side}-unbounded");
        let root = deployment().cloud.account(account, REGION).iam();
        root.create_role()
            .role_name(&name)
            .assume_role_policy_document(EMPTY_POLICY)
            .send()
            .await
            .unwrap();
        let provisioner = format!("arn:aws:iam::{account}:role/ampxa-{side}-provisioner");
        let iam = assume(&function, &provisioner).await.unwrap().iam();
        assert_denied(
            iam.put_role_policy()
                .role_name(&name)
                .policy_name("more")
                .policy_document(ALLOW_EVERYTHING)
                .send()
                .await,
            "iam:PutRolePolicy",
        );
    }
}

/// The session of the step that queries samples may query its workspace and nothing else, although the provisioner may
/// do more.
#[tokio::test]
async fn a_session_for_samples_may_query_one_workspace_and_do_nothing_else() {
    let target = deployment().cloud.account(TARGET, REGION);
    let (own, other) = (
        demo::workspace(&target, "mine").await.unwrap(),
        demo::workspace(&target, "other").await.unwrap(),
    );
    let function = hub_principal("/ampxa/", "queries-samples").await;
    let provisioner = format!("arn:aws:iam::{TARGET}:role/ampxa-target-provisioner");
    let id = |workspace: &str| workspace.rsplit('/').next().unwrap().to_owned();

    let full = assume(&function, &provisioner).await.unwrap();
    full.query(&id(&other), "up").unwrap();

    let policy = ampxa::policy::query_permissions(&own.parse().unwrap()).to_string();
    let session = assume_with_policy(&function, &provisioner, Some(policy)).await.unwrap();
    assert!(session.query(&id(&own), "up").unwrap().is_empty());
    assert_denied(session.query(&id(&other), "up"), "aps:QueryMetrics");
    let role = session
        .iam()
        .get_role()
        .role_name("ampxa-target-provisioner")
        .send()
        .await;
    assert_denied(role.map_err(|error| error.into_service_error()), "iam:GetRole");
}
