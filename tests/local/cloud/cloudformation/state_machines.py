"""CloudFormation: AWS::StepFunctions::StateMachine: YAML definitions, logging and tracing.

Source: CloudFormation template reference, AWS::StepFunctions::StateMachine (DefinitionString is JSON;
LoggingConfiguration, TracingConfiguration) and its S3Location (a JSON or YAML file). The resource provider of AWS
(aws-cloudformation-resource-providers-stepfunctions, DefinitionProcessor) applies the substitutions to the text of
the file. It then parses the text as JSON or, if that fails, as YAML. The file name has no effect.
"""

from ministack.core.responses import error_response_json
from ministack.services import stepfunctions as engine
from ministack.services.cloudformation import provisioners

from core.settings import Settings
from stepfunctions import definitions

_MACHINE = "AWS::StepFunctions::StateMachine"
_LOGGING_OFF = {"level": "OFF", "includeExecutionData": False}


def install(cloud: Settings) -> None:
    """ministack stores any text as a definition, drops tracing, and stores logging with template property names."""
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
            except definitions.ParseError as error:
                raise _invalid_definition(str(error)) from None
        text = _substitute(text, substitutions)
        diagnostics = definitions.validate(text)
        if diagnostics:
            raise _invalid_definition(definitions.error_message(diagnostics))
        return text

    provisioners._sfn_definition = definition_of


def _substitute(text: str, substitutions: dict) -> str:
    for name, value in substitutions.items():
        text = text.replace(f"${{{name}}}", str(value))
    return text


def _invalid_definition(message: str) -> ValueError:
    """The status reason of a resource if Step Functions refuses the definition."""
    return provisioners._sfn_service_error(error_response_json("InvalidDefinition", message, 400))


def _keep_logging_and_tracing() -> None:
    handlers = provisioners._RESOURCE_HANDLERS[_MACHINE]
    create, update = handlers["create"], handlers["update"]

    def create_machine(logical_id, properties, stack):
        arn, attributes = create(logical_id, properties, stack)
        _store(arn, properties)
        return arn, attributes

    def update_machine(physical_id, old, new, stack, *more):
        arn, attributes = update(physical_id, old, new, stack, *more)
        _store(arn, new)
        return arn, attributes

    handlers.update(create=create_machine, update=update_machine)


def _store(arn: str, properties: dict) -> None:
    """Stores the logging and tracing of a state machine in the format of the API."""
    machine = engine._state_machines[arn]
    machine["loggingConfiguration"] = _to_api_names(properties.get("LoggingConfiguration") or _LOGGING_OFF)
    machine["tracingConfiguration"] = _to_api_names(properties.get("TracingConfiguration") or {"Enabled": False})


def _to_api_names(value):
    """Converts property names to the member names of the API, which start with a lowercase letter."""
    if isinstance(value, dict):
        return {name[:1].lower() + name[1:]: _to_api_names(item) for name, item in value.items()}
    return [_to_api_names(item) for item in value] if isinstance(value, list) else value
