"""AMP: the service-linked role of each scraper, and the access of the role to the cluster.

Source: AMP user guide, "Using service-linked roles for AMP" and "Configuring your EKS cluster": with authentication
mode API or API_AND_CONFIG_MAP, AMP creates the access entry with the permissions of the caller, and associates
AmazonPrometheusScraperPolicy. It is not documented whether `eks:principalArn` then contains the path of the role.
"""

import json

from ministack.core.responses import now_iso
from ministack.services import eks, iam

from amp.permissions import Caller
from eks_ec2 import access_entries
from eks_ec2.eks import current

SERVICE = "scraper.aps.amazonaws.com"
ACCESS_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonPrometheusScraperPolicy"


class ServiceRole:
    """The service-linked role of one scraper. The role name contains a part of the scraper id."""

    def __init__(self, account: str, scraper_id: str):
        self._name = f"AWSServiceRoleForAmazonPrometheusScraper_{scraper_id[2:10]}"
        self._path = f"/aws-service-role/{SERVICE}/"
        self.arn = f"arn:aws:iam::{account}:role{self._path}{self._name}"

    def check_create_permission(self, caller: Caller) -> None:
        caller.must_be_allowed("iam:CreateServiceLinkedRole", self.arn, {"iam:AWSServiceName": SERVICE})

    def check_access_entry_permissions(self, caller: Caller, cluster: dict) -> None:
        if _has_access_entries(cluster):
            entry = access_entries.arn(cluster["arn"], self.arn)
            keys = {"eks:policyArn": ACCESS_POLICY, "eks:accessScope": "cluster"}
            keys |= access_entries.keys_of(cluster["name"], self.arn)
            caller.must_be_allowed("eks:CreateAccessEntry", cluster["arn"], {"eks:principalArn": self.arn})
            caller.must_be_allowed("eks:AssociateAccessPolicy", entry, keys)

    def check_delete_permissions(self, caller: Caller, scraper: dict) -> None:
        cluster = _cluster_of(scraper)
        if cluster is not None and _has_access_entries(cluster):
            entry = access_entries.arn(cluster["arn"], self.arn)
            keys = access_entries.keys_of(cluster["name"], self.arn)
            caller.must_be_allowed("eks:DeleteAccessEntry", entry, keys)
        caller.must_be_allowed("iam:DeleteServiceLinkedRole", self.arn)

    def create(self, cluster: dict) -> None:
        """Creates the role, and its access entry if the cluster supports access entries."""
        trust = {"Effect": "Allow", "Principal": {"Service": SERVICE}, "Action": "sts:AssumeRole"}
        iam._roles[self._name] = {
            "RoleName": self._name,
            "Arn": self.arn,
            "RoleId": iam._gen_id("AROA"),
            "CreateDate": now_iso(),
            "Path": self._path,
            "AssumeRolePolicyDocument": json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
            "Description": "",
            "MaxSessionDuration": 3600,
            "AttachedPolicies": [],
            "InlinePolicies": {},
            "Tags": [],
        }
        if _has_access_entries(cluster):
            name = cluster["name"]
            eks._access_entries[eks._ae_key(name, self.arn)] = eks._build_access_entry(name, self.arn, {})
            now = eks._now()
            eks._access_policies[eks._ap_key(name, self.arn, ACCESS_POLICY)] = {
                "policyArn": ACCESS_POLICY,
                "accessScope": {"type": "cluster", "namespaces": []},
                "associatedAt": now,
                "modifiedAt": now,
            }

    def delete(self, scraper: dict) -> None:
        """Deletes the role and its access entry."""
        iam._roles.pop(self._name, None)
        name = scraper["source"]["eksConfiguration"]["clusterArn"].rpartition("/")[2]
        eks._access_entries.pop(eks._ae_key(name, self.arn), None)
        eks._access_policies.pop(eks._ap_key(name, self.arn, ACCESS_POLICY), None)


def _cluster_of(scraper: dict) -> dict | None:
    arn = scraper["source"]["eksConfiguration"]["clusterArn"]
    return eks._clusters.get(arn.rpartition("/")[2])


def _has_access_entries(cluster: dict) -> bool:
    return current(cluster)["accessConfig"]["authenticationMode"] in ("API", "API_AND_CONFIG_MAP")
