"""EventBridge Scheduler: a schedule fires when a test requests it (`/_cloud/schedules`), not by the clock.

Source: EventBridge Scheduler user guide, "Setting up the execution role" and "Prevent confused deputy"
(the role is assumed for the schedule's group). The role's permissions are checked in targets.py.
"""

from ministack.core.responses import request_scope
from ministack.services import eventbridge, scheduler


class Unknown(Exception):
    """The schedule does not exist."""


def fire(account: str, region: str, name: str) -> None:
    """Fires a schedule of the default group now."""
    with request_scope(account, region):
        schedule = scheduler._schedules.get(f"default/{name}")
        if schedule is None:
            raise Unknown(f"no schedule {name} in {region} of {account}")
        event = {
            "EventId": eventbridge.new_uuid(),
            "Source": "aws.scheduler",
            "DetailType": "Scheduled Event",
            "Detail": "{}",
            "Time": int(eventbridge._now_ts()),
            "Resources": [schedule["Arn"]],
            "Account": account,
            "Region": region,
        }
        eventbridge._invoke_target(schedule["Target"], event, schedule)
