//! The look before anything is touched.

use crate::{
    replies::{
        cluster, ec2_error, rest_error, scraper, scrapers, security_groups, subnets, subnets_of, vpc_attribute,
        workspace,
    },
    script::{SCRAPER, Script, Turn, call, lost, task},
};
use ampxa::{
    cluster::{self, Clients, Readiness},
    error::Error,
    network::Network,
};
use serde_json::{Value, json};

async fn check(turns: impl IntoIterator<Item = Turn>, request: Value) -> Result<cluster::Output, Error> {
    let script = Script::new(turns);
    let (source, target) = (script.account_of("source"), script.account_of("target"));
    let clients = Clients {
        eks: source.eks(),
        ec2: source.ec2(),
        source_amp: source.amp(),
        target_amp: target.amp(),
    };
    let checked = cluster::check(&clients, &task::<cluster::Input>(request, json!({})), 10).await;
    script.is_over();
    checked
}

fn shown(status: &str, private: bool, mode: &str) -> Turn {
    call("GET /clusters/demo", 200, cluster(status, private, mode))
}

fn good() -> Vec<Turn> {
    vec![
        shown("ACTIVE", true, "API").of("source"),
        call("GET /workspaces/ws-1", 200, workspace("ACTIVE")).of("target"),
        call("GET /scrapers", 200, scrapers(&[])).of("source"),
        call("DescribeVpcAttribute", 200, vpc_attribute("enableDnsSupport", true))
            .saying("https://ec2.us-west-2.amazonaws.com/")
            .saying("Attribute=enableDnsSupport")
            .of("source"),
        call("DescribeVpcAttribute", 200, vpc_attribute("enableDnsHostnames", true)).saying("VpcId=vpc-1"),
        call(
            "DescribeSubnets",
            200,
            subnets(&[("subnet-b", "b", 5), ("subnet-a", "a", 5)]),
        )
        .saying("Version=2016-11-15&Filter.1.Name=subnet-id&Filter.1.Value.1=subnet-a&Filter.1.Value.2=subnet-b"),
    ]
}

/// The good conversation up to a turn, which goes otherwise.
fn up_to(position: usize, turn: Turn) -> Vec<Turn> {
    let mut turns = good();
    turns.truncate(position);
    turns.push(turn);
    turns
}

async fn fails(turns: Vec<Turn>, request: Value, name: &str, says: &str) {
    let why = check(turns, request).await.unwrap_err();
    assert_eq!(why.name(), name, "{why}");
    assert!(why.to_string().contains(says), "{why}");
}

#[tokio::test]
async fn a_good_cluster_gives_a_subnet_a_zone_and_its_own_security_group_first() {
    let checked = check(good(), json!({})).await.unwrap();
    let network = Network {
        subnet_ids: vec!["subnet-a".to_owned(), "subnet-b".to_owned()],
        security_group_ids: vec!["sg-1".to_owned(), "sg-2".to_owned()],
    };
    assert_eq!(checked.readiness, Readiness::Ready);
    assert_eq!(checked.network, Some(network));
    assert!(checked.scraper.is_none() && !checked.manual_access);
}

#[tokio::test]
async fn a_cluster_being_made_or_changed_is_waited_for_without_a_look_at_its_network() {
    for status in ["CREATING", "UPDATING", "PENDING"] {
        let mut turns = good();
        turns[0] = shown(status, true, "API");
        turns.truncate(3);
        let checked = check(turns, json!({})).await.unwrap();
        assert_eq!(
            (checked.readiness, checked.network),
            (Readiness::Waiting, None),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_cluster_that_cannot_be_scraped_is_refused_at_the_first_look() {
    let gone = call(
        "GET /clusters/demo",
        404,
        rest_error("ResourceNotFoundException", "No cluster found for name: demo."),
    );
    fails(vec![gone], json!({}), "NotReady", "There is no cluster").await;
    for status in ["FAILED", "DELETING"] {
        fails(vec![shown(status, true, "API")], json!({}), "NotReady", status).await;
    }
    let private = "aws eks update-cluster-config --region us-west-2 --name demo --resources-vpc-config endpointPrivateAccess=true";
    fails(vec![shown("ACTIVE", false, "API")], json!({}), "NotReady", private).await;
    let mode = "--access-config authenticationMode=API_AND_CONFIG_MAP";
    fails(vec![shown("CREATING", true, "CONFIG_MAP")], json!({}), "NotReady", mode).await;
    fails(vec![shown("ACTIVE", false, "CONFIG_MAP")], json!({}), "NotReady", mode).await;
    fails(
        vec![shown("ACTIVE", false, "CONFIG_MAP")],
        json!({}),
        "NotReady",
        private,
    )
    .await;
    let manual = json!({ "clusterAccess": "MANUAL" });
    fails(vec![shown("ACTIVE", false, "CONFIG_MAP")], manual, "NotReady", private).await;
}

#[tokio::test]
async fn manual_access_is_only_for_a_cluster_that_needs_it() {
    for (mode, manual) in [("CONFIG_MAP", true), ("API", false), ("API_AND_CONFIG_MAP", false)] {
        let mut turns = good();
        turns[0] = shown("ACTIVE", true, mode);
        let checked = check(turns, json!({ "clusterAccess": "MANUAL" })).await.unwrap();
        assert_eq!(checked.manual_access, manual, "{mode}");
    }
}

#[tokio::test]
async fn a_workspace_must_be_there_and_active() {
    let gone = call(
        "GET /workspaces/ws-1",
        404,
        rest_error("ResourceNotFoundException", "Workspace not found"),
    );
    fails(up_to(1, gone), json!({}), "NotReady", "There is no workspace").await;
    for status in ["CREATING", "DELETING", "CREATION_FAILED"] {
        fails(
            up_to(1, call("GET /workspaces/ws-1", 200, workspace(status))),
            json!({}),
            "NotReady",
            status,
        )
        .await;
    }
}

#[tokio::test]
async fn a_cluster_whose_authentication_mode_is_not_shown_is_taken_for_the_oldest() {
    let mut shown: Value = serde_json::from_str(&cluster("ACTIVE", true, "API")).unwrap();
    shown["cluster"].as_object_mut().unwrap().remove("accessConfig");
    let turn = call("GET /clusters/demo", 200, shown.to_string());
    fails(vec![turn], json!({}), "NotReady", "API_AND_CONFIG_MAP").await;
}

#[tokio::test]
async fn a_workspace_whose_alias_is_being_changed_takes_samples() {
    let mut turns = good();
    turns[1] = call("GET /workspaces/ws-1", 200, workspace("UPDATING"));
    assert_eq!(check(turns, json!({})).await.unwrap().readiness, Readiness::Ready);
}

#[tokio::test]
async fn somebody_elses_scraper_of_the_pair_ends_the_run_before_anything_is_made() {
    let theirs = call("GET /scrapers", 200, scrapers(&[scraper("ACTIVE", false)]));
    fails(up_to(2, theirs), json!({}), "Conflict", SCRAPER).await;
}

#[tokio::test]
async fn the_subnets_a_person_chose_are_looked_at_and_taken_as_they_are() {
    let (a, b) = ("subnet-0000000a", "subnet-0000000b");
    let chosen = json!({ "subnetIds": [b, a] });
    let answer = |all: &[(&str, &str, &str, u32)]| {
        let asked = format!("Filter.1.Value.1={b}&Filter.1.Value.2={a}");
        call("DescribeSubnets", 200, subnets_of(all)).saying(asked)
    };
    let fine = answer(&[(a, "vpc-1", "a", 1), (b, "vpc-1", "b", 1)]);
    let checked = check(up_to(5, fine), chosen.clone()).await.unwrap();
    assert_eq!(checked.network.unwrap().subnet_ids, [b, a]);
    for (there, says) in [
        (
            vec![(b, "vpc-1", "b", 1)],
            "subnetIds[1]: subnet-0000000a does not exist",
        ),
        (
            vec![(a, "vpc-2", "a", 1), (b, "vpc-1", "b", 1)],
            "subnetIds[1]: subnet-0000000a lies in vpc-2",
        ),
        (
            vec![(a, "vpc-1", "a", 0), (b, "vpc-1", "b", 1)],
            "subnetIds[1]: subnet-0000000a has no free address",
        ),
        (
            vec![(a, "vpc-1", "b", 1), (b, "vpc-1", "b", 1)],
            "subnetIds[1]: subnet-0000000a lies in b as subnetIds[0] does",
        ),
    ] {
        fails(up_to(5, answer(&there)), chosen.clone(), "InvalidRequest", says).await;
    }
}

#[tokio::test]
async fn a_cluster_with_room_in_one_zone_only_is_not_ready() {
    let full = subnets(&[("subnet-a", "a", 5), ("subnet-b", "b", 0), ("subnet-c", "a", 5)]);
    fails(
        up_to(5, call("DescribeSubnets", 200, full)),
        json!({}),
        "NotReady",
        "1 Availability Zone",
    )
    .await;
}

#[tokio::test]
async fn the_security_groups_a_person_chose_must_be_of_the_clusters_vpc() {
    let chosen = json!({ "securityGroupIds": ["sg-00000009"] });
    let turns = |groups: &[(&str, Option<&str>)]| {
        let mut turns = good();
        turns.push(
            call("DescribeSecurityGroups", 200, security_groups(groups))
                .saying("Version=2016-11-15&Filter.1.Name=group-id&Filter.1.Value.1=sg-00000009")
                .of("source"),
        );
        turns
    };
    let checked = check(turns(&[("sg-00000009", Some("vpc-1"))]), chosen.clone())
        .await
        .unwrap();
    assert_eq!(checked.network.unwrap().security_group_ids, ["sg-00000009"]);
    for (there, says) in [
        (vec![], "securityGroupIds[0]: sg-00000009 does not exist"),
        (
            vec![("sg-00000009", Some("vpc-2"))],
            "securityGroupIds[0]: sg-00000009 lies in vpc-2",
        ),
        (
            vec![("sg-00000009", None)],
            "securityGroupIds[0]: sg-00000009 lies in no VPC",
        ),
    ] {
        fails(turns(&there), chosen.clone(), "InvalidRequest", says).await;
    }
}

#[tokio::test]
async fn of_the_clusters_own_security_groups_at_most_five_are_used() {
    let mut shown: Value = serde_json::from_str(&cluster("ACTIVE", true, "API")).unwrap();
    let many = ["sg-2", "sg-3", "sg-4", "sg-5", "sg-6", "sg-1"];
    shown["cluster"]["resourcesVpcConfig"]["securityGroupIds"] = json!(many);
    let mut turns = good();
    turns[0] = call("GET /clusters/demo", 200, shown.to_string());
    let network = check(turns, json!({})).await.unwrap().network.unwrap();
    assert_eq!(network.security_group_ids, ["sg-1", "sg-2", "sg-3", "sg-4", "sg-5"]);
}

#[tokio::test]
async fn a_full_quota_stops_a_new_scraper_and_not_the_pairs_own() {
    let mut others: Vec<Value> = (0..10).map(|_| scraper("ACTIVE", true)).collect();
    for other in &mut others {
        other["destination"]["ampConfiguration"]["workspaceArn"] =
            json!("arn:aws:aps:us-west-2:333333333333:workspace/ws-2");
    }
    fails(
        up_to(2, call("GET /scrapers", 200, scrapers(&others))),
        json!({}),
        "QuotaExceeded",
        "10 scrapers",
    )
    .await;
    others[9] = scraper("ACTIVE", true);
    let mut turns = good();
    turns[2] = call("GET /scrapers", 200, scrapers(&others));
    let checked = check(turns, json!({})).await.unwrap();
    assert_eq!(checked.scraper.unwrap().scraper_arn, SCRAPER);
}

#[tokio::test]
async fn the_vpc_needs_dns() {
    let off = |name: &str| call("DescribeVpcAttribute", 200, vpc_attribute(name, false));
    fails(
        up_to(3, off("enableDnsSupport")),
        json!({}),
        "NotReady",
        "--enable-dns-support",
    )
    .await;
    fails(
        up_to(4, off("enableDnsHostnames")),
        json!({}),
        "NotReady",
        "--enable-dns-hostnames",
    )
    .await;
}

#[tokio::test]
async fn ec2s_refusals_have_names() {
    let denied = call(
        "DescribeVpcAttribute",
        403,
        ec2_error("UnauthorizedOperation", "You are not authorized"),
    );
    fails(
        up_to(3, denied),
        json!({}),
        "AccessDenied",
        "ec2:DescribeVpcAttribute answered UnauthorizedOperation",
    )
    .await;
    let throttled = call("DescribeSubnets", 503, ec2_error("RequestLimitExceeded", "slow down"));
    fails(up_to(5, throttled), json!({}), "Transient", "ec2:DescribeSubnets").await;
    let page = call("DescribeSubnets", 502, "<html>Bad gateway</html>");
    fails(up_to(5, page), json!({}), "Transient", "HTTP 502").await;
    let nonsense = call("DescribeSubnets", 200, "<html>hello</html>");
    fails(up_to(5, nonsense), json!({}), "Transient", "ec2:DescribeSubnets").await;
}

#[tokio::test]
async fn ec2_calls_are_retried_as_the_sdks_own() {
    for passing in [
        call("DescribeSubnets", 503, ec2_error("RequestLimitExceeded", "slow down")),
        call("DescribeSubnets", 400, ec2_error("Throttling", "Rate exceeded")),
        call("DescribeSubnets", 502, "<html>Bad gateway</html>"),
        lost("DescribeSubnets"),
    ] {
        let script = Script::new([passing, call("DescribeSubnets", 200, subnets(&[("subnet-a", "a", 1)]))]);
        let retries =
            aws_smithy_types::retry::RetryConfig::standard().with_initial_backoff(std::time::Duration::from_millis(1));
        let account = script.account_in("us-west-2", "source", retries);
        let found = account.ec2().subnets(&["subnet-a".to_owned()]).await.unwrap();
        assert_eq!(found.len(), 1);
        script.is_over();
    }
}

#[tokio::test]
async fn ec2_is_where_its_partition_has_it() {
    for (region, host) in [
        ("eu-central-1", "https://ec2.eu-central-1.amazonaws.com/"),
        ("cn-northwest-1", "https://ec2.cn-northwest-1.amazonaws.com.cn/"),
        ("us-gov-east-1", "https://ec2.us-gov-east-1.amazonaws.com/"),
    ] {
        let script = Script::new([call("DescribeSubnets", 200, subnets(&[])).saying(host)]);
        let retries = aws_smithy_types::retry::RetryConfig::disabled();
        let account = script.account_in(region, "source", retries);
        assert_eq!(account.ec2().subnets(&["subnet-a".to_owned()]).await.unwrap(), []);
        script.is_over();
    }
}

#[tokio::test]
async fn what_ec2_answers_for_good_is_asked_once() {
    let denied = call(
        "DescribeSubnets",
        403,
        ec2_error("UnauthorizedOperation", "You are not authorized"),
    );
    let script = Script::new([denied]);
    let retries = aws_smithy_types::retry::RetryConfig::standard();
    let why = script
        .account_in("us-west-2", "source", retries)
        .ec2()
        .subnets(&[])
        .await
        .unwrap_err();
    assert_eq!(Error::from(why).name(), "AccessDenied");
    script.is_over();
}
