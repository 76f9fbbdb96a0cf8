"""EC2: available IP addresses of subnets, and DNS attributes of VPCs.

Source: VPC user guide, "Subnet sizing" (five addresses of each subnet are reserved) and "DNS attributes for your
VPC" (DNS host names are enabled in the default VPC and disabled in other VPCs).
"""

import ipaddress
import re

from ministack.services import ec2

from core.settings import Settings


def install(cloud: Settings) -> None:
    """ministack reports 251 available addresses for each new subnet, and disables DNS host names in the default VPC."""
    del cloud
    _count_available_addresses()
    _enable_dns_hostnames()


def _count_available_addresses() -> None:
    original = ec2._ACTION_MAP["CreateSubnet"]

    def create_subnet(parameters):
        status, headers, body = original(parameters)
        created = re.search(rb"<subnetId>(subnet-[0-9a-f]+)</subnetId>", body)
        if status == 200 and created:
            subnet = ec2._subnets[created[1].decode()]
            available = ipaddress.ip_network(subnet["CidrBlock"], strict=False).num_addresses - 5
            subnet["AvailableIpAddressCount"] = available
            body = re.sub(
                rb"<availableIpAddressCount>\d+<", f"<availableIpAddressCount>{available}<".encode(), body, count=1
            )
        return status, headers, body

    ec2._ACTION_MAP["CreateSubnet"] = create_subnet


def _enable_dns_hostnames() -> None:
    original = ec2._init_defaults

    def init_defaults():
        original()
        ec2._vpcs[ec2._DEFAULT_VPC_ID].setdefault("EnableDnsHostnames", True)

    ec2._init_defaults = init_defaults
