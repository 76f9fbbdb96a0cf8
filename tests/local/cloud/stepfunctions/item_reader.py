"""Step Functions: the ItemReader of a distributed Map, which reads the items from objects in S3.

Source: Step Functions developer guide, "ItemReader (Map)" (resources, InputType, Transformation, MaxItems; the bucket
is in the account and the Region of the state machine), "Creating Distributed Map policies" (s3:GetObject for an object,
s3:ListBucket with the condition key s3:prefix for a list), "Handling errors" (States.ItemReaderFailed) and "Map state
input and output fields". S3 API reference, GetObject: without s3:ListBucket, a key that does not exist is AccessDenied.

Not documented: a prefix without objects. In this cloud it has no items, as an empty dataset. The items of several
objects are in the order of the keys, as ListObjectsV2 returns them.
"""

import json
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import s3
from ministack.services import stepfunctions as engine

from stepfunctions import machine_role, processing

_ERROR = "States.ItemReaderFailed"
_GET, _LIST = ("arn:aws:states:::s3:" + action for action in ("getObject", "listObjectsV2"))
RESOURCES = (_GET, _LIST)
FLATTEN = "LOAD_AND_FLATTEN"


@dataclass(frozen=True)
class Item:
    """An item of a Map state. An item of a JSON object has a key."""

    value: Any
    key: str | None = None

    def context(self, index: int) -> dict:
        """The node `Map.Item` of the context object."""
        return {"Index": index, "Value": self.value, **({} if self.key is None else {"Key": self.key})}


def read(reader: dict, raw_input, context: dict) -> list[Item]:
    """The items of a dataset in S3. Raises States.ItemReaderFailed if they cannot be read."""

    def evaluate(value):
        return engine._apply_jsonata_template(value, raw_input, context)

    configuration, arguments = evaluate(reader.get("ReaderConfig") or {}), evaluate(reader.get("Arguments") or {})
    bucket = s3_bucket(arguments, _ERROR)
    if reader["Resource"] == _GET:
        items = _parse(bucket, _text(bucket, str(arguments.get("Key"))), configuration)
    elif configuration.get("Transformation") == FLATTEN:
        texts = (_text(bucket, key) for key in _keys(bucket, arguments))
        items = [item for text in texts for item in _parse(bucket, text, configuration)]
    else:
        items = [Item(_description(bucket, key)) for key in _keys(bucket, arguments)]
    maximum = configuration.get("MaxItems")
    return items if maximum is None else items[: int(maximum)]


def s3_bucket(arguments: dict, error: str) -> str:
    """The name of the bucket. It must be in the account and the Region of the state machine."""
    name = arguments.get("Bucket")
    bucket = s3._buckets.get(name) if isinstance(name, str) else None
    if bucket is None:
        raise processing.Error(error, f"The specified bucket does not exist: {name}")
    if (bucket.get("region") or "us-east-1") != get_region():
        raise processing.Error(error, f"The bucket {name} is in {bucket.get('region')}, not in {get_region()}")
    return name


def check(error: str, action: str, target: str, **keys: str) -> None:
    """Raises an error if the role of the state machine is not allowed an action of S3."""
    denial = machine_role.denial(action, target, aws__ResourceAccount=get_account_id(), **keys)
    if denial:
        raise processing.Error(error, f"{denial} (Service: S3, Status Code: 403)")


def _keys(bucket: str, arguments: dict) -> list[str]:
    prefix = arguments.get("Prefix") or ""
    check(_ERROR, "s3:ListBucket", f"arn:aws:s3:::{bucket}", **({"s3__prefix": prefix} if prefix else {}))
    return sorted(key for key in s3._buckets[bucket]["objects"] if key.startswith(prefix))


def _text(bucket: str, key: str) -> str:
    check(_ERROR, "s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
    status, _, body = s3._get_object(bucket, key, {}, {})
    if status == 404:
        check(_ERROR, "s3:ListBucket", f"arn:aws:s3:::{bucket}")
        raise processing.Error(_ERROR, f"The specified key does not exist: {key} (Service: S3, Status Code: 404)")
    return bytes(body).decode()


def _parse(bucket: str, text: str, configuration: dict) -> list[Item]:
    """The items of one object."""
    kind = configuration.get("InputType")
    try:
        if kind == "JSONL":
            return [Item(json.loads(line)) for line in text.split("\n") if line.strip()]
        data = engine._parse_reader_items(text, configuration)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise processing.Error(_ERROR, f"An object of {bucket} is not {kind}: {error}") from None
    if isinstance(data, dict):
        return [Item({"Key": key, "Value": value}, key) for key, value in data.items()]
    if not isinstance(data, list):
        raise processing.Error(_ERROR, "Attempting to map over non-iterable node.")
    return [Item(value) for value in data]


def _description(bucket: str, key: str) -> dict:
    stored = s3._buckets[bucket]["objects"][key]
    return {
        "Etag": stored.get("etag", ""),
        "Key": key,
        "LastModified": engine._epoch_seconds(stored.get("last_modified")),
        "Size": stored.get("size", 0),
        "StorageClass": stored.get("storage_class") or "STANDARD",
    }
