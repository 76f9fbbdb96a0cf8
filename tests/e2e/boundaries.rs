//! The guardrails of the provisioners: who may assume them, and what IAM denies them.

use crate::deployment::{HUB, SOURCE, TARGET, deployment};
use ampxa_cli::account::Account;
use aws_credential_types::Credentials;
use driver::{REGION, demo};

/// Creates a role in the hub that may assume every role that trusts it; returns a session of it.
async fn hub_principal(path: &str, name: &str) -> Account {
    hub_principal_of(&deployment().cloud.account(HUB, REGION), path, name).await
}

/// The same in another cloud.
pub async fn hub_principal_of(hub: &Account, path: &str, name: &str) -> Account {
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
    assume(hub, &format!("arn:aws:iam::{HUB}:role{path}{name}"))
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
        principal.endpoint_url().unwrap(),
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

/// The roles of the account templates: account, name, and the path of the hub's roles that it trusts.
fn roles_of_templates() -> [(&'static str, String, &'static str); 4] {
    let role = |account, side, kind, path| {
        (
            account,
            format!("arn:aws:iam::{account}:role/ampxa-{kind}-{side}"),
            path,
        )
    };
    [
        role(SOURCE, "source", "provisioner", "/ampxa/write/"),
        role(TARGET, "target", "provisioner", "/ampxa/write/"),
        role(SOURCE, "source", "reader", "/ampxa/read/"),
        role(TARGET, "target", "reader", "/ampxa/read/"),
    ]
}

/// The policies of the hub's roles in this test allow `sts:AssumeRole` on everything, so only the trust policy denies.
#[tokio::test]
async fn a_provisioner_trusts_only_functions_that_write_and_a_reader_only_functions_that_read() {
    let mut outsiders = Vec::new();
    // `*` in a trust policy also matches `/`, so the paths must not contain each other.
    for (path, name) in [
        ("/", "unrelated"),
        ("/ampxa/", "write"),
        ("/ampxa/writers/", "a"),
        ("/x/ampxa/read/", "a"),
    ] {
        outsiders.push(hub_principal(path, &format!("{name}{}", path.replace('/', "-"))).await);
    }
    outsiders.push(deployment().cloud.account(HUB, REGION));
    outsiders.push(deployment().cloud.account("777777777777", REGION));
    let writer = hub_principal("/ampxa/write/", "a-writer").await;
    let reader = hub_principal("/ampxa/read/", "a-reader").await;
    for (_, role, path) in roles_of_templates() {
        for outsider in &outsiders {
            assert_denied(assume(outsider, &role).await, "sts:AssumeRole");
        }
        let (trusted, other) = if path == "/ampxa/write/" {
            (&writer, &reader)
        } else {
            (&reader, &writer)
        };
        assert_denied(assume(other, &role).await, "sts:AssumeRole");
        assume(trusted, &role)
            .await
            .expect("a function of the hub could not assume the role");
    }
}

/// A session of a provisioner.
struct Provisioner {
    iam: aws_sdk_iam::Client,
    /// The ARN of the permissions boundary of the roles that it creates.
    boundary: String,
}

impl Provisioner {
    async fn assumed_by(function: &Account, account: &str, side: &str) -> Self {
        let own = format!("ampxa-provisioner-{side}");
        let session = assume(function, &format!("arn:aws:iam::{account}:role/{own}")).await;
        Self {
            iam: session.unwrap().iam(),
            boundary: format!("arn:aws:iam::{account}:policy/ampxa-{side}-boundary"),
        }
    }
}

#[tokio::test]
async fn a_provisioner_creates_only_roles_with_its_prefix_and_its_boundary() {
    let function = hub_principal("/ampxa/write/", "bounded").await;
    for (account, side) in [(SOURCE, "source"), (TARGET, "target")] {
        let Provisioner { iam, boundary } = Provisioner::assumed_by(&function, account, side).await;
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

/// Asserts that IAM denies every change of a role.
async fn assert_cannot_change(provisioner: &Provisioner, role: &str) {
    let Provisioner { iam, boundary } = provisioner;
    let put = iam.put_role_policy().role_name(role).policy_name("more");
    assert_denied(put.policy_document(ALLOW_EVERYTHING).send().await, "iam:PutRolePolicy");
    let trust = iam.update_assume_role_policy().role_name(role);
    assert_denied(
        trust.policy_document(TRUST_EVERYONE).send().await,
        "iam:UpdateAssumeRolePolicy",
    );
    let delete = iam.delete_role_policy().role_name(role).policy_name("provision");
    assert_denied(delete.send().await, "iam:DeleteRolePolicy");
    let attach = iam.attach_role_policy().role_name(role);
    let managed = "arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess";
    assert_denied(attach.policy_arn(managed).send().await, "iam:AttachRolePolicy");
    let detach = iam.detach_role_policy().role_name(role).policy_arn(boundary);
    assert_denied(detach.send().await, "iam:DetachRolePolicy");
    assert_denied(iam.delete_role().role_name(role).send().await, "iam:DeleteRole");
}

#[tokio::test]
async fn a_provisioner_cannot_change_itself_the_reader_or_its_boundary() {
    let function = hub_principal("/ampxa/write/", "itself").await;
    for (account, side) in [(SOURCE, "source"), (TARGET, "target")] {
        let provisioner = Provisioner::assumed_by(&function, account, side).await;
        let Provisioner { iam, boundary } = &provisioner;
        for role in [format!("ampxa-provisioner-{side}"), format!("ampxa-reader-{side}")] {
            assert_cannot_change(&provisioner, &role).await;
            let put = iam.put_role_permissions_boundary().role_name(&role);
            let put = put.permissions_boundary(boundary).send().await;
            assert_denied(put, "iam:PutRolePermissionsBoundary");
            let tag = aws_sdk_iam::types::Tag::builder().key("a").value("b").build().unwrap();
            assert_denied(iam.tag_role().role_name(&role).tags(tag).send().await, "iam:TagRole");
        }
        assert_denied(
            iam.create_policy_version()
                .policy_arn(boundary)
                .policy_document(ALLOW_EVERYTHING)
                .set_as_default(true)
                .send()
                .await,
            "iam:CreatePolicyVersion",
        );
        assert_denied(
            iam.delete_policy().policy_arn(boundary).send().await,
            "iam:DeletePolicy",
        );
        assert_denied(iam.create_user().user_name("mallory").send().await, "iam:CreateUser");
        assert_denied(
            iam.create_access_key().user_name("mallory").send().await,
            "iam:CreateAccessKey",
        );
    }
}

/// A role with the name prefix that the hub did not create: without the boundary, and with our tag.
#[tokio::test]
async fn a_provisioner_cannot_change_a_role_without_the_boundary_even_with_our_tag() {
    let function = hub_principal("/ampxa/write/", "unbounded").await;
    for (account, side) in [(SOURCE, "source"), (TARGET, "target")] {
        let name = format!("ampxa-{side}-unbounded");
        let root = deployment().cloud.account(account, REGION).iam();
        let create = root.create_role().role_name(&name);
        create.assume_role_policy_document(EMPTY_POLICY).send().await.unwrap();
        let provisioner = Provisioner::assumed_by(&function, account, side).await;
        // TagRole has no condition key for the boundary, so the tag can be set. It does not help.
        let tag = aws_sdk_iam::types::Tag::builder()
            .key("ampxa:cluster")
            .value("a")
            .build()
            .unwrap();
        provisioner
            .iam
            .tag_role()
            .role_name(&name)
            .tags(tag)
            .send()
            .await
            .unwrap();
        assert_cannot_change(&provisioner, &name).await;
        // With the boundary first, the role can be changed, and has at most the permissions of the boundary.
        let put = provisioner.iam.put_role_permissions_boundary().role_name(&name);
        put.permissions_boundary(&provisioner.boundary).send().await.unwrap();
        provisioner.iam.delete_role().role_name(&name).send().await.unwrap();
    }
}

#[tokio::test]
async fn a_provisioner_cannot_create_a_role_whose_path_contains_the_prefix() {
    let function = hub_principal("/ampxa/write/", "paths").await;
    for (account, side) in [(SOURCE, "source"), (TARGET, "target")] {
        let Provisioner { iam, boundary } = Provisioner::assumed_by(&function, account, side).await;
        let create = iam.create_role().path(format!("/ampxa-{side}-x/")).role_name("y");
        let create = create
            .assume_role_policy_document(EMPTY_POLICY)
            .permissions_boundary(boundary);
        assert_denied(create.send().await, "iam:CreateRole");
    }
}

/// The session of the step that queries samples may query its workspace and nothing else, although the reader may do
/// more.
#[tokio::test]
async fn a_session_for_samples_may_query_one_workspace_and_do_nothing_else() {
    let target = deployment().cloud.account(TARGET, REGION);
    let (own, other) = (
        demo::workspace(&target, "mine").await.unwrap(),
        demo::workspace(&target, "other").await.unwrap(),
    );
    let function = hub_principal("/ampxa/read/", "queries-samples").await;
    let reader = format!("arn:aws:iam::{TARGET}:role/ampxa-reader-target");
    let id = |workspace: &str| workspace.rsplit('/').next().unwrap().to_owned();

    let full = assume(&function, &reader).await.unwrap();
    full.query(&id(&other), "up").unwrap();

    let policy = ampxa::policy::query_permissions(&own.parse().unwrap()).to_string();
    let session = assume_with_policy(&function, &reader, Some(policy)).await.unwrap();
    assert!(session.query(&id(&own), "up").unwrap().is_empty());
    assert_denied(session.query(&id(&other), "up"), "aps:QueryMetrics");
    let role = session.iam().get_role().role_name("ampxa-reader-target").send().await;
    assert_denied(role.map_err(|error| error.into_service_error()), "iam:GetRole");
}
