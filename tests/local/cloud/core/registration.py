"""Registers a module as a ministack service: request routing, IAM actions and resource ARNs."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import ministack.services
from ministack import app
from ministack.core import iam_actions, router


@dataclass(frozen=True)
class Service:
    """A service to register.

    `handler` defines `async handle_request(method, path, headers, body, query)`, like every ministack service.
    `data_action` returns the IAM action of a request that the SDK's model does not contain. `resource` returns
    the ARN on which a request is authorized.
    """

    signing_name: str
    sdk_model: str
    handler: ModuleType
    data_action: Callable[[str, str], str | None]
    resource: Callable[[str, str, bytes, str, str], str]


def register(service: Service) -> None:
    """Registers a service. IAM authorizes each of its actions."""
    name = service.signing_name
    sys.modules[f"ministack.services.{name}"] = service.handler
    setattr(ministack.services, name, service.handler)
    app._loaded_modules[name] = service.handler
    app.SERVICE_REGISTRY[name] = {"module": name}
    app.SERVICE_HANDLERS[name] = app._lazy_handler(name)
    router.SERVICE_PATTERNS[name] = {"host_patterns": [rf"^{name}(-workspaces)?\."], "credential_scope": name}
    # ministack does not authorize requests to a service without a namespace.
    iam_actions.SERVICE_TO_IAM_NAMESPACE[name] = name
    iam_actions._BOTOCORE_SERVICE_MAP[name] = [service.sdk_model]
    _register_actions(service)
    _register_resources(service)


def _register_actions(service: Service) -> None:
    original = iam_actions.extract_iam_action

    def extract_iam_action(name, method, path, headers, body, query):
        if name != service.signing_name:
            return original(name, method, path, headers, body, query)
        action = service.data_action(method, path) or original(name, method, path, headers, body, query)
        # ministack does not authorize a request without an action, so an unknown operation also has a name.
        return action or f"{name}:UnknownOperation"

    iam_actions.extract_iam_action = extract_iam_action


def _register_resources(service: Service) -> None:
    original = iam_actions.extract_resource_arn

    def extract_resource_arn(name, method, path, headers, body, query, region, account):
        if name != service.signing_name:
            return original(name, method, path, headers, body, query, region, account)
        return service.resource(method, path, body, region, account)

    iam_actions.extract_resource_arn = extract_resource_arn
