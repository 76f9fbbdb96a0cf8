"""How a module becomes a service of ministack: its router, its IAM actions and its resources."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import ministack.services
from ministack import app
from ministack.core import iam_actions, router


@dataclass(frozen=True)
class Service:
    """A service to plug in.

    `handler` has `async handle_request(method, path, headers, body, query)` like any ministack
    service. `data_action` names the IAM action of requests that the SDK's model does not know;
    `resource` names what a request is authorized on.
    """

    signing_name: str
    sdk_model: str
    handler: ModuleType
    data_action: Callable[[str, str], str | None]
    resource: Callable[[str, str, bytes, str, str], str]


def plug(service: Service) -> None:
    """Registers a service, with IAM enforced on each of its actions."""
    name = service.signing_name
    sys.modules[f"ministack.services.{name}"] = service.handler
    setattr(ministack.services, name, service.handler)
    app._loaded_modules[name] = service.handler
    app.SERVICE_REGISTRY[name] = {"module": name}
    app.SERVICE_HANDLERS[name] = app._lazy_handler(name)
    router.SERVICE_PATTERNS[name] = {"host_patterns": [rf"^{name}(-workspaces)?\."], "credential_scope": name}
    # Without a namespace ministack allows everything.
    iam_actions.SERVICE_TO_IAM_NAMESPACE[name] = name
    iam_actions._BOTOCORE_SERVICE_MAP[name] = [service.sdk_model]
    _name_actions(service)
    _name_resources(service)


def _name_actions(service: Service) -> None:
    original = iam_actions.extract_iam_action

    def extract_iam_action(asked, method, path, headers, body, query):
        if asked != service.signing_name:
            return original(asked, method, path, headers, body, query)
        known = service.data_action(method, path) or original(asked, method, path, headers, body, query)
        # An action nobody can name must not be allowed by that alone.
        return known or f"{asked}:UnknownOperation"

    iam_actions.extract_iam_action = extract_iam_action


def _name_resources(service: Service) -> None:
    original = iam_actions.extract_resource_arn

    def extract_resource_arn(asked, method, path, headers, body, query, region, account):
        if asked != service.signing_name:
            return original(asked, method, path, headers, body, query, region, account)
        return service.resource(method, path, body, region, account)

    iam_actions.extract_resource_arn = extract_resource_arn
