//! The parameters that an organization requires: a hub without AWS Organizations, with a role path, with permissions
//! boundaries and with limits on accounts and workspaces.

use crate::deployment::{deployment, pair_of, text, with};
use ampxa_cli::{account::Account, execution};
use aws_sdk_iam::error::ProvideErrorMetadata;
use driver::{REGION, demo, deploy, onboard, project::Project};
use serde_json::{Value, json};

const HUB: &str = "166666666666";
const SOURCE: &str = "266666666666";
const TARGET: &str = "366666666666";
/// An account with the target template that trusts the hub, but that is not one of the hub's `AllowedAccounts`.
const OTHER: &str = "377777777777";

/// The boundary of the organization for the roles that ampxa creates.
async fn create_pair_boundary(account: &Account) {
    let document = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": ["sts:AssumeRole", "aps:*"], "Resource": "*" },
    ] });
    let create = account.iam().create_policy().path("/company/").policy_name("workload");
    create.policy_document(document.to_string()).send().await.unwrap();
}

async fn deploy_hub(project: &Project, source: &Account, targets: [&Account; 2]) -> deploy::Hub {
    let python = project.python(&ampxa_cli::terminal::Report::quiet()).unwrap();
    for account in [source, targets[0], targets[1]] {
        create_pair_boundary(account).await;
    }
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let accounts = deploy::Accounts {
        hub: HUB.to_owned(),
        stack: "ampxa".to_owned(),
        sources: own(&[SOURCE]),
        targets: own(&[TARGET, OTHER]),
    };
    let names = ["RolePath=/platform/", "PairBoundaryName=company/workload"];
    let boundary = "PermissionsBoundaryArn=arn:aws:iam::aws:policy/AdministratorAccess";
    let workspaces =
        format!("AllowedWorkspaces=arn:aws:aps:*:{TARGET}:workspace/ws-*,arn:aws:aps:*:{OTHER}:workspace/ws-*");
    let key = format!("KmsKeyArn=arn:aws:kms:{REGION}:{HUB}:key/0a1b2c3d-4e5f-6789-abcd-ef0123456789");
    let wiring = deploy::Wiring {
        allowed_accounts: own(&[SOURCE, TARGET]),
        account_parameters: own(&[names[0], names[1], boundary]),
        parameters: own(&[
            names[0],
            names[1],
            boundary,
            &workspaces,
            &key,
            "RouteEventConcurrency=5",
        ]),
        ..deploy::Wiring::default()
    };
    deploy::deploy_wired(project, &python, &deployment().cloud, &accounts, &wiring)
        .await
        .unwrap()
}

/// Runs an execution; returns its output, or the error's name and the cause.
async fn run(hub: &Account, machine: &str, input: &Value) -> Result<Value, (String, String)> {
    let run = execution::run(hub, machine, input).await.unwrap();
    match run.output {
        Some(output) => Ok(output),
        None => Err((run.error.unwrap_or_default(), run.cause.unwrap_or_default())),
    }
}

#[tokio::test]
async fn a_hub_without_an_organization_reaches_only_its_accounts_and_keeps_the_guardrails() {
    let project = Project::here().unwrap();
    let [hub, source, target, other] = [HUB, SOURCE, TARGET, OTHER].map(|id| deployment().cloud.account(id, REGION));
    let machines = deploy_hub(&project, &source, [&target, &other]).await;
    let cluster = demo::Cluster::named("guarded").tag("local:activation-minutes", "0");
    let cluster = cluster.make(&source).await.unwrap();
    let workspace = async |account: &Account, accept: &str| {
        demo::workspace_that_accepts(account, "guarded", Some(accept))
            .await
            .unwrap()
    };
    let request = json!({ "clusterArn": cluster, "workspaceArn": workspace(&target, SOURCE).await });

    // The condition of the hub's policies, not the trust policy, denies an account that is not in the list.
    let outside = with(&request, json!({ "workspaceArn": workspace(&other, SOURCE).await }));
    let (error, cause) = run(&hub, &machines.onboard_arn, &outside).await.unwrap_err();
    assert!(
        error == "AccessDenied" && cause.contains("sts:AssumeRole") && cause.contains(OTHER),
        "{error}: {cause}"
    );

    let workspace_of_source = with(&request, json!({ "workspaceArn": workspace(&source, SOURCE).await }));
    let (error, cause) = run(&hub, &machines.onboard_arn, &workspace_of_source)
        .await
        .unwrap_err();
    assert!(
        error == "InvalidRequest" && cause.starts_with("workspaceArn: "),
        "{error}: {cause}"
    );
    assert!(cause.contains("AllowedWorkspaces") && cause.contains(TARGET), "{cause}");

    // Without an organization, the word accepts no account.
    let organization = with(
        &request,
        json!({ "workspaceArn": workspace(&target, "organization").await }),
    );
    let (error, cause) = run(&hub, &machines.onboard_arn, &organization).await.unwrap_err();
    assert!(
        error == "NotAccepted" && cause.contains("OrganizationId=NONE"),
        "{error}: {cause}"
    );

    let output = run(&hub, &machines.onboard_arn, &request).await.unwrap();
    let cloud = &deployment().cloud;
    let samples = onboard::wait_for_samples(cloud, &target, text(&request["workspaceArn"]), &cluster).await;
    assert!(!samples.unwrap().is_empty(), "{output}");
    let pair = pair_of(&request);
    for (account, side, name, field) in [
        (&source, "source", pair.source_role_name(), "sourceRoleArn"),
        (&target, "target", pair.target_role_name(), "targetRoleArn"),
    ] {
        let arn = format!("arn:aws:iam::{}:role/platform/{name}", account.id);
        assert_eq!(output[field], json!(arn));
        let role = ampxa_cli::document::role(account, &arn).await.unwrap();
        let boundary = format!("arn:aws:iam::{}:policy/company/workload", account.id);
        assert_eq!(role["permissionsBoundary"]["arn"], json!(boundary));
        let guard = format!("arn:aws:iam::{}:policy/ampxa-{side}-guard", account.id);
        let policies = role["policies"].as_array().unwrap();
        assert!(policies.iter().any(|policy| policy["arn"] == json!(guard)), "{role:#}");
        // While the pair exists, the stack cannot be deleted.
        let deletion = account.iam().delete_policy().policy_arn(&guard).send().await;
        assert_eq!(deletion.unwrap_err().code(), Some("DeleteConflict"));
    }
    let status = crate::command::ampxa(&[
        "status",
        "--live",
        "--local-cloud",
        &deployment().cloud.url,
        "--accounts",
        SOURCE,
    ])
    .envs([
        ("AMPXA_ROLE_PATH", "/platform/"),
        ("AMPXA_PAIR_BOUNDARY", "company/workload"),
    ])
    .output()
    .unwrap();
    let printed = String::from_utf8_lossy(&status.stdout).into_owned();
    let line = printed
        .lines()
        .find(|line| line.contains("cluster/guarded"))
        .expect(&printed);
    assert!(
        status.status.success() && line.trim_end().ends_with("none"),
        "{printed}"
    );

    // A second onboarding changes nothing, and an offboarding leaves nothing.
    let again = run(&hub, &machines.onboard_arn, &request).await.unwrap();
    assert_eq!(again["outcome"], "UNCHANGED", "{again}");
    run(&hub, &machines.offboard_arn, &request).await.unwrap();
    for account in [&source, &target] {
        let roles = account
            .iam()
            .list_roles()
            .path_prefix("/platform/ampxa-")
            .send()
            .await
            .unwrap();
        assert!(roles.roles().is_empty(), "{roles:?}");
        let roles = account
            .iam()
            .list_roles()
            .path_prefix("/platform/")
            .send()
            .await
            .unwrap();
        let left: Vec<&str> = roles.roles().iter().map(|role| role.role_name()).collect();
        assert!(
            left.iter()
                .all(|name| !name.starts_with(text(&json!("ampxa-source-"))) && !name.starts_with("ampxa-target-")),
            "{left:?}"
        );
    }
}

/// The rule of the templates: an organization, or a list of accounts.
#[tokio::test]
async fn a_template_without_an_organization_and_without_a_list_of_accounts_is_refused() {
    let project = Project::here().unwrap();
    let template = std::fs::read_to_string(project.root.join("infra/source-account.yaml")).unwrap();
    let account = deployment().cloud.account("288888888888", REGION);
    for (organization, allowed) in [("NONE", ""), ("o-a1b2c3d4e5", "222222222222")] {
        let answer = account.cloudformation(
            "CreateStack",
            &[
                ("StackName", "refused"),
                ("TemplateBody", &template),
                ("Capabilities.member.1", "CAPABILITY_NAMED_IAM"),
                ("Parameters.member.1.ParameterKey", "HubAccountId"),
                ("Parameters.member.1.ParameterValue", HUB),
                ("Parameters.member.2.ParameterKey", "OrganizationId"),
                ("Parameters.member.2.ParameterValue", organization),
                ("Parameters.member.3.ParameterKey", "AllowedAccounts"),
                ("Parameters.member.3.ParameterValue", allowed),
            ],
        );
        let refused = answer.map(|xml| xml.to_string()).unwrap_err().to_string();
        assert!(
            refused.contains("OrganizationId=NONE requires AllowedAccounts"),
            "{refused}"
        );
    }
}
