"""Step Functions: a machine is created and updated only with a definition that can run.

Source: Step Functions API reference, CreateStateMachine and UpdateStateMachine (InvalidDefinition: "The
provided Amazon States Language definition is not valid"; the definition is JSON; tracingConfiguration) and
ValidateStateMachineDefinition (result, diagnostics, truncated; maxResults 100 by default).
"""

import json

from ministack.core.responses import error_response_json, json_response
from ministack.services import stepfunctions as engine

from core.settings import Settings
from stepfunctions import definitions

_MOST_DIAGNOSTICS = 100


def install(cloud: Settings) -> None:
    """ministack checks no more than the syntax of expressions, and drops tracing."""
    del cloud
    engine._create_state_machine = _checking(engine._create_state_machine)
    engine._update_state_machine = _checking(engine._update_state_machine)
    engine._validate_state_machine_definition = _validate


def _checking(original):
    def handler(data):
        arn = data.get("stateMachineArn")
        missing = arn is not None and arn not in engine._state_machines
        if "definition" in data and not missing:
            found = definitions.problems(data["definition"])
            if found:
                return error_response_json("InvalidDefinition", definitions.message(found), 400)
        answer = original(data)
        if answer[0] == 200 and "tracingConfiguration" in data:
            machine = engine._state_machines[arn or json.loads(answer[2])["stateMachineArn"]]
            machine["tracingConfiguration"] = data["tracingConfiguration"]
        return answer

    return handler


def _validate(data: dict):
    found = definitions.problems(data.get("definition"))
    most = int(data.get("maxResults") or _MOST_DIAGNOSTICS)
    shown = {"diagnostics": found[:most], "truncated": len(found) > most}
    return json_response({"result": "FAIL" if found else "OK", **shown})
