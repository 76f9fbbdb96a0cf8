"""AMP: the cluster of a scraper, and the access of the scraper to the Kubernetes API of the cluster.

Source: AMP user guide, "Using AWS managed collectors", sections "Configuring your Amazon EKS cluster" and "Manually
configuring an Amazon EKS cluster". With authentication mode API or API_AND_CONFIG_MAP, the service-linked role of the
scraper has an access entry with AmazonPrometheusScraperPolicy. With CONFIG_MAP or API_AND_CONFIG_MAP, its role can be
mapped in `aws-auth`. In this cloud, the tag `local:aws-auth` of the cluster represents the mapping.
"""

from dataclasses import dataclass

from ministack.core.responses import request_scope
from ministack.services import eks

from amp.service_linked_role import ACCESS_POLICY
from eks_ec2.eks import current


@dataclass(frozen=True)
class DiscoveryFailure:
    """The reason why a scraper cannot discover targets."""

    reason: str
    cluster_exists: bool


def cluster_arn(scraper: dict) -> str:
    return scraper["source"]["eksConfiguration"]["clusterArn"]


def tags(scraper: dict) -> dict:
    """The tags of the cluster of a scraper. Tests use them to control durations and results."""
    arn = cluster_arn(scraper)
    return eks._tags.get_scoped(arn.split(":")[4], arn.split(":")[3], arn) or {}


def discovery_failure(account: str, region: str, scraper: dict) -> DiscoveryFailure | None:
    """The reason why a scraper cannot discover targets, or None."""
    arn = cluster_arn(scraper)
    with request_scope(account, region):
        cluster = eks._clusters.get(arn.rpartition("/")[2])
        if cluster is None:
            return DiscoveryFailure(f"the cluster {arn} does not exist", cluster_exists=False)
        mode = current(cluster)["accessConfig"]["authenticationMode"]
        if mode != "CONFIG_MAP" and _has_access_entry(cluster["name"], scraper["roleArn"]):
            return None
    if mode != "API" and tags(scraper).get("local:aws-auth") == "mapped":
        return None
    if mode == "CONFIG_MAP":
        return DiscoveryFailure("the role of the scraper is not mapped in aws-auth", cluster_exists=True)
    return DiscoveryFailure(f"{scraper['roleArn']} has no access entry with {ACCESS_POLICY}", cluster_exists=True)


def _has_access_entry(cluster: str, role: str) -> bool:
    """Whether the role has an access entry that is associated with the policy of scrapers."""
    policy = eks._ap_key(cluster, role, ACCESS_POLICY)
    return eks._ae_key(cluster, role) in eks._access_entries and policy in eks._access_policies
