"""All resources of an account that an onboarding can create or change.

This module reads the internal stores instead of the APIs. Paging, missing permissions and delays therefore cannot
hide a resource. It is part of the control API (`/_cloud/accounts/…`), not of AWS.
"""

import base64
import inspect
import json

from ministack.core.responses import AccountRegionScopedDict, AccountScopedDict
from ministack.services import cloudformation, cloudwatch_logs, ec2, eks, eventbridge, iam

from amp import store as amp_store
from iam import trust_history

_SCOPED = (AccountScopedDict, AccountRegionScopedDict)
_SCRAPER_FIELDS = ("alias", "roleConfiguration", "source", "destination", "tags", "statusReason")


def describe_account(account: str) -> dict:
    """Roles with all their documents, scrapers, access entries of clusters, and workspaces."""
    return {
        "roles": {role["Arn"]: _role(role) for role in _values(iam._roles, account)},
        "scrapers": {
            scraper["arn"]: {
                **{name: scraper[name] for name in _SCRAPER_FIELDS if name in scraper},
                "configuration": base64.b64decode(scraper["scrapeConfiguration"]["configurationBlob"]).decode(),
                "status": amp_store.refresh(scraper)["_status"],
            }
            for scraper in _values(amp_store.scrapers, account)
            if amp_store.refresh(scraper)["_status"] != "DELETED"
        },
        "accessEntries": sorted(entry["principalArn"] for entry in _values(eks._access_entries, account)),
        "workspaces": sorted(workspace["arn"] for workspace in _values(amp_store.workspaces, account)),
    }


def delete_account(account: str) -> None:
    """Deletes all resources of an account, because thousands of accounts slow the cloud down."""
    for module in (amp_store, iam, eks, ec2, eventbridge, cloudformation, cloudwatch_logs):
        for _, store in inspect.getmembers(module, lambda value: isinstance(value, _SCOPED)):
            for key in [key for key in list(store._data) if key[0] == account]:
                store._data.pop(key, None)
    trust_history.delete_account(account)


def _values(store, account: str) -> list[dict]:
    return [value for key, value in list(store._data.items()) if key[0] == account]


def _role(role: dict) -> dict:
    trust = role.get("AssumeRolePolicyDocument") or {}
    inline = role.get("InlinePolicies") or {}
    return {
        "trust": json.loads(trust) if isinstance(trust, str) else trust,
        # CloudFormation sets the tags that start with `aws:`. An onboarding does not set them.
        "tags": {tag["Key"]: tag["Value"] for tag in role.get("Tags") or [] if not tag["Key"].startswith("aws:")},
        "policies": {name: json.loads(text) if isinstance(text, str) else text for name, text in inline.items()},
        "attached": sorted(str(policy) for policy in role.get("AttachedPolicies") or []),
        "boundary": role.get("PermissionsBoundary") or None,
    }
