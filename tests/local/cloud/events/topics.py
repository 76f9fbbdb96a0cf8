"""SNS: topics in templates, and a record of published messages (`/_cloud/messages`).

Source: CloudFormation template reference, AWS::SNS::Topic; SNS developer guide, "Example cases for
Amazon SNS access control" (the default policy of a topic allows only its owner).
"""

import json
import threading
import time

from ministack.core.responses import get_account_id
from ministack.services import sns
from ministack.services.cloudformation import provisioners

from core.settings import Settings

_TOPIC = "AWS::SNS::Topic"

_lock = threading.Lock()
_messages: dict[str, list[dict]] = {}


def install(cloud: Settings) -> None:
    """ministack drops messages, ignores the key of a topic in a template, and allows all principals by default."""
    del cloud
    _record_messages()
    _correct_topics()


def _record_messages() -> None:
    original = sns._fanout

    def fanout(topic_arn, message_id, message, subject, *more, **options):
        with _lock:
            published = {"time": time.time(), "subject": subject, "message": message}
            _messages.setdefault(topic_arn, []).append(published)
        original(topic_arn, message_id, message, subject, *more, **options)

    sns._fanout = fanout


def _correct_topics() -> None:
    handlers = provisioners._RESOURCE_HANDLERS[_TOPIC]
    create, update = handlers["create"], handlers["update"]

    def create_topic(logical_id, properties, stack):
        arn, attributes = create(logical_id, properties, stack)
        topic = sns._topics[arn]["attributes"]
        policy = json.loads(topic["Policy"])
        policy["Statement"][0]["Condition"] = {"StringEquals": {"AWS:SourceOwner": get_account_id()}}
        topic["Policy"] = json.dumps(policy)
        _keep_key(topic, properties)
        return arn, attributes

    def update_topic(physical_id, old, new, stack, *more):
        arn, attributes = update(physical_id, old, new, stack, *more)
        _keep_key(sns._topics[arn]["attributes"], new)
        return arn, attributes

    handlers.update(create=create_topic, update=update_topic)


def _keep_key(topic: dict, properties: dict) -> None:
    topic.pop("KmsMasterKeyId", None)
    if properties.get("KmsMasterKeyId"):
        topic["KmsMasterKeyId"] = properties["KmsMasterKeyId"]


def messages(topic_arn: str) -> list[dict]:
    """All messages published to a topic, oldest first."""
    with _lock:
        return list(_messages.get(topic_arn, ()))
