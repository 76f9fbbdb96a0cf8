"""Organizations: one organization with many accounts. The control API configures it.

Source: Organizations API reference, ListAccounts and ListParents (only the management account and delegated
administrators can call them; a page has at most 20 accounts).
"""

import json

from ministack.core.responses import error_response_json, get_account_id
from ministack.services import organizations

from core.settings import Settings

_PAGE_SIZE = 20
_configuration = {
    "management": None,
    "administrators": [],
    "root": "r-root",
    "units": {},
    "accounts": {},
    "suspended": [],
}


def install(cloud: Settings) -> None:
    """In ministack, each account has its own organization."""
    for name, operation in (("ListAccounts", _list_accounts), ("ListParents", _list_parents)):
        organizations._DISPATCH[name] = _for_administrators(cloud, operation)


def configure(changes: dict) -> dict:
    """Sets the management account, delegated administrators, parents of units and accounts, and suspended
    accounts. Fields that are not in `changes` keep their values."""
    unknown = changes.keys() - _configuration.keys()
    if unknown:
        raise ValueError(f"unknown fields of an organization: {', '.join(sorted(unknown))}")
    _configuration.update(changes)
    return _configuration


def _for_administrators(cloud: Settings, operation):
    def handler(payload):
        caller = get_account_id()
        if _configuration["management"] is None or cloud.organization_of(caller) is None:
            message = "Your account is not a member of an organization."
            return error_response_json("AWSOrganizationsNotInUseException", message, 400)
        if caller != _configuration["management"] and caller not in _configuration["administrators"]:
            message = "You don't have permissions to access this resource."
            return error_response_json("AccessDeniedException", message, 400)
        return operation(cloud, payload)

    return handler


def _list_accounts(cloud: Settings, payload: dict):
    identifiers = sorted(_configuration["accounts"])
    start = int(payload.get("NextToken") or 0)
    end = start + min(int(payload.get("MaxResults") or _PAGE_SIZE), _PAGE_SIZE)
    more = {"NextToken": str(end)} if end < len(identifiers) else {}
    accounts = [_account(cloud, identifier) for identifier in identifiers[start:end]]
    return organizations._json(200, {"Accounts": accounts, **more})


def _account(cloud: Settings, identifier: str) -> dict:
    state = "SUSPENDED" if identifier in _configuration["suspended"] else "ACTIVE"
    return {
        "Id": identifier,
        "Arn": f"arn:aws:organizations::{_configuration['management']}:account/{cloud.organization}/{identifier}",
        "Email": f"{identifier}@example.com",
        "Name": f"account {identifier}",
        "Status": state,
        "State": state,
        "JoinedMethod": "CREATED",
        "JoinedTimestamp": 1700000000,
    }


def _list_parents(cloud: Settings, payload: dict):
    del cloud
    child = payload.get("ChildId")
    parent = _configuration["accounts"].get(child) or _configuration["units"].get(child)
    if parent is None:
        message = f"You specified a child, {json.dumps(child)}, that doesn't exist."
        return error_response_json("ChildNotFoundException", message, 400)
    kind = "ROOT" if parent == _configuration["root"] else "ORGANIZATIONAL_UNIT"
    return organizations._json(200, {"Parents": [{"Id": parent, "Type": kind}]})
