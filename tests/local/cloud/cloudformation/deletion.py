"""CloudFormation: if a resource cannot be deleted, its dependencies are retained.

Source: CloudFormation user guide, "Delete stack fails" (the status of the stack is DELETE_FAILED, the other resources
are deleted, and a later deletion continues) and "Understand CloudFormation stack creation events" (a resource is
deleted after the resources that depend on it).
"""

import contextvars

from ministack.services import cloudformation
from ministack.services.cloudformation import handlers, stacks

from core.settings import Settings

# The resources that the current stack deletion retains: logical id -> resource.
_retained: contextvars.ContextVar[dict | None] = contextvars.ContextVar("retained_resources", default=None)


def install(cloud: Settings) -> None:
    """ministack deletes the dependencies of a resource whose deletion failed."""
    del cloud
    _retain_dependencies()
    _restore_dependencies()


def _retain_dependencies() -> None:
    original = stacks._delete_resource

    def delete_resource(kind, physical_id, properties, stack_name="", logical_id=""):
        try:
            return original(kind, physical_id, properties, stack_name, logical_id)
        except Exception:
            retained = _retained.get()
            if retained is not None:
                stack = cloudformation._stacks.get(stack_name)
                resources, template = stack["_resources"], stack.get("_template") or {}
                definitions = template.get("Resources") or {}
                dependencies = stacks._with_dependencies([logical_id], definitions, set(resources))
                names = [name for name in dependencies - {logical_id} if name in resources]
                retained.update({name: resources.pop(name) for name in names})
            raise

    stacks._delete_resource = delete_resource


def _restore_dependencies() -> None:
    original = stacks._delete_stack_async

    async def delete_stack(stack_name, stack_id, retain_resources=(), force=False):
        stack = cloudformation._stacks.get(stack_name) or {}
        order = list(stack.get("_resources") or {})
        # ministack retains dependencies during a forced deletion.
        retained = None if force else {}
        token = _retained.set(retained)
        try:
            await original(stack_name, stack_id, retain_resources, force)
        finally:
            _retained.reset(token)
            if retained:
                resources = {**stack["_resources"], **retained}
                stack["_resources"].clear()
                stack["_resources"].update({name: resources[name] for name in order if name in resources})

    for module in (stacks, handlers):
        module._delete_stack_async = delete_stack
