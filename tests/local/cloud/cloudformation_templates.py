"""CloudFormation: a template's conditions, and the names it makes up.

Source: CloudFormation user guide, "Condition functions" (their arguments may be pseudo parameters and
Fn::Join) and "Name type" (a name that is made up is like no other, in whichever Region).
"""

from ministack.core.responses import get_region
from ministack.services.cloudformation import changesets, engine, handlers, provisioners, stacks

from settings import Settings


def install(cloud: Settings) -> None:
    """See each part for what ministack does instead."""
    del cloud
    _evaluate_conditions()
    _name_by_region()


def _evaluate_conditions() -> None:
    """ministack compares `AWS::Region` as these eleven letters, and any function as its own text."""
    original = engine._evaluate_conditions

    def evaluate_conditions(template, parameters):
        mappings = template.get("Mappings", {})

        def resolved(node):
            if isinstance(node, list):
                return [resolved(item) for item in node]
            if not isinstance(node, dict):
                return node
            if "Fn::Equals" in node:
                sides = [engine._resolve_refs(side, {}, parameters, {}, mappings, "", "") for side in node["Fn::Equals"]]
                return {"Fn::Equals": sides}
            return {name: resolved(value) for name, value in node.items()}

        return original({**template, "Conditions": resolved(template.get("Conditions", {}))}, parameters)

    for module in (changesets, engine, handlers, stacks):
        module._evaluate_conditions = evaluate_conditions


def _name_by_region() -> None:
    """ministack's made-up names are the same in each Region, so that one stack's role is another's."""
    original = provisioners._physical_name

    def physical_name(stack_name, logical_id, **options):
        token = provisioners._NAME_SEED.set(provisioners._NAME_SEED.get() + get_region())
        try:
            return original(stack_name, logical_id, **options)
        finally:
            provisioners._NAME_SEED.reset(token)

    provisioners._physical_name = physical_name
