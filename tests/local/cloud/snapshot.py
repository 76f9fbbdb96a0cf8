"""Everything that an account holds which an onboarding could have made or changed: read from the cloud
itself, past its APIs, so that nothing can be hidden by a page, a right or a delay."""

import base64
import inspect
import json

from ministack.core.responses import AccountRegionScopedDict, AccountScopedDict
from ministack.services import cloudformation, ec2, eks, eventbridge, iam

import amp_store
import iam_trust_history

_SCOPED = (AccountScopedDict, AccountRegionScopedDict)
_PUBLIC = ("alias", "roleConfiguration", "source", "destination", "tags", "statusReason")


def of(account: str) -> dict:
    """Roles with all their documents, scrapers, clusters' access entries, and workspaces."""
    return {
        "roles": {role["Arn"]: _role(role) for role in _values(iam._roles, account)},
        "scrapers": {
            scraper["arn"]: {
                **{name: scraper[name] for name in _PUBLIC if name in scraper},
                "configuration": base64.b64decode(scraper["scrapeConfiguration"]["configurationBlob"]).decode(),
                "status": amp_store.settle(scraper)["_status"],
            }
            for scraper in _values(amp_store.scrapers, account)
            if amp_store.settle(scraper)["_status"] != "GONE"
        },
        "accessEntries": sorted(entry["principalArn"] for entry in _values(eks._access_entries, account)),
        "workspaces": sorted(workspace["arn"] for workspace in _values(amp_store.workspaces, account)),
    }


def forget(account: str) -> None:
    """Empties an account that no test will look at again: thousands of them would slow the cloud down."""
    for module in (amp_store, iam, eks, ec2, eventbridge, cloudformation):
        for _, store in inspect.getmembers(module, lambda value: isinstance(value, _SCOPED)):
            for key in [key for key in list(store._data) if key[0] == account]:
                store._data.pop(key, None)
    iam_trust_history.forget(account)


def _values(store, account: str) -> list[dict]:
    return [value for key, value in list(store._data.items()) if key[0] == account]


def _role(role: dict) -> dict:
    trust = role.get("AssumeRolePolicyDocument") or {}
    inline = role.get("InlinePolicies") or {}
    return {
        "trust": json.loads(trust) if isinstance(trust, str) else trust,
        # CloudFormation's own tags name its stacks, which are no work of an onboarding.
        "tags": {tag["Key"]: tag["Value"] for tag in role.get("Tags") or [] if not tag["Key"].startswith("aws:")},
        "policies": {name: json.loads(text) if isinstance(text, str) else text for name, text in inline.items()},
        "attached": sorted(str(policy) for policy in role.get("AttachedPolicies") or []),
        "boundary": role.get("PermissionsBoundary") or None,
    }
