"""The corrections of ministack, in installation order."""

from amp import service
from cloudformation import deletion, event_resources, roles, templates
from cloudformation import state_machines as machine_resources
from core.settings import Settings
from eks_ec2 import access_entries, ec2, eks
from events import alarms, buses, cloudtrail, targets, topics
from functions import async_invocation, workers
from iam import (
    authorizations,
    condition_keys,
    dependent_actions,
    disabled_regions,
    managed_policies,
    organizations,
    principals,
    quotas,
    resource_keys,
    sessions,
    trust_history,
    trust_policies,
    visibility,
)
from logs import authorization as logs_authorization
from logs import resource_policies
from server import usage
from ssm import parameters
from stepfunctions import (
    distributed_map,
    executions,
    expressions,
    history,
    machine_role,
    nested,
    processing,
    put_events,
    state_machines,
    tasks,
)

# Each correction implements AWS rules that ministack lacks. A later correction wraps an earlier one.
CORRECTIONS = (
    resource_keys,
    condition_keys,
    principals,
    trust_history,
    quotas,
    managed_policies,
    trust_policies,
    disabled_regions,
    authorizations,
    visibility,
    dependent_actions,
    ec2,
    eks,
    access_entries,
    workers,
    async_invocation,
    usage,
    buses,
    targets,
    cloudtrail,
    sessions,
    processing,
    executions,
    machine_role,
    expressions,
    history,
    nested,
    put_events,
    distributed_map,
    state_machines,
    tasks,
    parameters,
    topics,
    alarms,
    organizations,
    logs_authorization,
    resource_policies,
    templates,
    roles,
    machine_resources,
    deletion,
    event_resources,
    service,
)


def install(cloud: Settings) -> None:
    """Installs each correction in ministack."""
    for correction in CORRECTIONS:
        correction.install(cloud)
