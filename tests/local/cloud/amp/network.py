"""AMP: requirements for the cluster and the network of a scraper.

Source: AMP user guide, "Using AWS managed collectors", sections "Create a scraper" (at least two Availability Zones,
private access of the cluster endpoint) and "Troubleshooting". Two rules follow from reported errors: two subnets
cannot be in the same Availability Zone, and each subnet requires an available IP address.
"""

from ministack.services import ec2
from ministack.services import eks as ministack_eks

from amp.errors import invalid, not_found
from eks_ec2.eks import status_of

CLUSTER = "source.eksConfiguration.clusterArn"
SUBNETS = "source.eksConfiguration.subnetIds"
SECURITY_GROUPS = "source.eksConfiguration.securityGroupIds"


def cluster(arn: str, name: str) -> dict:
    """Returns the cluster if it meets the requirements of a scraper."""
    found = ministack_eks._clusters.get(name)
    if found is None:
        raise not_found("EKS cluster", arn)
    if status_of(found) != "ACTIVE":
        raise invalid(CLUSTER, f"the cluster is {status_of(found)}, not ACTIVE")
    if not found["resourcesVpcConfig"]["endpointPrivateAccess"]:
        raise invalid(CLUSTER, "private access must be enabled for the cluster endpoint")
    return found


def check_subnets(identifiers: list[str], vpc: str) -> None:
    """Checks that the subnets are in the VPC, in different Availability Zones, and have an available address."""
    ec2._ensure_defaults_initialized()
    zones = {}
    for identifier in identifiers:
        subnet = ec2._subnets.get(identifier)
        if subnet is None:
            raise invalid(SUBNETS, f"the subnet {identifier} does not exist")
        if subnet["VpcId"] != vpc:
            raise invalid(SUBNETS, f"the subnet {identifier} is not in the cluster's VPC {vpc}")
        if subnet["AvailableIpAddressCount"] < 1:
            raise invalid(SUBNETS, f"the subnet {identifier} has no available IP address")
        other = zones.setdefault(subnet["AvailabilityZone"], identifier)
        if other != identifier or identifiers.count(identifier) > 1:
            raise invalid(SUBNETS, f"{other} and {identifier} are in the same Availability Zone")
    if len(zones) < 2:
        raise invalid(SUBNETS, "subnets in at least two Availability Zones are required")


def check_security_groups(identifiers: list[str], vpc: str) -> None:
    """Checks that the security groups exist and belong to the VPC."""
    ec2._ensure_defaults_initialized()
    for identifier in identifiers:
        group = ec2._security_groups.get(identifier)
        if group is None:
            raise invalid(SECURITY_GROUPS, f"the security group {identifier} does not exist")
        if group["VpcId"] != vpc:
            raise invalid(SECURITY_GROUPS, f"the security group {identifier} is not in the cluster's VPC {vpc}")
