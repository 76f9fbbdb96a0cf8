"""Step Functions: what is wrong with a definition, and how YAML becomes JSON.

Source: Amazon States Language specification ("States", "Transitions": each target is a state of the same
scope; state names are unique in the whole machine); Step Functions developer guide, "Transforming data
with JSONata in Step Functions" (which fields belong to JSONPath only and which to JSONata only); Step
Functions API reference, ValidateStateMachineDefinitionDiagnostic (the codes). The messages are ours.
"""

import json
import re

import yaml
from ministack.services import stepfunctions as engine

_TYPES = ("Task", "Pass", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map")
_TERMINAL = ("Succeed", "Fail")
_WITHOUT_NEXT = (*_TERMINAL, "Choice")
_REQUIRED = {"Task": ("Resource",), "Choice": ("Choices",), "Parallel": ("Branches",)}
_WAITS = ("Seconds", "Timestamp", "SecondsPath", "TimestampPath")
# Fields of a state, of its catchers and of its choice rules.
_JSONPATH_ONLY = {
    "InputPath",
    "OutputPath",
    "ResultPath",
    "Parameters",
    "ResultSelector",
    "Result",
    "TimeoutSecondsPath",
    "HeartbeatSecondsPath",
    "SecondsPath",
    "TimestampPath",
    "ItemsPath",
    "MaxConcurrencyPath",
    "ToleratedFailureCountPath",
    "ToleratedFailurePercentagePath",
    "MaxItemsPerBatchPath",
    "MaxInputBytesPerBatchPath",
    "ErrorPath",
    "CausePath",
    "Variable",
    "And",
    "Or",
    "Not",
}
_JSONATA_ONLY = {"Arguments", "Output", "Items", "Condition"}
# Fields whose keys are names of the author's.
_TEMPLATES = ("Arguments", "Output", "Assign", "ItemSelector")


class NotReadable(ValueError):
    """A text that is neither JSON nor the YAML that AWS accepts."""


def to_json(text: str) -> str:
    """A definition as JSON text: JSON stays as it is, YAML is converted. Aliases are refused, as by AWS."""
    try:
        json.loads(text)
        return text
    except ValueError:
        pass
    try:
        tree = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise NotReadable(f"INVALID_JSON_DESCRIPTION: the definition is neither JSON nor YAML: {error}") from None
    return json.dumps(tree, indent=2)


class _Loader(yaml.SafeLoader):
    """YAML as AWS reads it: no aliases, dates stay text, and only `true` and `false` are truth values."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":merge", ":bool"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent, index):
        """As the base class, but refuses `*alias`."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not supported", self.peek_event().start_mark)
        return super().compose_node(parent, index)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def problems(text: str) -> list[dict]:
    """The diagnostics of a definition, all of severity ERROR; none if Step Functions accepts it."""
    try:
        machine = json.loads(text)
    except (TypeError, ValueError) as error:
        return [_diagnostic("INVALID_JSON_DESCRIPTION", f"The definition is not JSON: {error}", "/")]
    if not isinstance(machine, dict):
        return [_diagnostic("SCHEMA_VALIDATION_FAILED", "The definition must be an object", "/")]
    check = _Check(machine.get("QueryLanguage", "JSONPath"))
    check.scope(machine, "")
    found = check.found
    malformed = engine._validate_definition_jsonata(text)
    if malformed:
        code, _, message = malformed.partition(": ")
        what, _, location = message.partition("\n  at ")
        found.append(_diagnostic(code, what, location))
    return found


def message(found: list[dict]) -> str:
    """The message of an InvalidDefinition error."""
    listed = ", ".join(f"{one['code']}: {one['message']} at {one['location']}" for one in found)
    return f"Invalid State Machine Definition: '{listed}'"


def _diagnostic(code: str, message: str, location: str) -> dict:
    return {"severity": "ERROR", "code": code, "message": message, "location": location}


class _Check:
    """Collects the diagnostics of one machine."""

    def __init__(self, language: str):
        self.found: list[dict] = []
        self._language, self._names = language, set()

    def scope(self, scope, place: str) -> None:
        """Checks a machine, a branch or an item processor: states and the transitions between them."""
        states = scope.get("States") if isinstance(scope, dict) else None
        if not isinstance(states, dict) or not states:
            self._schema("States is required and must not be empty", f"{place}/States")
            return
        self._target(scope.get("StartAt"), states, f"{place}/StartAt")
        for name, state in states.items():
            here = f"{place}/States/{name}"
            if name in self._names:
                self._add("DUPLICATE_STATE_NAME", f"State name is used more than once: {name}", here)
            self._names.add(name)
            if isinstance(state, dict):
                self._state(state, states, here)
            else:
                self._schema("A state must be an object", here)
        ends = [one for one in states.values() if isinstance(one, dict)]
        if not any(one.get("Type") in _TERMINAL or one.get("End") is True for one in ends):
            self._add("MISSING_END_STATE", "No state ends the workflow", f"{place}/States")

    def _state(self, state: dict, states: dict, place: str) -> None:
        kind = state.get("Type")
        if kind not in _TYPES:
            self._schema(f"Type must be one of {', '.join(_TYPES)}", f"{place}/Type")
            return
        for field in _REQUIRED.get(kind, ()):
            if not state.get(field):
                self._schema(f"{field} is required", place)
        if kind == "Wait" and sum(field in state for field in _WAITS) != 1:
            self._schema(f"Exactly one of {', '.join(_WAITS)} is required", place)
        self._transitions(kind, state, states, place)
        self._fields(state, place)
        self._nested(kind, state, place)

    def _transitions(self, kind: str, state: dict, states: dict, place: str) -> None:
        if kind in _WITHOUT_NEXT:
            for field in ("Next", "End"):
                if field in state:
                    self._schema(f"{field} is not supported in a {kind} state", f"{place}/{field}")
        elif ("Next" in state) == (state.get("End") is True):
            self._schema("Exactly one of Next and End is required", place)
        elif "Next" in state:
            self._target(state["Next"], states, f"{place}/Next")
        if kind == "Choice":
            for index, rule in enumerate(_dicts(state.get("Choices"))):
                self._target(rule.get("Next"), states, f"{place}/Choices[{index}]/Next")
            if "Default" in state:
                self._target(state["Default"], states, f"{place}/Default")
        for index, catcher in enumerate(_dicts(state.get("Catch"))):
            self._target(catcher.get("Next"), states, f"{place}/Catch[{index}]/Next")

    def _fields(self, state: dict, place: str) -> None:
        """Checks that the state, its catchers and its choice rules use one query language."""
        in_jsonata = state.get("QueryLanguage", self._language) == "JSONata"
        parts = [(state, place)]
        for field in ("Catch", "Choices"):
            parts += [(one, f"{place}/{field}[{index}]") for index, one in enumerate(_dicts(state.get(field)))]
        for field in ("ItemReader", "ResultWriter", "ItemBatcher"):
            if isinstance(state.get(field), dict):
                parts.append((state[field], f"{place}/{field}"))
        wrong, language = (_JSONPATH_ONLY, "JSONata") if in_jsonata else (_JSONATA_ONLY, "JSONPath")
        for part, here in parts:
            for field in part:
                if field in wrong:
                    self._schema(f"{field} is not supported in a {language} state", f"{here}/{field}")
            if in_jsonata:
                for field in _TEMPLATES:
                    self._paths(part.get(field), f"{here}/{field}")

    def _paths(self, value, place: str) -> None:
        """A key that ends in `.$` is JSONPath's."""
        if isinstance(value, dict):
            for key, item in value.items():
                if key.endswith(".$"):
                    self._schema(f"{key} is not supported in a JSONata state", f"{place}/{key}")
                self._paths(item, f"{place}/{key}")
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self._paths(item, f"{place}[{index}]")

    def _nested(self, kind: str, state: dict, place: str) -> None:
        if kind == "Parallel":
            branches = state.get("Branches")
            for index, branch in enumerate(branches if isinstance(branches, list) else []):
                self.scope(branch, f"{place}/Branches[{index}]")
        elif kind == "Map":
            field = "Iterator" if "Iterator" in state else "ItemProcessor"
            self.scope(state.get(field), f"{place}/{field}")

    def _target(self, target, states: dict, place: str) -> None:
        if target is None:
            self._schema(f"{place.rpartition('/')[2]} is required", place)
        elif target not in states:
            self._add("MISSING_TRANSITION_TARGET", f"Missing transition target: {target}", place)

    def _schema(self, message: str, place: str) -> None:
        self._add("SCHEMA_VALIDATION_FAILED", message, place)

    def _add(self, code: str, message: str, place: str) -> None:
        self.found.append(_diagnostic(code, message, place))


def _dicts(value) -> list[dict]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
