"""CloudFormation: a resource that cannot be deleted keeps the resources that it depends on.

Source: CloudFormation user guide, "Delete stack fails" (the resources that could be deleted are gone, the
stack is DELETE_FAILED, and a later deletion continues) and "Understand CloudFormation stack creation events"
(a resource is deleted after those that depend on it).
"""

import contextvars

from ministack.services import cloudformation
from ministack.services.cloudformation import handlers, stacks

from core.settings import Settings

# What one deletion has set aside: logical id -> resource.
_set_aside: contextvars.ContextVar[dict | None] = contextvars.ContextVar("resources_set_aside", default=None)


def install(cloud: Settings) -> None:
    """ministack deletes the dependencies of a resource whose deletion failed."""
    del cloud
    _set_dependencies_aside()
    _put_them_back()


def _set_dependencies_aside() -> None:
    original = stacks._delete_resource

    def delete_resource(kind, physical_id, properties, stack_name="", logical_id=""):
        try:
            return original(kind, physical_id, properties, stack_name, logical_id)
        except Exception:
            kept = _set_aside.get()
            if kept is not None:
                stack = cloudformation._stacks.get(stack_name)
                resources, template = stack["_resources"], stack.get("_template") or {}
                needed = stacks._with_dependencies([logical_id], template.get("Resources") or {}, set(resources))
                kept.update({name: resources.pop(name) for name in needed - {logical_id} if name in resources})
            raise

    stacks._delete_resource = delete_resource


def _put_them_back() -> None:
    original = stacks._delete_stack_async

    async def delete_stack(stack_name, stack_id, retain_resources=(), force=False):
        stack = cloudformation._stacks.get(stack_name) or {}
        before = list(stack.get("_resources") or {})
        # A forced deletion retains dependencies by itself.
        kept = None if force else {}
        token = _set_aside.set(kept)
        try:
            await original(stack_name, stack_id, retain_resources, force)
        finally:
            _set_aside.reset(token)
            if kept:
                left = {**stack["_resources"], **kept}
                stack["_resources"].clear()
                stack["_resources"].update({name: left[name] for name in before if name in left})

    for module in (stacks, handlers):
        module._delete_stack_async = delete_stack
