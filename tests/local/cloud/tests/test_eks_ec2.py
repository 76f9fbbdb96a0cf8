"""EKS and EC2: what the product looks at."""

import uuid

import pytest
from conftest import SOURCE, wait_for


@pytest.fixture
def location(cloud):
    """Clients of a Region, and its default VPC."""

    class Location:
        eks, ec2 = cloud.client("eks", SOURCE), cloud.client("ec2", SOURCE)
        subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"] if subnet["DefaultForAz"]]

        def make(self, **more):
            vpc = {"subnetIds": self.subnets, **more.pop("vpc", {})}
            name = f"c-{uuid.uuid4().hex[:8]}"
            made = self.eks.create_cluster(
                name=name, roleArn="arn:aws:iam::222222222222:role/x", resourcesVpcConfig=vpc, **more
            )
            return made["cluster"]

        def describe(self, name):
            return self.eks.describe_cluster(name=name)["cluster"]

    return Location()


def test_a_cluster_has_the_defaults_of_aws(location):
    made = location.make(tags={"a": "b"})
    assert made["status"] == "CREATING"
    cluster = location.describe(made["name"])
    assert cluster["status"] == "ACTIVE" and cluster["tags"] == {"a": "b"}
    assert cluster["accessConfig"]["authenticationMode"] == "CONFIG_MAP"
    vpc = cluster["resourcesVpcConfig"]
    assert (vpc["endpointPublicAccess"], vpc["endpointPrivateAccess"]) == (True, False)
    [group] = location.ec2.describe_security_groups(GroupIds=[vpc["clusterSecurityGroupId"]])["SecurityGroups"]
    [subnet] = location.ec2.describe_subnets(SubnetIds=location.subnets[:1])["Subnets"]
    assert group["VpcId"] == vpc["vpcId"] == subnet["VpcId"]


def test_a_tag_sets_how_long_a_cluster_is_creating(location):
    made = location.make(tags={"local:creating-minutes": "4"})
    assert location.describe(made["name"])["status"] == "CREATING"
    wait_for(lambda: location.describe(made["name"])["status"] == "ACTIVE")


def test_a_cluster_needs_subnets_in_two_zones(location, client_error):
    assert client_error(location.make, vpc={"subnetIds": location.subnets[:1]})[0] == "InvalidParameterException"
    assert client_error(location.make, vpc={"subnetIds": ["subnet-0", location.subnets[0]]})[0] == "InvalidParameterException"


def test_the_authentication_mode_only_goes_forward(location, client_error):
    name = location.make()["name"]
    entry = {"clusterName": name, "principalArn": "arn:aws:iam::222222222222:role/x"}
    assert client_error(location.eks.create_access_entry, **entry)[0] == "InvalidRequestException"
    update = location.eks.update_cluster_config(name=name, accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"})[
        "update"
    ]
    assert update["type"] == "AccessConfigUpdate"
    wait_for(lambda: location.describe(name)["status"] == "ACTIVE")
    back = {"name": name, "accessConfig": {"authenticationMode": "CONFIG_MAP"}}
    assert client_error(location.eks.update_cluster_config, **back)[0] == "InvalidParameterException"
    location.eks.update_cluster_config(name=name, resourcesVpcConfig={"endpointPrivateAccess": True})
    assert location.describe(name)["resourcesVpcConfig"]["endpointPrivateAccess"]
    location.eks.create_access_entry(**entry)


def test_lists_of_clusters_are_paged(location):
    made = {location.make()["name"] for _ in range(3)}
    listed, token = [], {}
    while True:
        page = location.eks.list_clusters(maxResults=2, **token)
        assert len(page["clusters"]) <= 2
        listed += page["clusters"]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert made <= set(listed) and len(listed) == len(set(listed))


def test_tags_that_are_set_later_are_described(location):
    made = location.make(tags={"a": "b"})
    location.eks.tag_resource(resourceArn=made["arn"], tags={"c": "d"})
    assert location.describe(made["name"])["tags"] == {"a": "b", "c": "d"}
    location.eks.untag_resource(resourceArn=made["arn"], tagKeys=["a"])
    assert location.describe(made["name"])["tags"] == {"c": "d"}


def test_a_subnet_has_its_size_less_five_free_addresses(location):
    vpc = location.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    made = location.ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/28")["Subnet"]
    [shown] = location.ec2.describe_subnets(SubnetIds=[made["SubnetId"]])["Subnets"]
    assert made["AvailableIpAddressCount"] == shown["AvailableIpAddressCount"] == 11


def test_dns_attributes_of_vpcs(location):
    def dns(vpc, attribute):
        answer = location.ec2.describe_vpc_attribute(VpcId=vpc, Attribute=attribute)
        return answer[attribute[0].upper() + attribute[1:]]["Value"]

    [default] = [vpc["VpcId"] for vpc in location.ec2.describe_vpcs()["Vpcs"] if vpc["IsDefault"]]
    other = location.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    assert dns(default, "enableDnsSupport") and dns(default, "enableDnsHostnames")
    assert dns(other, "enableDnsSupport") and not dns(other, "enableDnsHostnames")
    location.ec2.modify_vpc_attribute(VpcId=other, EnableDnsHostnames={"Value": True})
    assert dns(other, "enableDnsHostnames")


def test_a_cluster_that_is_created_again_is_newer_and_has_no_tags_of_the_deleted_one(location):
    first = location.make(tags={"a": "b"})
    location.eks.delete_cluster(name=first["name"])
    again = location.eks.create_cluster(
        name=first["name"], roleArn=first["roleArn"], resourcesVpcConfig={"subnetIds": location.subnets}
    )["cluster"]
    assert again["arn"] == first["arn"] and again["createdAt"] > first["createdAt"]
    assert location.describe(first["name"])["createdAt"] == again["createdAt"] and not location.describe(first["name"])["tags"]
