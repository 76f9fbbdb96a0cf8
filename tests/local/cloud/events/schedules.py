"""EventBridge Scheduler: the control API (`/_cloud/schedules`) invokes a schedule, not the clock.

Source: EventBridge Scheduler user guide, "Setting up the execution role" and "Prevent confused deputy" (the service
assumes the role for the schedule group). targets.py checks the permissions of the role.
"""

from ministack.core.responses import request_scope
from ministack.services import eventbridge, scheduler


class ScheduleNotFound(Exception):
    """The schedule does not exist."""


def invoke(account: str, region: str, name: str) -> None:
    """Invokes the target of a schedule in the default group now."""
    with request_scope(account, region):
        schedule = scheduler._schedules.get(f"default/{name}")
        if schedule is None:
            raise ScheduleNotFound(f"schedule {name} does not exist in {region} of account {account}")
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
