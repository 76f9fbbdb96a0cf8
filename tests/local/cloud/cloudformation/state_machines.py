"""CloudFormation: AWS::StepFunctions::StateMachine: where its definition may be YAML, and what it records.

Source: CloudFormation template reference, AWS::StepFunctions::StateMachine (DefinitionString is JSON;
LoggingConfiguration, TracingConfiguration) and its S3Location (a JSON or YAML file). AWS's own resource
provider (aws-cloudformation-resource-providers-stepfunctions, DefinitionProcessor) substitutes in the
file's text, then reads it as JSON and, if that fails, as YAML, whatever the file is called.
"""

from ministack.core.responses import error_response_json
from ministack.services import stepfunctions as engine
from ministack.services.cloudformation import provisioners

from core.settings import Settings
from stepfunctions import definitions

_MACHINE = "AWS::StepFunctions::StateMachine"
_NOT_LOGGED = {"level": "OFF", "includeExecutionData": False}


def install(cloud: Settings) -> None:
    """ministack stores any text as a definition, drops tracing and keeps logging in the template's capitals."""
    del cloud
    _read_definitions()
    _keep_logging_and_tracing()


def _read_definitions() -> None:
    original = provisioners._sfn_definition

    def definition_of(properties):
        substitutions = properties.get("DefinitionSubstitutions") or {}
        text = original({name: value for name, value in properties.items() if name != "DefinitionSubstitutions"})
        if properties.get("DefinitionS3Location"):
            try:
                text = definitions.to_json(_substitute(text, substitutions))
            except definitions.NotReadable as error:
                raise _refusal(str(error)) from None
        text = _substitute(text, substitutions)
        problems = definitions.problems(text)
        if problems:
            raise _refusal(definitions.message(problems))
        return text

    provisioners._sfn_definition = definition_of


def _substitute(text: str, substitutions: dict) -> str:
    for name, value in substitutions.items():
        text = text.replace(f"${{{name}}}", str(value))
    return text


def _refusal(message: str) -> ValueError:
    """The status reason of a resource whose definition Step Functions refuses."""
    return provisioners._sfn_service_error(error_response_json("InvalidDefinition", message, 400))


def _keep_logging_and_tracing() -> None:
    handlers = provisioners._RESOURCE_HANDLERS[_MACHINE]
    create, update = handlers["create"], handlers["update"]

    def create_machine(logical_id, properties, stack):
        arn, attributes = create(logical_id, properties, stack)
        _record(arn, properties)
        return arn, attributes

    def update_machine(physical_id, old, new, stack, *more):
        arn, attributes = update(physical_id, old, new, stack, *more)
        _record(arn, new)
        return arn, attributes

    handlers.update(create=create_machine, update=update_machine)


def _record(arn: str, properties: dict) -> None:
    """Records a machine's logging and tracing in the shape that the API shows."""
    machine = engine._state_machines[arn]
    machine["loggingConfiguration"] = _as_in_the_api(properties.get("LoggingConfiguration") or _NOT_LOGGED)
    machine["tracingConfiguration"] = _as_in_the_api(properties.get("TracingConfiguration") or {"Enabled": False})


def _as_in_the_api(value):
    """A property with the small initials that member names have in the API."""
    if isinstance(value, dict):
        return {name[:1].lower() + name[1:]: _as_in_the_api(item) for name, item in value.items()}
    return [_as_in_the_api(item) for item in value] if isinstance(value, list) else value
