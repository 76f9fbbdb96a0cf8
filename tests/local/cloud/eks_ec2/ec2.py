"""EC2: free addresses of subnets and DNS attributes of VPCs.

Source: VPC user guide, "Subnet sizing" (five addresses of every subnet are reserved) and "DNS
attributes for your VPC" (a default VPC has DNS host names on, another one has them off).
"""

import ipaddress
import re

from ministack.services import ec2

from core.settings import Settings


def install(cloud: Settings) -> None:
    """ministack reports 251 free addresses for every new subnet, and no DNS host names for the default VPC."""
    del cloud
    _count_addresses()
    _name_hosts_in_the_default_vpc()


def _count_addresses() -> None:
    original = ec2._ACTION_MAP["CreateSubnet"]

    def create_subnet(parameters):
        status, headers, body = original(parameters)
        made = re.search(rb"<subnetId>(subnet-[0-9a-f]+)</subnetId>", body)
        if status == 200 and made:
            subnet = ec2._subnets[made[1].decode()]
            free = ipaddress.ip_network(subnet["CidrBlock"], strict=False).num_addresses - 5
            subnet["AvailableIpAddressCount"] = free
            body = re.sub(
                rb"<availableIpAddressCount>\d+<", f"<availableIpAddressCount>{free}<".encode(), body, count=1
            )
        return status, headers, body

    ec2._ACTION_MAP["CreateSubnet"] = create_subnet


def _name_hosts_in_the_default_vpc() -> None:
    original = ec2._init_defaults

    def init_defaults():
        original()
        ec2._vpcs[ec2._DEFAULT_VPC_ID].setdefault("EnableDnsHostnames", True)

    ec2._init_defaults = init_defaults
