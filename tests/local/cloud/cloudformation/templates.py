"""CloudFormation: conditions of templates, generated physical names, and template URLs.

Source: CloudFormation user guide, "Condition functions" (the arguments can be pseudo parameters and Fn::Join) and
"Name type" (a generated name is unique, also across Regions).
"""

from ministack.core.responses import get_region
from ministack.services.cloudformation import changesets, engine, handlers, helpers, provisioners, stacks

from core.settings import Settings


def install(cloud: Settings) -> None:
    """The docstring of each function states what ministack does instead."""
    _evaluate_conditions()
    _name_by_region()
    _read_template_urls(cloud)


def _evaluate_conditions() -> None:
    """Resolves the arguments of Fn::Equals. ministack compares the text `AWS::Region` instead of the Region."""
    original = engine._evaluate_conditions

    def evaluate_conditions(template, parameters):
        mappings = template.get("Mappings", {})

        def resolved(node):
            if isinstance(node, list):
                return [resolved(item) for item in node]
            if not isinstance(node, dict):
                return node
            if "Fn::Equals" in node:
                sides = [
                    engine._resolve_refs(side, {}, parameters, {}, mappings, "", "") for side in node["Fn::Equals"]
                ]
                return {"Fn::Equals": sides}
            return {name: resolved(value) for name, value in node.items()}

        return original({**template, "Conditions": resolved(template.get("Conditions", {}))}, parameters)

    for module in (changesets, engine, handlers, stacks):
        module._evaluate_conditions = evaluate_conditions


def _name_by_region() -> None:
    """ministack generates the same names in each Region, so that stacks in two Regions share a role."""
    original = provisioners._physical_name

    def physical_name(stack_name, logical_id, **options):
        token = provisioners._NAME_SEED.set(provisioners._NAME_SEED.get() + get_region())
        try:
            return original(stack_name, logical_id, **options)
        finally:
            provisioners._NAME_SEED.reset(token)

    provisioners._physical_name = physical_name


def _read_template_urls(cloud: Settings) -> None:
    """Accepts `TemplateURL` with the URL of this cloud. ministack reads its secret as the name of a bucket."""
    original = helpers.urlparse

    def urlparse(url):
        parsed = original(url)
        return parsed._replace(path=parsed.path.removeprefix(f"/{cloud.secret}"))

    helpers.urlparse = urlparse
