"""CloudWatch: alarms on queues and executions, evaluated by the cloud's clock.

Source: CloudWatch user guide, "Using Amazon CloudWatch alarms" (missing data, datapoints to alarm) and
"Using math expressions"; SQS developer guide, "Available CloudWatch metrics for Amazon SQS"; Step
Functions developer guide, "Monitoring Step Functions metrics using CloudWatch" (nothing is reported
while there is nothing to count).
"""

import ast
import logging
import operator
import threading
import time

from ministack.core.responses import request_scope
from ministack.services import cloudwatch, sns, sqs
from ministack.services import stepfunctions as engine
from ministack.services.cloudformation import provisioners

from core.settings import Settings
from events import targets

log = logging.getLogger("cloudwatch")
_lock = threading.Lock()
_SERVICE = "cloudwatch.amazonaws.com"
_LEAST_PAUSE_SECONDS = 0.05
_ENDS = {
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
    "RUNNING": "ExecutionsStarted",
}
_COMPARISONS = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


def install(cloud: Settings) -> None:
    """ministack counts neither executions nor messages, ignores dimensions and periods without data, and
    refuses metric math."""
    _count_executions()
    _accept_metric_math()
    _notify_admitted_topics()
    cloudwatch._evaluate_alarm = lambda alarm: _evaluate(cloud, alarm)
    threading.Thread(target=_run, args=(cloud,), daemon=True, name="alarms").start()


def _run(cloud: Settings) -> None:
    while True:
        time.sleep(_pause(cloud))
        for (account, region, name), alarm in list(cloudwatch._alarms._data.items()):
            try:
                with request_scope(account, region):
                    _evaluate(cloud, alarm)
            except Exception as error:  # A broken alarm must not stop the others.
                log.warning("the alarm %s cannot be evaluated: %r", name, error)


def _pause(cloud: Settings) -> float:
    """Real seconds between two evaluations."""
    return max(cloud.real_seconds(minutes=1) / 4, _LEAST_PAUSE_SECONDS)


def _count_executions() -> None:
    original = engine._emit_execution_status_event

    def emit_execution_status_event(execution):
        dimensions = {"StateMachineArn": execution["stateMachineArn"]}
        cloudwatch.record_metric("AWS/States", _ENDS[execution["status"]], 1, "Count", dimensions)
        original(execution)

    engine._emit_execution_status_event = emit_execution_status_event


def _accept_metric_math() -> None:
    original = provisioners._cw_metric_alarm_record

    def metric_alarm_record(name, properties):
        metrics = properties.get("Metrics")
        if not metrics:
            return original(name, properties)
        plain = {key: value for key, value in properties.items() if key != "Metrics"}
        alarm = original(name, {**plain, "MetricName": "math", "Namespace": "math"})
        periods = [int(one["MetricStat"]["Period"]) for one in metrics if "MetricStat" in one]
        return {**alarm, "MetricName": None, "Namespace": None, "Metrics": metrics, "Period": max(periods)}

    provisioners._cw_metric_alarm_record = metric_alarm_record


def _evaluate(cloud: Settings, alarm: dict) -> None:
    """Sets the state of an alarm from its last periods, and notifies its topics of a change."""
    period, periods = float(alarm["Period"]), int(alarm.get("EvaluationPeriods") or 1)
    # At least two pauses, so that no datapoint falls between two evaluations.
    real, now = max(cloud.real_seconds(seconds=period), 2 * _pause(cloud)), time.time()
    values = [_value(alarm, now - real * (age + 1), now - real * age) for age in range(periods)]
    compare, threshold = _COMPARISONS[alarm["ComparisonOperator"]], alarm["Threshold"]
    state = _state(alarm, [None if value is None else compare(value, threshold) for value in values])
    why = f"Threshold Crossed: {values} {alarm['ComparisonOperator']} {threshold}"
    with _lock:
        before = alarm["StateValue"]
        if state == before:
            return
        alarm.update(StateValue=state, StateReason=why, StateUpdatedTimestamp=int(now))
    cloudwatch._record_history(alarm["AlarmName"], before, state, why)
    cloudwatch._dispatch_alarm_actions(alarm, before, state, why)


def _state(alarm: dict, breaching: list[bool | None]) -> str:
    """The state that follows from datapoints; None is a missing one."""
    missing = alarm.get("TreatMissingData", "missing")
    if all(one is None for one in breaching) and missing in ("missing", "ignore"):
        return alarm["StateValue"] if missing == "ignore" else "INSUFFICIENT_DATA"
    filled = [missing == "breaching" if one is None else one for one in breaching]
    needed = int(alarm.get("DatapointsToAlarm") or len(breaching))
    return "ALARM" if sum(filled) >= needed else "OK"


def _value(alarm: dict, since: float, until: float) -> float | None:
    """The value of one period."""
    if not alarm.get("Metrics"):
        statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
        return _datapoint(alarm["Namespace"], alarm["MetricName"], alarm["Dimensions"], statistic, since, until)
    values, expression = {}, None
    for metric in alarm["Metrics"]:
        if "Expression" in metric:
            expression = metric["Expression"]
        else:
            statistic = metric["MetricStat"]
            named = statistic["Metric"]
            values[metric["Id"]] = _datapoint(
                named["Namespace"], named["MetricName"], named.get("Dimensions") or [], statistic["Stat"], since, until
            )
    return _calculate(ast.parse(expression, mode="eval").body, values)


def _calculate(node: ast.expr, values: dict[str, float | None]) -> float | None:
    """The part of metric math that sums need: `a + b`, `SUM(METRICS())`, `SUM([a, b])` and `FILL(a, 0)`."""
    match node:
        case ast.Name(id=name):
            return values[name]
        case ast.Constant(value=number):
            return number
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            terms = _calculate(left, values), _calculate(right, values)
            return None if None in terms else sum(terms)
        case ast.Call(func=ast.Name(id="FILL"), args=[of, otherwise]):
            value = _calculate(of, values)
            return _calculate(otherwise, values) if value is None else value
        case ast.Call(func=ast.Name(id="SUM"), args=[of]):
            elements = of.elts if isinstance(of, ast.List) else [ast.Name(id=name) for name in values]
            known = [value for one in elements if (value := _calculate(one, values)) is not None]
            return sum(known) if known else None
    raise ValueError(f"metric math that this cloud does not support: {ast.unparse(node)}")


def _datapoint(namespace, name, dimensions, statistic, since, until) -> float | None:
    wanted = cloudwatch._dims_from_list(dimensions)
    if (namespace, name) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible"):
        return _depth(wanted.get("QueueName"))
    points = cloudwatch._metrics.get((namespace, name, cloudwatch._dims_key(wanted))) or []
    points = [point for point in points if since <= point["Timestamp"] < until]
    return cloudwatch._stat_value(cloudwatch._calc_stats(points), statistic, points) if points else None


def _depth(queue: str | None) -> float | None:
    """The number of messages that can be received from a queue now. SQS reports it each minute."""
    for record in sqs._queues.values():
        if record["name"] == queue:
            now = time.time()
            return float(sum(message["visible_at"] <= now for message in record["messages"]))
    return None


def _notify_admitted_topics() -> None:
    original = cloudwatch._dispatch_alarm_actions

    def dispatch_alarm_actions(alarm, old_state, new_state, reason):
        field = {"ALARM": "AlarmActions", "OK": "OKActions"}.get(new_state, "InsufficientDataActions")
        admitted = [arn for arn in alarm.get(field) or [] if _is_admitted(arn, alarm["AlarmArn"])]
        original({**alarm, field: admitted}, old_state, new_state, reason)

    cloudwatch._dispatch_alarm_actions = dispatch_alarm_actions


def _is_admitted(topic: str, alarm: str) -> bool:
    if sns._topic_by_arn_any_scope(topic) is None:
        return False
    # CloudWatch publishes on behalf of the alarm's owner, whom the default policy of a topic admits.
    return targets.refused_by_resource("sns", topic, "sns:Publish", _SERVICE, alarm, for_owner=True) is None
