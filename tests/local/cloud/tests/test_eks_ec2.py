"""EKS and EC2: what the product looks at."""

import uuid

import pytest
from conftest import SOURCE, wait_for


@pytest.fixture
def place(cloud):
    """Clients of a Region, and its default VPC."""

    class Place:
        eks, ec2 = cloud.client("eks", SOURCE), cloud.client("ec2", SOURCE)
        subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"] if subnet["DefaultForAz"]]

        def make(self, **more):
            vpc = {"subnetIds": self.subnets, **more.pop("vpc", {})}
            name = f"c-{uuid.uuid4().hex[:8]}"
            made = self.eks.create_cluster(
                name=name, roleArn="arn:aws:iam::222222222222:role/x", resourcesVpcConfig=vpc, **more
            )
            return made["cluster"]

        def look(self, name):
            return self.eks.describe_cluster(name=name)["cluster"]

    return Place()


def test_a_cluster_has_awss_defaults(place):
    made = place.make(tags={"a": "b"})
    assert made["status"] == "CREATING"
    cluster = place.look(made["name"])
    assert cluster["status"] == "ACTIVE" and cluster["tags"] == {"a": "b"}
    assert cluster["accessConfig"]["authenticationMode"] == "CONFIG_MAP"
    vpc = cluster["resourcesVpcConfig"]
    assert (vpc["endpointPublicAccess"], vpc["endpointPrivateAccess"]) == (True, False)
    [group] = place.ec2.describe_security_groups(GroupIds=[vpc["clusterSecurityGroupId"]])["SecurityGroups"]
    [subnet] = place.ec2.describe_subnets(SubnetIds=place.subnets[:1])["Subnets"]
    assert group["VpcId"] == vpc["vpcId"] == subnet["VpcId"]


def test_a_cluster_is_creating_for_as_long_as_its_tag_says(place):
    made = place.make(tags={"local:creating-minutes": "4"})
    assert place.look(made["name"])["status"] == "CREATING"
    wait_for(lambda: place.look(made["name"])["status"] == "ACTIVE")


def test_a_cluster_needs_subnets_in_two_zones(place, refusal):
    assert refusal(place.make, vpc={"subnetIds": place.subnets[:1]})[0] == "InvalidParameterException"
    assert refusal(place.make, vpc={"subnetIds": ["subnet-0", place.subnets[0]]})[0] == "InvalidParameterException"


def test_the_authentication_mode_only_goes_forward(place, refusal):
    name = place.make()["name"]
    entry = {"clusterName": name, "principalArn": "arn:aws:iam::222222222222:role/x"}
    assert refusal(place.eks.create_access_entry, **entry)[0] == "InvalidRequestException"
    update = place.eks.update_cluster_config(name=name, accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"})[
        "update"
    ]
    assert update["type"] == "AccessConfigUpdate"
    wait_for(lambda: place.look(name)["status"] == "ACTIVE")
    back = {"name": name, "accessConfig": {"authenticationMode": "CONFIG_MAP"}}
    assert refusal(place.eks.update_cluster_config, **back)[0] == "InvalidParameterException"
    place.eks.update_cluster_config(name=name, resourcesVpcConfig={"endpointPrivateAccess": True})
    assert place.look(name)["resourcesVpcConfig"]["endpointPrivateAccess"]
    place.eks.create_access_entry(**entry)


def test_lists_of_clusters_are_paged(place):
    made = {place.make()["name"] for _ in range(3)}
    listed, token = [], {}
    while True:
        page = place.eks.list_clusters(maxResults=2, **token)
        assert len(page["clusters"]) <= 2
        listed += page["clusters"]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert made <= set(listed) and len(listed) == len(set(listed))


def test_tags_set_later_are_shown(place):
    made = place.make(tags={"a": "b"})
    place.eks.tag_resource(resourceArn=made["arn"], tags={"c": "d"})
    assert place.look(made["name"])["tags"] == {"a": "b", "c": "d"}
    place.eks.untag_resource(resourceArn=made["arn"], tagKeys=["a"])
    assert place.look(made["name"])["tags"] == {"c": "d"}


def test_a_subnet_has_its_size_less_five_free_addresses(place):
    vpc = place.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    made = place.ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/28")["Subnet"]
    [shown] = place.ec2.describe_subnets(SubnetIds=[made["SubnetId"]])["Subnets"]
    assert made["AvailableIpAddressCount"] == shown["AvailableIpAddressCount"] == 11


def test_dns_attributes_of_vpcs(place):
    def dns(vpc, attribute):
        answer = place.ec2.describe_vpc_attribute(VpcId=vpc, Attribute=attribute)
        return answer[attribute[0].upper() + attribute[1:]]["Value"]

    [default] = [vpc["VpcId"] for vpc in place.ec2.describe_vpcs()["Vpcs"] if vpc["IsDefault"]]
    other = place.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    assert dns(default, "enableDnsSupport") and dns(default, "enableDnsHostnames")
    assert dns(other, "enableDnsSupport") and not dns(other, "enableDnsHostnames")
    place.ec2.modify_vpc_attribute(VpcId=other, EnableDnsHostnames={"Value": True})
    assert dns(other, "enableDnsHostnames")


def test_a_cluster_made_anew_under_its_name_is_younger_and_has_no_tags_of_the_dead_one(place):
    first = place.make(tags={"a": "b"})
    place.eks.delete_cluster(name=first["name"])
    again = place.eks.create_cluster(
        name=first["name"], roleArn=first["roleArn"], resourcesVpcConfig={"subnetIds": place.subnets}
    )["cluster"]
    assert again["arn"] == first["arn"] and again["createdAt"] > first["createdAt"]
    assert place.look(first["name"])["createdAt"] == again["createdAt"] and not place.look(first["name"])["tags"]
