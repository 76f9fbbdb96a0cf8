"""Step Functions: validation of the definition when a state machine is created or updated.

Source: Step Functions API reference, CreateStateMachine and UpdateStateMachine (InvalidDefinition: "The
provided Amazon States Language definition is not valid"; the definition is JSON; tracingConfiguration) and
ValidateStateMachineDefinition (result, diagnostics, truncated; maxResults 100 by default).
"""

import json

from ministack.core.responses import error_response_json, json_response
from ministack.services import stepfunctions as engine

from core.settings import Settings
from stepfunctions import definitions

_MAX_DIAGNOSTICS = 100


def install(cloud: Settings) -> None:
    """ministack checks only the syntax of expressions, and drops the tracing configuration."""
    del cloud
    engine._create_state_machine = _validating(engine._create_state_machine)
    engine._update_state_machine = _validating(engine._update_state_machine)
    engine._validate_state_machine_definition = _validate


def _validating(original):
    def handler(data):
        arn = data.get("stateMachineArn")
        missing = arn is not None and arn not in engine._state_machines
        if "definition" in data and not missing:
            found = definitions.validate(data["definition"])
            if found:
                return error_response_json("InvalidDefinition", definitions.error_message(found), 400)
        response = original(data)
        if response[0] == 200 and "tracingConfiguration" in data:
            machine = engine._state_machines[arn or json.loads(response[2])["stateMachineArn"]]
            machine["tracingConfiguration"] = data["tracingConfiguration"]
        return response

    return handler


def _validate(data: dict):
    found = definitions.validate(data.get("definition"))
    limit = int(data.get("maxResults") or _MAX_DIAGNOSTICS)
    diagnostics = {"diagnostics": found[:limit], "truncated": len(found) > limit}
    return json_response({"result": "FAIL" if found else "OK", **diagnostics})
