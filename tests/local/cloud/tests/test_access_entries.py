"""EKS access entries: the resource and the condition keys of each action, also for the requests of AMP."""

import pytest
from conftest import SOURCE, TARGET, allow, wait_for
from support.location import Location

SCRAPER_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonPrometheusScraperPolicy"
ADMIN_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
SERVICE_LINKED_ROLE = f"arn:aws:iam::{SOURCE}:role/aws-service-role/scraper.aps.amazonaws.com/*"
SCOPE = {"type": "cluster"}


def when(operator, **keys):
    return {"Condition": {operator: {f"eks:{key}": value for key, value in keys.items()}}}


def principal(name):
    return f"arn:aws:iam::{TARGET}:role/p/{name}"


@pytest.fixture
def location(cloud):
    return Location(cloud)


def cluster_name(location):
    return location.cluster.rpartition("/")[2]


def clients(location, cloud, name, *statements):
    """An EKS client with the permissions of a role, and the arguments of its requests."""
    session = cloud.role(SOURCE, name, *statements)
    return location.client("eks", session=session), {"clusterName": cluster_name(location)}


def test_an_entry_can_be_created_only_for_the_allowed_principal(cloud, location, name, client_error):
    keys = {**when("ArnLike", principalArn=principal("allowed-*"))}
    eks, entry = clients(location, cloud, name, allow("eks:CreateAccessEntry", location.cluster, **keys))
    assert client_error(eks.create_access_entry, **entry, principalArn=principal("other"))[0] == "AccessDeniedException"
    created = eks.create_access_entry(**entry, principalArn=principal("allowed-1"))["accessEntry"]
    prefix = location.cluster.replace(":cluster/", ":access-entry/")
    assert created["accessEntryArn"].startswith(f"{prefix}/role/{TARGET}/allowed-1/")


@pytest.mark.parametrize(
    "keys",
    [{"accessEntryType": "EC2_LINUX"}, {"username": "u"}, {"kubernetesGroups": "g"}],
    ids=lambda keys: [*keys][0],
)
def test_the_members_of_a_new_entry_are_condition_keys(cloud, location, name, client_error, keys):
    [(key, value)] = keys.items()
    statement = allow("eks:CreateAccessEntry", location.cluster, **when("ForAnyValue:StringEquals", **keys))
    eks, entry = clients(location, cloud, name, statement)
    entry |= {"principalArn": principal("a")}
    assert client_error(eks.create_access_entry, **entry)[0] == "AccessDeniedException"
    member = {"accessEntryType": "type"}.get(key, key)
    eks.create_access_entry(**entry, **{member: [value] if member == "kubernetesGroups" else value})


CALLS = {
    "describe_access_entry": {},
    "list_associated_access_policies": {},
    "update_access_entry": {"username": "u"},
    "associate_access_policy": {"policyArn": SCRAPER_POLICY, "accessScope": SCOPE},
    "disassociate_access_policy": {"policyArn": SCRAPER_POLICY},
    "delete_access_entry": {},
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("by", ["arn", "principalArn", "clusterName"])
def test_an_action_on_an_entry_is_authorized_on_the_entry(cloud, location, name, client_error, call, by):
    """Also if the entry does not exist. The request is allowed for the entry of one principal in one cluster."""
    prefix = location.cluster.replace(":cluster/", ":access-entry/")
    other = Location(cloud, location.region)
    statement = {
        "arn": allow("eks:*", f"{prefix}/role/{TARGET}/own/*"),
        "principalArn": allow("eks:*", "*", **when("ArnEquals", principalArn=principal("own"))),
        "clusterName": allow("eks:*", "*", **when("StringEquals", clusterName=cluster_name(location))),
    }[by]
    eks, entry = clients(location, cloud, name, statement)
    request, allowed = getattr(eks, call), {**entry, "principalArn": principal("own"), **CALLS[call]}
    change = {"clusterName": cluster_name(other)} if by == "clusterName" else {"principalArn": principal("other")}
    denied = allowed | change
    assert client_error(request, **denied)[0] == "AccessDeniedException"
    assert client_error(request, **allowed)[0] == "ResourceNotFoundException"
    location.eks.create_access_entry(**entry, principalArn=principal("own"))
    if call == "disassociate_access_policy":
        location.eks.associate_access_policy(
            **entry, principalArn=principal("own"), policyArn=SCRAPER_POLICY, accessScope=SCOPE
        )
    request(**allowed)
    assert client_error(request, **denied)[0] == "AccessDeniedException"


def test_the_cluster_is_not_the_resource_of_an_action_on_an_entry(cloud, location, name, client_error):
    eks, entry = clients(location, cloud, name, allow("eks:*", location.cluster))
    assert client_error(eks.describe_access_entry, **entry, principalArn=principal("a"))[0] == "AccessDeniedException"
    eks.list_access_entries(**entry)


@pytest.mark.parametrize(
    "keys", [{"policyArn": SCRAPER_POLICY}, {"accessScope": "cluster"}], ids=lambda keys: [*keys][0]
)
def test_the_policy_and_the_scope_of_an_association_are_condition_keys(cloud, location, name, client_error, keys):
    statement = allow(["eks:AssociateAccessPolicy", "eks:DisassociateAccessPolicy"], **when("StringEquals", **keys))
    eks, entry = clients(location, cloud, name, statement)
    entry |= {"principalArn": principal("a")}
    location.eks.create_access_entry(**entry)
    other = {"policyArn": ADMIN_POLICY, "accessScope": {"type": "namespace", "namespaces": ["n"]}}
    assert client_error(eks.associate_access_policy, **entry, **other)[0] == "AccessDeniedException"
    eks.associate_access_policy(**entry, policyArn=SCRAPER_POLICY, accessScope=SCOPE)
    assert client_error(eks.disassociate_access_policy, **entry, policyArn=ADMIN_POLICY)[0] == "AccessDeniedException"
    if "policyArn" in keys:
        eks.disassociate_access_policy(**entry, policyArn=SCRAPER_POLICY)


def test_the_tags_of_a_cluster_are_condition_keys(cloud, location, name, client_error):
    tagged = {"Condition": {"StringEquals": {"aws:ResourceTag/a": "b"}}}
    eks, _ = clients(location, cloud, name, allow("eks:DescribeCluster", **tagged))
    assert client_error(eks.describe_cluster, name=cluster_name(location))[0] == "AccessDeniedException"
    location.eks.tag_resource(resourceArn=location.cluster, tags={"a": "b"})
    eks.describe_cluster(name=cluster_name(location))


FORWARDED = {
    "eks:CreateAccessEntry": when("ArnLike", principalArn=SERVICE_LINKED_ROLE),
    "eks:AssociateAccessPolicy": {
        "Condition": {
            "ArnLike": {"eks:principalArn": SERVICE_LINKED_ROLE},
            "StringEquals": {"eks:policyArn": SCRAPER_POLICY, "eks:accessScope": "cluster"},
        }
    },
    "eks:DeleteAccessEntry": when("ArnLike", principalArn=SERVICE_LINKED_ROLE),
}


@pytest.mark.parametrize("wrong", [None, *FORWARDED])
def test_amp_sends_the_condition_keys_of_access_entries(cloud, location, name, wrong):
    conditions = FORWARDED | ({wrong: when("ArnLike", principalArn=principal("*"))} if wrong else {})
    statements = [allow(action, **condition) for action, condition in conditions.items()]
    session = cloud.role(SOURCE, name, allow(["aps:*", "iam:*", "ec2:*", "eks:DescribeCluster"]), *statements)
    amp = location.client("amp", session=session)
    if wrong and wrong != "eks:DeleteAccessEntry":
        with pytest.raises(amp.exceptions.AccessDeniedException, match=wrong):
            amp.create_scraper(**location.request())
        return
    scraper = amp.create_scraper(**location.request())
    wait_for(lambda: location.status(scraper) == "ACTIVE")
    entry = {"clusterName": cluster_name(location)}
    entry["principalArn"] = amp.describe_scraper(scraperId=scraper["scraperId"])["scraper"]["roleArn"]
    [associated] = location.eks.list_associated_access_policies(**entry)["associatedAccessPolicies"]
    assert (associated["policyArn"], associated["accessScope"]["type"]) == (SCRAPER_POLICY, "cluster")
    if wrong:
        with pytest.raises(amp.exceptions.AccessDeniedException, match=wrong):
            amp.delete_scraper(scraperId=scraper["scraperId"])
        return
    amp.delete_scraper(scraperId=scraper["scraperId"])
