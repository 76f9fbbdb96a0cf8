"""Organizations: one organization over many accounts, told to the cloud on its control surface.

Source: Organizations API reference, ListAccounts and ListParents (for the management account and for
delegated administrators only; at most 20 accounts a page).
"""

import json

from ministack.core.responses import error_response_json, get_account_id
from ministack.services import organizations

from settings import Settings

_PAGE = 20
_told = {"management": None, "administrators": [], "root": "r-root", "units": {}, "accounts": {}, "suspended": []}


def install(cloud: Settings) -> None:
    """For ministack every account has an organization of its own, in which it is alone."""
    for name, answer in (("ListAccounts", _list_accounts), ("ListParents", _list_parents)):
        organizations._DISPATCH[name] = _for_administrators(cloud, answer)


def tell(asked: dict) -> dict:
    """Sets the management account, delegated administrators, units' and accounts' parents, and which
    accounts are suspended; what is not named stays."""
    unknown = asked.keys() - _told.keys()
    if unknown:
        raise ValueError(f"no part of an organization: {', '.join(sorted(unknown))}")
    _told.update(asked)
    return _told


def _for_administrators(cloud: Settings, answer):
    def handler(payload):
        caller = get_account_id()
        if _told["management"] is None or cloud.organization_of(caller) is None:
            why = "Your account is not a member of an organization."
            return error_response_json("AWSOrganizationsNotInUseException", why, 400)
        if caller != _told["management"] and caller not in _told["administrators"]:
            why = "You don't have permissions to access this resource."
            return error_response_json("AccessDeniedException", why, 400)
        return answer(cloud, payload)

    return handler


def _list_accounts(cloud: Settings, payload: dict):
    identifiers = sorted(_told["accounts"])
    start = int(payload.get("NextToken") or 0)
    end = start + min(int(payload.get("MaxResults") or _PAGE), _PAGE)
    more = {"NextToken": str(end)} if end < len(identifiers) else {}
    accounts = [_account(cloud, identifier) for identifier in identifiers[start:end]]
    return organizations._json(200, {"Accounts": accounts, **more})


def _account(cloud: Settings, identifier: str) -> dict:
    state = "SUSPENDED" if identifier in _told["suspended"] else "ACTIVE"
    return {
        "Id": identifier,
        "Arn": f"arn:aws:organizations::{_told['management']}:account/{cloud.organization}/{identifier}",
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
    parent = _told["accounts"].get(child) or _told["units"].get(child)
    if parent is None:
        why = f"You specified a child, {json.dumps(child)}, that doesn't exist."
        return error_response_json("ChildNotFoundException", why, 400)
    kind = "ROOT" if parent == _told["root"] else "ORGANIZATIONAL_UNIT"
    return organizations._json(200, {"Parents": [{"Id": parent, "Type": kind}]})
