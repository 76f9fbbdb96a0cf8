"""Step Functions: validation of definitions, and conversion from YAML to JSON.

Source: Amazon States Language specification ("States", "Transitions": the target of a transition is a state in the
same scope; state names are unique in the state machine); Step Functions developer guide, "Transforming data with
JSONata in Step Functions" (the fields that only JSONPath or only JSONata supports), "ItemReader (Map)" and
"ResultWriter (Map)" (their fields and values; ResultWriter must not be empty); Step Functions API reference,
ValidateStateMachineDefinitionDiagnostic (the codes). The messages are not those of AWS.
"""

import json
import re

import yaml
from ministack.services import stepfunctions as engine

from stepfunctions import item_reader, result_writer

_TYPES = ("Task", "Pass", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map")
_TERMINAL = ("Succeed", "Fail")
_NO_NEXT = (*_TERMINAL, "Choice")
_REQUIRED = {"Task": ("Resource",), "Choice": ("Choices",), "Parallel": ("Branches",)}
_WAIT_FIELDS = ("Seconds", "Timestamp", "SecondsPath", "TimestampPath")
# Fields of a state, its catchers and its choice rules.
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
_DISTRIBUTED_ONLY = ("ItemReader", "ItemBatcher", "ResultWriter")
# The values of these fields that AWS supports, unless the value is an expression.
_ENUMERATIONS = {
    "ItemReader": (
        ("Resource", item_reader.RESOURCES),
        ("ReaderConfig/InputType", ("CSV", "JSON", "JSONL", "PARQUET", "MANIFEST")),
        ("ReaderConfig/Transformation", ("NONE", item_reader.FLATTEN)),
    ),
    "ResultWriter": (
        ("Resource", result_writer.RESOURCES),
        ("WriterConfig/Transformation", ("NONE", "COMPACT", "FLATTEN")),
        ("WriterConfig/OutputType", ("JSON", "JSONL")),
    ),
}
# Fields whose keys are chosen by the author of the definition.
_TEMPLATES = ("Arguments", "Output", "Assign", "ItemSelector")


class ParseError(ValueError):
    """The text is neither JSON nor YAML that AWS accepts."""


def to_json(text: str) -> str:
    """Converts a YAML definition to JSON. JSON is returned unchanged. Aliases are refused, as in AWS."""
    try:
        json.loads(text)
        return text
    except ValueError:
        pass
    try:
        tree = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ParseError(f"INVALID_JSON_DESCRIPTION: the definition is neither JSON nor YAML: {error}") from None
    return json.dumps(tree, indent=2)


class _Loader(yaml.SafeLoader):
    """Loads YAML as AWS does: without aliases, dates are strings, and only `true` and `false` are booleans."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":merge", ":bool"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent, index):
        """Refuses `*alias`; otherwise identical to the base class."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not supported", self.peek_event().start_mark)
        return super().compose_node(parent, index)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def validate(text: str) -> list[dict]:
    """The diagnostics of a definition. All have severity ERROR. The list is empty if Step Functions accepts it."""
    try:
        machine = json.loads(text)
    except (TypeError, ValueError) as error:
        return [_diagnostic("INVALID_JSON_DESCRIPTION", f"The definition is not JSON: {error}", "/")]
    if not isinstance(machine, dict):
        return [_diagnostic("SCHEMA_VALIDATION_FAILED", "The definition must be an object", "/")]
    check = _Check(machine.get("QueryLanguage", "JSONPath"))
    check.scope(machine, "")
    diagnostics = check.diagnostics
    malformed = engine._validate_definition_jsonata(text)
    if malformed:
        code, _, message = malformed.partition(": ")
        detail, _, location = message.partition("\n  at ")
        diagnostics.append(_diagnostic(code, detail, location))
    return diagnostics


def error_message(diagnostics: list[dict]) -> str:
    """The error message of InvalidDefinition."""
    listed = ", ".join(f"{entry['code']}: {entry['message']} at {entry['location']}" for entry in diagnostics)
    return f"Invalid State Machine Definition: '{listed}'"


def _diagnostic(code: str, message: str, location: str) -> dict:
    return {"severity": "ERROR", "code": code, "message": message, "location": location}


class _Check:
    """Collects the diagnostics of one state machine."""

    def __init__(self, language: str):
        self.diagnostics: list[dict] = []
        self._language, self._names = language, set()

    def scope(self, scope, location: str) -> None:
        """Checks the states and transitions of a state machine, a branch or an item processor."""
        states = scope.get("States") if isinstance(scope, dict) else None
        if not isinstance(states, dict) or not states:
            self._schema_error("States is required and must not be empty", f"{location}/States")
            return
        self._check_target(scope.get("StartAt"), states, f"{location}/StartAt")
        for name, state in states.items():
            part_location = f"{location}/States/{name}"
            if name in self._names:
                self._add("DUPLICATE_STATE_NAME", f"State name is used more than once: {name}", part_location)
            self._names.add(name)
            if isinstance(state, dict):
                self._state(state, states, part_location)
            else:
                self._schema_error("A state must be an object", part_location)
        candidates = [state for state in states.values() if isinstance(state, dict)]
        if not any(state.get("Type") in _TERMINAL or state.get("End") is True for state in candidates):
            self._add("MISSING_END_STATE", "The workflow has no end state", f"{location}/States")

    def _state(self, state: dict, states: dict, location: str) -> None:
        kind = state.get("Type")
        if kind not in _TYPES:
            self._schema_error(f"Type must be one of {', '.join(_TYPES)}", f"{location}/Type")
            return
        for field in _REQUIRED.get(kind, ()):
            if not state.get(field):
                self._schema_error(f"{field} is required", location)
        if kind == "Wait" and sum(field in state for field in _WAIT_FIELDS) != 1:
            self._schema_error(f"Exactly one of {', '.join(_WAIT_FIELDS)} is required", location)
        self._transitions(kind, state, states, location)
        self._fields(state, location)
        self._nested(kind, state, location)

    def _transitions(self, kind: str, state: dict, states: dict, location: str) -> None:
        if kind in _NO_NEXT:
            for field in ("Next", "End"):
                if field in state:
                    self._schema_error(f"{field} is not supported in a {kind} state", f"{location}/{field}")
        elif ("Next" in state) == (state.get("End") is True):
            self._schema_error("Exactly one of Next and End is required", location)
        elif "Next" in state:
            self._check_target(state["Next"], states, f"{location}/Next")
        if kind == "Choice":
            for index, rule in enumerate(_dicts(state.get("Choices"))):
                self._check_target(rule.get("Next"), states, f"{location}/Choices[{index}]/Next")
            if "Default" in state:
                self._check_target(state["Default"], states, f"{location}/Default")
        for index, catcher in enumerate(_dicts(state.get("Catch"))):
            self._check_target(catcher.get("Next"), states, f"{location}/Catch[{index}]/Next")

    def _fields(self, state: dict, location: str) -> None:
        """Checks that the state, its catchers and its choice rules use the same query language."""
        in_jsonata = state.get("QueryLanguage", self._language) == "JSONata"
        parts = [(state, location)]
        for field in ("Catch", "Choices"):
            parts += [(part, f"{location}/{field}[{index}]") for index, part in enumerate(_dicts(state.get(field)))]
        for field in ("ItemReader", "ResultWriter", "ItemBatcher"):
            if isinstance(state.get(field), dict):
                parts.append((state[field], f"{location}/{field}"))
        unsupported, language = (_JSONPATH_ONLY, "JSONata") if in_jsonata else (_JSONATA_ONLY, "JSONPath")
        for part, part_location in parts:
            for field in part:
                if field in unsupported:
                    self._schema_error(f"{field} is not supported in a {language} state", f"{part_location}/{field}")
            if in_jsonata:
                for field in _TEMPLATES:
                    self._json_paths(part.get(field), f"{part_location}/{field}")

    def _json_paths(self, value, location: str) -> None:
        """Reports keys that end in `.$`, which only JSONPath supports."""
        if isinstance(value, dict):
            for key, item in value.items():
                if key.endswith(".$"):
                    self._schema_error(f"{key} is not supported in a JSONata state", f"{location}/{key}")
                self._json_paths(item, f"{location}/{key}")
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self._json_paths(item, f"{location}[{index}]")

    def _nested(self, kind: str, state: dict, location: str) -> None:
        if kind == "Parallel":
            branches = state.get("Branches")
            for index, branch in enumerate(branches if isinstance(branches, list) else []):
                self.scope(branch, f"{location}/Branches[{index}]")
        elif kind == "Map":
            field = "Iterator" if "Iterator" in state else "ItemProcessor"
            self.scope(state.get(field), f"{location}/{field}")
            self._dataset(state, state.get(field), location)

    def _dataset(self, state: dict, processor, location: str) -> None:
        """Checks the fields that only a distributed Map supports."""
        configuration = processor.get("ProcessorConfig") if isinstance(processor, dict) else None
        distributed = isinstance(configuration, dict) and configuration.get("Mode") == "DISTRIBUTED"
        for field in _DISTRIBUTED_ONLY:
            if field in state and not distributed:
                self._schema_error(f"{field} is not supported in an INLINE Map", f"{location}/{field}")
        for field, values in _ENUMERATIONS.items():
            for path, allowed in values if field in state else ():
                value = _at(state[field], path)
                required = path == "Resource" and field == "ItemReader"
                if (required or value is not None) and not _is_expression(value) and value not in allowed:
                    self._schema_error(f"{path} must be one of {', '.join(allowed)}", f"{location}/{field}/{path}")
        writer = state.get("ResultWriter")
        if isinstance(writer, dict) and "WriterConfig" not in writer and "Resource" not in writer:
            self._schema_error("WriterConfig or Resource is required", f"{location}/ResultWriter")

    def _check_target(self, target, states: dict, location: str) -> None:
        if target is None:
            self._schema_error(f"{location.rpartition('/')[2]} is required", location)
        elif target not in states:
            self._add("MISSING_TRANSITION_TARGET", f"Missing transition target: {target}", location)

    def _schema_error(self, message: str, location: str) -> None:
        self._add("SCHEMA_VALIDATION_FAILED", message, location)

    def _add(self, code: str, message: str, location: str) -> None:
        self.diagnostics.append(_diagnostic(code, message, location))


def _dicts(value) -> list[dict]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _at(tree, path: str):
    """The value at a path of keys, or None."""
    for key in path.split("/"):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _is_expression(value) -> bool:
    return isinstance(value, str) and value.startswith("{%")
