//! The checks of `Check cluster`, before anything is created.

use crate::{
    replies::{
        cluster, ec2_error, iam_error, rest_error, scraper, scrapers, security_groups, subnets, subnets_of,
        vpc_attribute, workspace, workspace_with_tags,
    },
    script::{Exchange, SCRAPER, Script, call, lost, task},
};
use ampxa::{
    cluster::{self, Clients, Quotas, Readiness},
    consent,
    error::Error,
    network::Network,
    request::Preparation,
};
use serde_json::{Value, json};

async fn check(exchanges: impl IntoIterator<Item = Exchange>, request: Value) -> Result<cluster::Output, Error> {
    check_in(exchanges, request, WITHOUT_ORGANIZATION).await
}

const WITHOUT_ORGANIZATION: consent::Settings = consent::Settings {
    organization: false,
    organizations_access: false,
};
pub const IN_ORGANIZATION: consent::Settings = consent::Settings {
    organization: true,
    organizations_access: true,
};

/// The check by a hub with these settings of consent.
async fn check_in(
    exchanges: impl IntoIterator<Item = Exchange>,
    request: Value,
    consent: consent::Settings,
) -> Result<cluster::Output, Error> {
    let script = Script::new(exchanges);
    let (source, target) = (script.account_of("source"), script.account_of("target"));
    let clients = Clients {
        eks: source.eks(),
        ec2: source.ec2(),
        source_iam: source.iam(),
        source_amp: source.amp(),
        target_amp: target.amp(),
        consent: consent::Clients {
            organizations: script.account_of("hub").organizations(),
            target_iam: target.iam(),
        },
    };
    let settings = cluster::Settings {
        quotas: Quotas::default(),
        allowed_workspaces: Vec::new(),
        consent,
    };
    let checked = cluster::check(&clients, &task::<cluster::Input>(request, json!({})), &settings).await;
    script.assert_finished();
    checked
}

fn described(status: &str, private: bool, mode: &str) -> Exchange {
    call("GET /clusters/demo", 200, cluster(status, private, mode))
}

/// The exchanges of a check without problems.
fn all_pass() -> Vec<Exchange> {
    vec![
        described("ACTIVE", true, "API").in_account("source"),
        call("GET /workspaces/ws-1", 200, workspace("ACTIVE")).in_account("target"),
        call("GET /scrapers", 200, scrapers(&[])).in_account("source"),
        call("DescribeVpcAttribute", 200, vpc_attribute("enableDnsSupport", true))
            .with_text("https://ec2.us-west-2.amazonaws.com/")
            .with_text("Attribute=enableDnsSupport")
            .in_account("source"),
        call("DescribeVpcAttribute", 200, vpc_attribute("enableDnsHostnames", true)).with_text("VpcId=vpc-1"),
        call(
            "DescribeSubnets",
            200,
            subnets(&[("subnet-b", "b", 5), ("subnet-a", "a", 5)]),
        )
        .with_text("Version=2016-11-15&Filter.1.Name=subnet-id&Filter.1.Value.1=subnet-a&Filter.1.Value.2=subnet-b"),
    ]
}

/// The exchanges of [`all_pass`] with another one at a position: the other checks are made.
fn with(position: usize, exchange: Exchange) -> Vec<Exchange> {
    let mut exchanges = all_pass();
    exchanges[position] = exchange;
    exchanges
}

/// The exchanges of [`all_pass`] with a cluster that is missing or not ACTIVE: it has no network to check.
fn with_missing_cluster(exchange: Exchange) -> Vec<Exchange> {
    let mut exchanges = with(0, exchange);
    exchanges.truncate(3);
    exchanges
}

async fn assert_fails(exchanges: Vec<Exchange>, request: Value, name: &str, message: &str) {
    let error = check(exchanges, request).await.unwrap_err();
    assert_eq!(error.name(), name, "{error}");
    assert!(error.to_string().contains(message), "{error}");
}

#[tokio::test]
async fn a_ready_cluster_yields_one_subnet_per_zone_and_its_cluster_security_group_first() {
    let checked = check(all_pass(), json!({})).await.unwrap();
    let network = Network {
        subnet_ids: vec!["subnet-a".to_owned(), "subnet-b".to_owned()],
        security_group_ids: vec!["sg-1".to_owned(), "sg-2".to_owned()],
    };
    assert_eq!(checked.readiness, Readiness::Ready);
    assert_eq!(checked.network, Some(network));
    assert!(checked.scraper.is_none() && !checked.manual_access);
}

#[tokio::test]
async fn a_cluster_that_is_created_or_updated_is_waited_for_without_a_network_check() {
    for status in ["CREATING", "UPDATING", "PENDING"] {
        let mut exchanges = all_pass();
        exchanges[0] = described(status, true, "API");
        exchanges.truncate(3);
        let checked = check(exchanges, json!({})).await.unwrap();
        assert_eq!(
            (checked.readiness, checked.network),
            (Readiness::Waiting, None),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_cluster_that_cannot_be_scraped_is_not_ready() {
    let missing = call(
        "GET /clusters/demo",
        404,
        rest_error("ResourceNotFoundException", "No cluster found for name: demo."),
    );
    assert_fails(
        with_missing_cluster(missing),
        json!({}),
        "NotReady",
        "cluster/demo does not exist",
    )
    .await;
    for status in ["FAILED", "DELETING"] {
        assert_fails(
            with_missing_cluster(described(status, true, "API")),
            json!({}),
            "NotReady",
            status,
        )
        .await;
    }
    let private = "aws eks update-cluster-config --region us-west-2 --name demo --resources-vpc-config endpointPrivateAccess=true";
    assert_fails(
        with(0, described("ACTIVE", false, "API")),
        json!({}),
        "NotReady",
        private,
    )
    .await;
    let mode = "--access-config authenticationMode=API_AND_CONFIG_MAP";
    assert_fails(
        with_missing_cluster(described("CREATING", true, "CONFIG_MAP")),
        json!({}),
        "NotReady",
        mode,
    )
    .await;
    let wait =
        "wait until EKS has finished the update:\n  aws eks wait cluster-active --region us-west-2 --name demo\n";
    for message in [mode, private, wait] {
        let exchanges = with(0, described("ACTIVE", false, "CONFIG_MAP"));
        assert_fails(exchanges, json!({}), "NotReady", message).await;
    }
    let manual = json!({ "clusterAccess": "MANUAL" });
    assert_fails(
        with(0, described("ACTIVE", false, "CONFIG_MAP")),
        manual,
        "NotReady",
        private,
    )
    .await;
}

/// `GetRolePolicy` of the provisioner of an account that gives a permission, or of one that does not.
pub fn permission(policy: &str, is_given: bool) -> Exchange {
    let (status, body) = match is_given {
        true => (
            200,
            "<GetRolePolicyResponse><GetRolePolicyResult><RoleName>r</RoleName><PolicyName>p</PolicyName>\
             <PolicyDocument>%7B%7D</PolicyDocument></GetRolePolicyResult></GetRolePolicyResponse>"
                .to_owned(),
        ),
        false => (404, iam_error("NoSuchEntity", "The role policy cannot be found.")),
    };
    let names = format!("RoleName=ampxa-provisioner-source&PolicyName={policy}");
    call("GetRolePolicy", status, body).with_text(names)
}

#[tokio::test]
async fn a_cluster_is_prepared_if_request_and_account_allow_all_missing_changes() {
    let both = json!({ "prepareCluster": ["ACCESS_ENTRIES", "PRIVATE_ENDPOINT"] });
    let roles = [(); 2].map(|()| call("GetRole", 404, iam_error("NoSuchEntity", "The role cannot be found.")));
    let unprepared = |exists| {
        let mut exchanges = with(0, described("ACTIVE", false, "CONFIG_MAP"));
        exchanges.insert(1, permission("prepare-clusters", exists));
        exchanges
    };
    let mut passed = all_pass();
    passed[0] = described("ACTIVE", false, "CONFIG_MAP");
    passed.insert(1, permission("prepare-clusters", true));
    passed.extend(roles);
    let checked = check(passed, both.clone()).await.unwrap();
    let expected = [Preparation::PrivateEndpoint, Preparation::AccessEntries];
    assert_eq!((checked.preparations, checked.manual_access), (expected.into(), false));
    let deploy = "the account does not: deploy the stack of infra/source-account.yaml in the account 222222222222 with \
                  MayPrepareClusters=yes";
    for message in [deploy, "aws eks update-cluster-config"] {
        assert_fails(unprepared(false), both.clone(), "NotReady", message).await;
    }
    // If the request does not allow all of them, the account is not read.
    let one = json!({ "prepareCluster": ["PRIVATE_ENDPOINT"] });
    let message = "\"prepareCluster\": [\"PRIVATE_ENDPOINT\", \"ACCESS_ENTRIES\"] in the request";
    assert_fails(
        with(0, described("ACTIVE", false, "CONFIG_MAP")),
        one,
        "NotReady",
        message,
    )
    .await;
}

#[tokio::test]
async fn manual_access_applies_only_to_a_cluster_in_config_map_mode() {
    for (mode, manual) in [("CONFIG_MAP", true), ("API", false), ("API_AND_CONFIG_MAP", false)] {
        let mut exchanges = all_pass();
        exchanges[0] = described("ACTIVE", true, mode);
        let checked = check(exchanges, json!({ "clusterAccess": "MANUAL" })).await.unwrap();
        assert_eq!(checked.manual_access, manual, "{mode}");
    }
}

#[tokio::test]
async fn the_workspace_must_exist_and_be_active() {
    let missing = call(
        "GET /workspaces/ws-1",
        404,
        rest_error("ResourceNotFoundException", "Workspace not found"),
    );
    assert_fails(with(1, missing), json!({}), "NotReady", "workspace/ws-1 does not exist").await;
    for status in ["CREATING", "DELETING", "CREATION_FAILED"] {
        assert_fails(
            with(1, call("GET /workspaces/ws-1", 200, workspace(status))),
            json!({}),
            "NotReady",
            status,
        )
        .await;
    }
}

#[tokio::test]
async fn a_cluster_without_an_authentication_mode_is_treated_as_config_map() {
    let mut described: Value = serde_json::from_str(&cluster("ACTIVE", true, "API")).unwrap();
    described["cluster"].as_object_mut().unwrap().remove("accessConfig");
    let exchange = call("GET /clusters/demo", 200, described.to_string());
    assert_fails(with(0, exchange), json!({}), "NotReady", "API_AND_CONFIG_MAP").await;
}

#[tokio::test]
async fn a_workspace_that_is_being_updated_is_ready() {
    let mut exchanges = all_pass();
    exchanges[1] = call("GET /workspaces/ws-1", 200, workspace("UPDATING"));
    assert_eq!(check(exchanges, json!({})).await.unwrap().readiness, Readiness::Ready);
}

#[tokio::test]
async fn a_foreign_scraper_of_the_pair_is_a_conflict_before_anything_is_created() {
    let foreign = call("GET /scrapers", 200, scrapers(&[scraper("ACTIVE", false)]));
    assert_fails(with(2, foreign), json!({}), "Conflict", SCRAPER).await;
}

#[tokio::test]
async fn subnets_of_the_request_are_checked_and_used_in_their_order() {
    let (a, b) = ("subnet-0000000a", "subnet-0000000b");
    let chosen = json!({ "subnetIds": [b, a] });
    let response = |all: &[(&str, &str, &str, u32)]| {
        let filter = format!("Filter.1.Value.1={b}&Filter.1.Value.2={a}");
        call("DescribeSubnets", 200, subnets_of(all)).with_text(filter)
    };
    let valid = response(&[(a, "vpc-1", "a", 1), (b, "vpc-1", "b", 1)]);
    let checked = check(with(5, valid), chosen.clone()).await.unwrap();
    assert_eq!(checked.network.unwrap().subnet_ids, [b, a]);
    for (existing, message) in [
        (
            vec![(b, "vpc-1", "b", 1)],
            "subnetIds[1]: subnet-0000000a does not exist",
        ),
        (
            vec![(a, "vpc-2", "a", 1), (b, "vpc-1", "b", 1)],
            "subnetIds[1]: subnet-0000000a is in vpc-2",
        ),
        (
            vec![(a, "vpc-1", "a", 0), (b, "vpc-1", "b", 1)],
            "subnetIds[1]: subnet-0000000a has no free IP address",
        ),
        (
            vec![(a, "vpc-1", "b", 1), (b, "vpc-1", "b", 1)],
            "subnetIds[1]: subnet-0000000a is in the Availability Zone b, like subnetIds[0]",
        ),
    ] {
        assert_fails(with(5, response(&existing)), chosen.clone(), "InvalidRequest", message).await;
    }
}

#[tokio::test]
async fn a_cluster_with_free_addresses_in_one_zone_only_is_not_ready() {
    let full = subnets(&[("subnet-a", "a", 5), ("subnet-b", "b", 0), ("subnet-c", "a", 5)]);
    assert_fails(
        with(5, call("DescribeSubnets", 200, full)),
        json!({}),
        "NotReady",
        "1 Availability Zone",
    )
    .await;
}

#[tokio::test]
async fn security_groups_of_the_request_must_be_in_the_clusters_vpc() {
    let chosen = json!({ "securityGroupIds": ["sg-00000009"] });
    let exchanges = |groups: &[(&str, Option<&str>)]| {
        let mut exchanges = all_pass();
        exchanges.push(
            call("DescribeSecurityGroups", 200, security_groups(groups))
                .with_text("Version=2016-11-15&Filter.1.Name=group-id&Filter.1.Value.1=sg-00000009")
                .in_account("source"),
        );
        exchanges
    };
    let checked = check(exchanges(&[("sg-00000009", Some("vpc-1"))]), chosen.clone())
        .await
        .unwrap();
    assert_eq!(checked.network.unwrap().security_group_ids, ["sg-00000009"]);
    for (existing, message) in [
        (vec![], "securityGroupIds[0]: sg-00000009 does not exist"),
        (
            vec![("sg-00000009", Some("vpc-2"))],
            "securityGroupIds[0]: sg-00000009 is in vpc-2",
        ),
        (
            vec![("sg-00000009", None)],
            "securityGroupIds[0]: sg-00000009 is in no VPC",
        ),
    ] {
        assert_fails(exchanges(&existing), chosen.clone(), "InvalidRequest", message).await;
    }
}

#[tokio::test]
async fn at_most_five_security_groups_of_the_cluster_are_used() {
    let mut described: Value = serde_json::from_str(&cluster("ACTIVE", true, "API")).unwrap();
    let many = ["sg-2", "sg-3", "sg-4", "sg-5", "sg-6", "sg-1"];
    described["cluster"]["resourcesVpcConfig"]["securityGroupIds"] = json!(many);
    let mut exchanges = all_pass();
    exchanges[0] = call("GET /clusters/demo", 200, described.to_string());
    let network = check(exchanges, json!({})).await.unwrap().network.unwrap();
    assert_eq!(network.security_group_ids, ["sg-1", "sg-2", "sg-3", "sg-4", "sg-5"]);
}

#[tokio::test]
async fn a_full_quota_prevents_a_new_scraper_but_not_the_existing_one() {
    let mut others: Vec<Value> = (0..10).map(|_| scraper("ACTIVE", true)).collect();
    for other in &mut others {
        other["destination"]["ampConfiguration"]["workspaceArn"] =
            json!("arn:aws:aps:us-west-2:333333333333:workspace/ws-2");
    }
    assert_fails(
        with(2, call("GET /scrapers", 200, scrapers(&others))),
        json!({}),
        "QuotaExceeded",
        "10 scrapers",
    )
    .await;
    others[9] = scraper("ACTIVE", true);
    let mut exchanges = all_pass();
    exchanges[2] = call("GET /scrapers", 200, scrapers(&others));
    let checked = check(exchanges, json!({})).await.unwrap();
    assert_eq!(checked.scraper.unwrap().scraper_arn, SCRAPER);
}

#[tokio::test]
async fn the_vpc_must_support_dns() {
    let off = |name: &str| call("DescribeVpcAttribute", 200, vpc_attribute(name, false));
    assert_fails(
        with(3, off("enableDnsSupport")),
        json!({}),
        "NotReady",
        "--enable-dns-support",
    )
    .await;
    assert_fails(
        with(4, off("enableDnsHostnames")),
        json!({}),
        "NotReady",
        "--enable-dns-hostnames",
    )
    .await;
}

#[tokio::test]
async fn errors_of_ec2_have_names() {
    let denied = call(
        "DescribeVpcAttribute",
        403,
        ec2_error("UnauthorizedOperation", "You are not authorized"),
    );
    assert_fails(
        with(3, denied),
        json!({}),
        "AccessDenied",
        "ec2:DescribeVpcAttribute failed with UnauthorizedOperation",
    )
    .await;
    let throttled = call("DescribeSubnets", 503, ec2_error("RequestLimitExceeded", "slow down"));
    assert_fails(with(5, throttled), json!({}), "Transient", "ec2:DescribeSubnets").await;
    let page = call("DescribeSubnets", 502, "<html>Bad gateway</html>");
    assert_fails(with(5, page), json!({}), "Transient", "HTTP 502").await;
    let unreadable = call("DescribeSubnets", 200, "<html>hello</html>");
    assert_fails(with(5, unreadable), json!({}), "Transient", "ec2:DescribeSubnets").await;
}

#[tokio::test]
async fn ec2_calls_are_retried_by_the_sdk() {
    for transient in [
        call("DescribeSubnets", 503, ec2_error("RequestLimitExceeded", "slow down")),
        call("DescribeSubnets", 400, ec2_error("Throttling", "Rate exceeded")),
        call("DescribeSubnets", 502, "<html>Bad gateway</html>"),
        lost("DescribeSubnets"),
    ] {
        let script = Script::new([
            transient,
            call("DescribeSubnets", 200, subnets(&[("subnet-a", "a", 1)])),
        ]);
        let retries =
            aws_smithy_types::retry::RetryConfig::standard().with_initial_backoff(std::time::Duration::from_millis(1));
        let account = script.account_in("us-west-2", "source", retries);
        let subnets = account.ec2().subnets(&["subnet-a".to_owned()]).await.unwrap();
        assert_eq!(subnets.len(), 1);
        script.assert_finished();
    }
}

#[tokio::test]
async fn the_ec2_endpoint_follows_from_the_region() {
    for (region, host) in [
        ("eu-central-1", "https://ec2.eu-central-1.amazonaws.com/"),
        ("us-gov-east-1", "https://ec2.us-gov-east-1.amazonaws.com/"),
    ] {
        let script = Script::new([call("DescribeSubnets", 200, subnets(&[])).with_text(host)]);
        let retries = aws_smithy_types::retry::RetryConfig::disabled();
        let account = script.account_in(region, "source", retries);
        assert_eq!(account.ec2().subnets(&["subnet-a".to_owned()]).await.unwrap(), []);
        script.assert_finished();
    }
}

#[tokio::test]
async fn a_permanent_error_of_ec2_is_not_retried() {
    let denied = call(
        "DescribeSubnets",
        403,
        ec2_error("UnauthorizedOperation", "You are not authorized"),
    );
    let script = Script::new([denied]);
    let retries = aws_smithy_types::retry::RetryConfig::standard();
    let error = script
        .account_in("us-west-2", "source", retries)
        .ec2()
        .subnets(&[])
        .await
        .unwrap_err();
    assert_eq!(Error::from(error).name(), "AccessDenied");
    script.assert_finished();
}

/// The exchanges of a check of a workspace with these tags, up to the check of consent.
fn with_workspace_tags(tags: Value) -> Vec<Exchange> {
    let mut exchanges = all_pass();
    exchanges[1] = call("GET /workspaces/ws-1", 200, workspace_with_tags(tags));
    exchanges.truncate(3);
    exchanges
}

/// The exchanges of the check of the network.
fn network() -> impl Iterator<Item = Exchange> {
    all_pass().into_iter().skip(3)
}

/// The response of GetRole for the reader of the target account, with these tags.
pub fn reader(tags: &[(&str, &str)]) -> Exchange {
    let tags: String = tags
        .iter()
        .map(|(key, value)| format!("<member><Key>{key}</Key><Value>{value}</Value></member>"))
        .collect();
    let role = format!(
        "<GetRoleResponse><GetRoleResult><Role><Path>/</Path><RoleName>ampxa-reader-target</RoleName><RoleId>AROA</RoleId>\
         <Arn>arn:aws:iam::333333333333:role/ampxa-reader-target</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate>\
         <Tags>{tags}</Tags></Role></GetRoleResult></GetRoleResponse>"
    );
    call("GetRole", 200, role)
        .with_text("RoleName=ampxa-reader-target")
        .in_account("target")
}

/// The responses of ListParents for an account in a unit below another one.
fn parents() -> Vec<Exchange> {
    let list_parents = |child: &str, id: &str, kind: &str| {
        let parents = json!({ "Parents": [{ "Id": id, "Type": kind }] });
        call("POST /", 200, parents.to_string())
            .with_text(child.to_owned())
            .in_account("hub")
    };
    vec![
        list_parents("222222222222", "ou-abcd-00000001", "ORGANIZATIONAL_UNIT"),
        list_parents("ou-abcd-00000001", "ou-abcd-00000002", "ORGANIZATIONAL_UNIT"),
        list_parents("ou-abcd-00000002", "r-abcd", "ROOT"),
    ]
}

#[tokio::test]
async fn a_workspace_is_accepted_by_account_unit_or_organization() {
    for (tags, organizations, consent) in [
        (
            json!({ "ampxa:accept": "111111111111 222222222222" }),
            vec![],
            WITHOUT_ORGANIZATION,
        ),
        (
            json!({ "ampxa:accept": "111111111111", "ampxa:accept-2": "222222222222" }),
            vec![],
            IN_ORGANIZATION,
        ),
        (json!({ "ampxa:accept": "organization" }), vec![], IN_ORGANIZATION),
        (
            json!({ "ampxa:accept": "ou-abcd-00000002" }),
            parents(),
            IN_ORGANIZATION,
        ),
    ] {
        let mut exchanges = with_workspace_tags(tags.clone());
        exchanges.extend(organizations);
        exchanges.extend(all_pass().into_iter().skip(3));
        let checked = check_in(exchanges, json!({}), consent).await;
        assert_eq!(checked.map(|checked| checked.readiness), Ok(Readiness::Ready), "{tags}");
    }
}

#[tokio::test]
async fn a_workspace_that_does_not_accept_the_account_is_named_with_the_reason_and_the_command() {
    let access = "(OrganizationsAccess=no)";
    for (tags, organizations, consent, reason) in [
        (
            json!({ "ampxa:accept": "111111111111" }),
            vec![],
            IN_ORGANIZATION,
            "does not name the account",
        ),
        (
            json!({ "ampxa:accept": "" }),
            vec![],
            IN_ORGANIZATION,
            "does not name the account",
        ),
        (
            json!({ "ampxa:accept": "*" }),
            vec![],
            IN_ORGANIZATION,
            "\"*\" is neither an account id",
        ),
        (
            json!({ "ampxa:accept": "organization" }),
            vec![],
            WITHOUT_ORGANIZATION,
            "OrganizationId=NONE",
        ),
        (
            json!({ "ampxa:accept": "ou-abcd-00000002" }),
            vec![],
            WITHOUT_ORGANIZATION,
            access,
        ),
        (
            json!({ "ampxa:accept": "ou-abcd-00000003" }),
            parents(),
            IN_ORGANIZATION,
            "does not name the account",
        ),
        (
            json!({}),
            vec![reader(&[])],
            IN_ORGANIZATION,
            "it has no tag ampxa:accept.",
        ),
    ] {
        let exchanges = with_workspace_tags(tags.clone()).into_iter().chain(organizations);
        let exchanges = exchanges.chain(network());
        let error = check_in(exchanges, json!({}), consent).await.unwrap_err();
        assert_eq!(error.name(), "NotAccepted", "{tags}: {error}");
        let command = "aws amp tag-resource --region us-west-2 --resource-arn \
                       arn:aws:aps:us-west-2:333333333333:workspace/ws-1 --tags '{\"ampxa:accept\": \"";
        for part in [
            reason,
            command,
            "does not accept the account 222222222222",
            "Nothing was created.",
        ] {
            assert!(error.to_string().contains(part), "no {part} in: {error}");
        }
    }
}

/// Only the tag of the template makes consent optional. Everything else counts as required.
#[tokio::test]
async fn consent_is_optional_only_if_the_reader_has_the_tag_of_the_template() {
    let optional = reader(&[("ampxa:workspace-consent", "OPTIONAL")]);
    let exchanges = with_workspace_tags(json!({ "team": "a" }))
        .into_iter()
        .chain([optional])
        .chain(network());
    check(exchanges, json!({})).await.unwrap();
    // A tag of the workspace decides although consent is optional.
    let exchanges = with_workspace_tags(json!({ "ampxa:accept": "111111111111" }))
        .into_iter()
        .chain(network());
    assert_eq!(check(exchanges, json!({})).await.unwrap_err().name(), "NotAccepted");
    for unreadable in [
        reader(&[("ampxa:workspace-consent", "REQUIRED")]),
        reader(&[("ampxa:workspace-consent", "optional")]),
        reader(&[("workspace-consent", "OPTIONAL")]),
        reader(&[]),
        call("GetRole", 403, iam_error("AccessDenied", "no")),
        call("GetRole", 404, iam_error("NoSuchEntity", "no")),
    ] {
        let exchanges = with_workspace_tags(json!({})).into_iter().chain([unreadable]);
        let exchanges = exchanges.chain(network());
        assert_eq!(check(exchanges, json!({})).await.unwrap_err().name(), "NotAccepted");
    }
    // A throttled call does not say anything about consent.
    let throttled = call("GetRole", 400, iam_error("Throttling", "Rate exceeded"));
    let exchanges = with_workspace_tags(json!({})).into_iter().chain([throttled]);
    assert_eq!(check(exchanges, json!({})).await.unwrap_err().name(), "Transient");
}

#[tokio::test]
async fn a_pair_that_is_not_accepted_any_more_is_reported_and_not_changed() {
    let mut exchanges = with_workspace_tags(json!({ "ampxa:accept": "111111111111" }));
    exchanges[2] = call("GET /scrapers", 200, scrapers(&[scraper("ACTIVE", true)]));
    let error = check(exchanges.into_iter().chain(network()), json!({}))
        .await
        .unwrap_err();
    assert_eq!(error.name(), "NotAccepted");
    for part in [
        "its scraper still writes",
        "ampxa-offboard with {\"clusterArn\": \"arn:aws:eks:",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn all_prerequisites_that_are_not_met_are_named_at_once() {
    let mut exchanges = all_pass();
    exchanges[0] = described("ACTIVE", false, "CONFIG_MAP");
    exchanges[1] = call(
        "GET /workspaces/ws-1",
        200,
        workspace_with_tags(json!({ "ampxa:accept": "" })),
    );
    exchanges[2] = call("GET /scrapers", 200, scrapers(&[scraper("ACTIVE", false)]));
    for (position, attribute) in [(3, "enableDnsSupport"), (4, "enableDnsHostnames")] {
        exchanges[position] = call("DescribeVpcAttribute", 200, vpc_attribute(attribute, false));
    }
    exchanges[5] = call("DescribeSubnets", 200, subnets(&[("subnet-a", "a", 5)]));
    let error = check(exchanges, json!({})).await.unwrap_err();
    assert_eq!(error.name(), "NotReady");
    let message = error.to_string();
    let mut rest = message.as_str();
    for part in [
        "endpointPrivateAccess=true",
        "authenticationMode=API_AND_CONFIG_MAP",
        "\nAlso Conflict: The scraper ",
        "\nAlso NotAccepted: The workspace ",
        "--tags '{\"ampxa:accept\": \"222222222222\"}'",
        "\nAlso NotReady: The attribute enableDnsSupport",
        "\nAlso NotReady: The attribute enableDnsHostnames",
        "\nAlso NotReady: The cluster's subnets have free IP addresses in 1 Availability Zone",
    ] {
        let (_, after) = rest.split_once(part).unwrap_or_else(|| panic!("no {part} in: {rest}"));
        rest = after;
    }
}

#[tokio::test]
async fn an_error_that_says_nothing_about_a_prerequisite_ends_the_check() {
    let throttled = call(
        "GET /workspaces/ws-1",
        429,
        rest_error("ThrottlingException", "Rate exceeded"),
    );
    let exchanges = [described("ACTIVE", false, "API"), throttled];
    assert_fails(exchanges.into(), json!({}), "Transient", "Rate exceeded").await;
}
