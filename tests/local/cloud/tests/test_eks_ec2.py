"""EKS and EC2: the properties that the product reads."""

import uuid

import pytest
from conftest import SOURCE, allow, wait_for


@pytest.fixture
def location(cloud):
    """Clients of a Region, and the subnets of its default VPC."""

    class Location:
        eks, ec2 = cloud.client("eks", SOURCE), cloud.client("ec2", SOURCE)
        subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"] if subnet["DefaultForAz"]]

        def create(self, **more):
            vpc = {"subnetIds": self.subnets, **more.pop("vpc", {})}
            name = f"c-{uuid.uuid4().hex[:8]}"
            response = self.eks.create_cluster(
                name=name, roleArn="arn:aws:iam::222222222222:role/x", resourcesVpcConfig=vpc, **more
            )
            return response["cluster"]

        def update(self, name, **changes):
            """Updates a cluster and waits for the end of the update."""
            update = self.eks.update_cluster_config(name=name, **changes)["update"]
            wait_for(lambda: self.describe(name)["status"] == "ACTIVE")
            return update

        def describe(self, name):
            return self.eks.describe_cluster(name=name)["cluster"]

    return Location()


def test_a_cluster_has_the_defaults_of_eks(location):
    created = location.create(tags={"a": "b"})
    assert created["status"] == "CREATING"
    cluster = location.describe(created["name"])
    assert cluster["status"] == "ACTIVE" and cluster["tags"] == {"a": "b"}
    assert cluster["accessConfig"]["authenticationMode"] == "CONFIG_MAP"
    vpc = cluster["resourcesVpcConfig"]
    assert (vpc["endpointPublicAccess"], vpc["endpointPrivateAccess"]) == (True, False)
    [group] = location.ec2.describe_security_groups(GroupIds=[vpc["clusterSecurityGroupId"]])["SecurityGroups"]
    [subnet] = location.ec2.describe_subnets(SubnetIds=location.subnets[:1])["Subnets"]
    assert group["VpcId"] == vpc["vpcId"] == subnet["VpcId"]


def test_a_tag_sets_the_creation_time_of_a_cluster(location):
    created = location.create(tags={"local:creating-minutes": "4"})
    assert location.describe(created["name"])["status"] == "CREATING"
    wait_for(lambda: location.describe(created["name"])["status"] == "ACTIVE")


def test_a_cluster_requires_subnets_in_two_availability_zones(location, client_error):
    assert client_error(location.create, vpc={"subnetIds": location.subnets[:1]})[0] == "InvalidParameterException"
    missing = {"subnetIds": ["subnet-0", location.subnets[0]]}
    assert client_error(location.create, vpc=missing)[0] == "InvalidParameterException"


def test_an_authentication_mode_changes_in_one_direction(location, client_error):
    name = location.create()["name"]
    entry = {"clusterName": name, "principalArn": "arn:aws:iam::222222222222:role/x"}

    def change(mode):
        return client_error(location.eks.update_cluster_config, name=name, accessConfig={"authenticationMode": mode})

    assert client_error(location.eks.create_access_entry, **entry)[0] == "InvalidRequestException"
    # EKS refuses CONFIG_MAP -> API, and the current mode.
    for mode in ("API", "CONFIG_MAP", "other"):
        assert change(mode)[0] == "InvalidParameterException"
    assert location.update(name, accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"})["type"] == (
        "AccessConfigUpdate"
    )
    location.eks.create_access_entry(**entry)
    assert change("CONFIG_MAP")[0] == "InvalidParameterException"
    location.update(name, accessConfig={"authenticationMode": "API"})
    assert location.describe(name)["accessConfig"]["authenticationMode"] == "API"
    assert change("API_AND_CONFIG_MAP")[0] == "InvalidParameterException"


def test_an_update_has_no_effect_before_its_end(location, client_error):
    name = location.create(tags={"local:updating-minutes": "8"})["name"]
    location.eks.update_cluster_config(name=name, accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"})
    entry = {"clusterName": name, "principalArn": "arn:aws:iam::222222222222:role/x"}
    assert client_error(location.eks.create_access_entry, **entry)[0] == "InvalidRequestException"
    wait_for(lambda: location.describe(name)["status"] == "ACTIVE")
    location.eks.create_access_entry(**entry)


def test_a_cluster_has_one_update_at_a_time(location, client_error):
    name = location.create(tags={"local:updating-minutes": "8"})["name"]
    private = {"name": name, "resourcesVpcConfig": {"endpointPrivateAccess": True}}
    started = location.eks.update_cluster_config(**private)["update"]
    assert (started["status"], started["type"]) == ("InProgress", "EndpointAccessUpdate")
    assert started["params"] == [{"type": "EndpointPrivateAccess", "value": "true"}]
    assert location.describe(name)["status"] == "UPDATING"
    second = {"name": name, "accessConfig": {"authenticationMode": "API_AND_CONFIG_MAP"}}
    assert client_error(location.eks.update_cluster_config, **second)[0] == "ResourceInUseException"
    assert location.eks.describe_update(name=name, updateId=started["id"])["update"]["status"] == "InProgress"
    wait_for(lambda: location.describe(name)["status"] == "ACTIVE")
    assert location.eks.describe_update(name=name, updateId=started["id"])["update"]["status"] == "Successful"
    assert location.describe(name)["resourcesVpcConfig"]["endpointPrivateAccess"]
    assert client_error(location.eks.update_cluster_config, **private)[0] == "InvalidParameterException"
    third = location.eks.update_cluster_config(**second)["update"]["id"]
    assert location.eks.list_updates(name=name)["updateIds"] == [third, started["id"]]
    missing = {"name": name, "updateId": "00000000-0000-0000-0000-000000000000"}
    assert client_error(location.eks.describe_update, **missing)[0] == "ResourceNotFoundException"


def test_a_request_contains_one_type_of_update(location, client_error):
    name = location.create()["name"]
    both = {"accessConfig": {"authenticationMode": "API_AND_CONFIG_MAP"}}
    both |= {"resourcesVpcConfig": {"endpointPrivateAccess": True}}
    for request in (both, {}):
        assert client_error(location.eks.update_cluster_config, name=name, **request)[0] == "InvalidParameterException"


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"Bool": {"eks:endpointPrivateAccess": "true"}, "Null": {"eks:authenticationMode": "true"}}, "private"),
        ({"Bool": {"eks:endpointPublicAccess": "false"}}, "closed"),
        ({"StringEquals": {"eks:authenticationMode": "API_AND_CONFIG_MAP"}}, "mode"),
    ],
)
def test_the_new_configuration_is_in_condition_keys(cloud, location, client_error, name, condition, allowed):
    cluster = location.create()
    session = cloud.role(SOURCE, name, allow("eks:UpdateClusterConfig", cluster["arn"], Condition=condition))
    eks = cloud.client("eks", SOURCE, session=session)
    requests = {
        "private": {"resourcesVpcConfig": {"endpointPrivateAccess": True}},
        "closed": {"resourcesVpcConfig": {"endpointPublicAccess": False, "endpointPrivateAccess": False}},
        "mode": {"accessConfig": {"authenticationMode": "API_AND_CONFIG_MAP"}},
    }
    for kind, request in requests.items():
        if kind != allowed:
            denied = client_error(eks.update_cluster_config, name=cluster["name"], **request)
            assert denied[0] == "AccessDeniedException"
    assert eks.update_cluster_config(name=cluster["name"], **requests[allowed])["update"]["status"] == "InProgress"


def test_list_clusters_returns_pages(location):
    created = {location.create()["name"] for _ in range(3)}
    listed, token = [], {}
    while True:
        page = location.eks.list_clusters(maxResults=2, **token)
        assert len(page["clusters"]) <= 2
        listed += page["clusters"]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert created <= set(listed) and len(listed) == len(set(listed))


def test_describe_cluster_returns_changed_tags(location):
    created = location.create(tags={"a": "b"})
    location.eks.tag_resource(resourceArn=created["arn"], tags={"c": "d"})
    assert location.describe(created["name"])["tags"] == {"a": "b", "c": "d"}
    location.eks.untag_resource(resourceArn=created["arn"], tagKeys=["a"])
    assert location.describe(created["name"])["tags"] == {"c": "d"}


def test_five_addresses_of_a_subnet_are_reserved(location):
    vpc = location.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    created = location.ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/28")["Subnet"]
    [described] = location.ec2.describe_subnets(SubnetIds=[created["SubnetId"]])["Subnets"]
    assert created["AvailableIpAddressCount"] == described["AvailableIpAddressCount"] == 11


def test_dns_host_names_are_enabled_only_in_the_default_vpc(location):
    def dns(vpc, attribute):
        response = location.ec2.describe_vpc_attribute(VpcId=vpc, Attribute=attribute)
        return response[attribute[0].upper() + attribute[1:]]["Value"]

    [default] = [vpc["VpcId"] for vpc in location.ec2.describe_vpcs()["Vpcs"] if vpc["IsDefault"]]
    other = location.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    assert dns(default, "enableDnsSupport") and dns(default, "enableDnsHostnames")
    assert dns(other, "enableDnsSupport") and not dns(other, "enableDnsHostnames")
    location.ec2.modify_vpc_attribute(VpcId=other, EnableDnsHostnames={"Value": True})
    assert dns(other, "enableDnsHostnames")


def test_a_cluster_that_is_created_again_is_newer_and_has_no_tags(location):
    first = location.create(tags={"a": "b"})
    location.eks.delete_cluster(name=first["name"])
    again = location.eks.create_cluster(
        name=first["name"], roleArn=first["roleArn"], resourcesVpcConfig={"subnetIds": location.subnets}
    )["cluster"]
    assert again["arn"] == first["arn"] and again["createdAt"] > first["createdAt"]
    described = location.describe(first["name"])
    assert described["createdAt"] == again["createdAt"] and not described["tags"]
