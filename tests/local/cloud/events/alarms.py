"""CloudWatch: alarms on queues and executions, evaluated on the cloud's clock.

Source: CloudWatch user guide, "Using Amazon CloudWatch alarms" (missing data, datapoints to alarm) and
"Using math expressions"; SQS developer guide, "Available CloudWatch metrics for Amazon SQS"; Step
Functions developer guide, "Monitoring Step Functions metrics using CloudWatch" (without executions, no datapoint is
reported).
"""

import ast
import logging
import operator
import threading
import time

from ministack.core.responses import request_scope
from ministack.services import cloudwatch, eventbridge, lambda_svc, sns, sqs
from ministack.services import stepfunctions as engine
from ministack.services.cloudformation import provisioners

from core.settings import Settings
from events import targets

log = logging.getLogger("cloudwatch")
_lock = threading.Lock()
_SERVICE = "cloudwatch.amazonaws.com"
_MIN_INTERVAL_SECONDS = 0.05
_EXECUTION_METRICS = {
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
    """ministack counts neither executions nor messages, ignores dimensions and periods without data, and refuses
    metric math."""
    _count_executions()
    _count_messages()
    _accept_metric_math()
    _check_topic_policies()
    cloudwatch._evaluate_alarm = lambda alarm: _evaluate(cloud, alarm)
    threading.Thread(target=_run, args=(cloud,), daemon=True, name="alarms").start()


def _run(cloud: Settings) -> None:
    while True:
        time.sleep(_interval(cloud))
        for (account, region, name), alarm in list(cloudwatch._alarms._data.items()):
            try:
                with request_scope(account, region):
                    _evaluate(cloud, alarm)
            except Exception as error:  # An invalid alarm must not stop the evaluation of the others.
                log.warning("alarm %s cannot be evaluated: %r", name, error)


def _interval(cloud: Settings) -> float:
    """The real seconds between two evaluations."""
    return max(cloud.real_seconds(minutes=1) / 4, _MIN_INTERVAL_SECONDS)


def _count_executions() -> None:
    original = engine._emit_execution_status_event

    def emit_execution_status_event(execution):
        dimensions = {"StateMachineArn": execution["stateMachineArn"]}
        cloudwatch.record_metric("AWS/States", _EXECUTION_METRICS[execution["status"]], 1, "Count", dimensions)
        original(execution)

    engine._emit_execution_status_event = emit_execution_status_event


def _count_messages() -> None:
    """Counts the messages that a request, EventBridge or Lambda sends to a queue, but not those that SQS moves to it."""
    sqs._act_send_message = sqs._HANDLERS["SendMessage"] = _counting(
        sqs._act_send_message, lambda data, url: sqs._get_q(data.get("QueueUrl", url))
    )
    eventbridge._dispatch_to_sqs = _counting(
        eventbridge._dispatch_to_sqs, lambda spec, *_: sqs._queue_by_arn(str(spec))
    )
    lambda_svc._route_async_failure = _counting(
        lambda_svc._route_async_failure, lambda target_arn, *_: sqs._queue_by_arn(target_arn)
    )


def _counting(send, queue_of):
    """`send`, which also counts a message if it puts one into the queue that `queue_of` returns for its arguments."""

    def counting(*arguments):
        queue = queue_of(*arguments)
        before = len(queue["messages"]) if queue else 0
        answer = send(*arguments)
        if queue and len(queue["messages"]) > before:
            cloudwatch.record_metric("AWS/SQS", "NumberOfMessagesSent", 1, "Count", {"QueueName": queue["name"]})
        return answer

    return counting


def _accept_metric_math() -> None:
    original = provisioners._cw_metric_alarm_record

    def metric_alarm_record(name, properties):
        metrics = properties.get("Metrics")
        if not metrics:
            return original(name, properties)
        without_math = {key: value for key, value in properties.items() if key != "Metrics"}
        alarm = original(name, {**without_math, "MetricName": "math", "Namespace": "math"})
        periods = [int(metric["MetricStat"]["Period"]) for metric in metrics if "MetricStat" in metric]
        return {**alarm, "MetricName": None, "Namespace": None, "Metrics": metrics, "Period": max(periods)}

    provisioners._cw_metric_alarm_record = metric_alarm_record


def _evaluate(cloud: Settings, alarm: dict) -> None:
    """Sets the state of an alarm from its latest periods, and runs the alarm actions if the state changes."""
    period, periods = float(alarm["Period"]), int(alarm.get("EvaluationPeriods") or 1)
    # At least two evaluation intervals, so that each datapoint is evaluated.
    real_period, now = max(cloud.real_seconds(seconds=period), 2 * _interval(cloud)), time.time()
    values = [_value(alarm, now - real_period * (age + 1), now - real_period * age) for age in range(periods)]
    compare, threshold = _COMPARISONS[alarm["ComparisonOperator"]], alarm["Threshold"]
    state = _state(alarm, [None if value is None else compare(value, threshold) for value in values])
    reason = f"Threshold Crossed: {values} {alarm['ComparisonOperator']} {threshold}"
    with _lock:
        before = alarm["StateValue"]
        if state == before:
            return
        alarm.update(StateValue=state, StateReason=reason, StateUpdatedTimestamp=int(now))
    cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)


def _state(alarm: dict, breaching: list[bool | None]) -> str:
    """The alarm state for a list of datapoints. None is a missing datapoint."""
    missing = alarm.get("TreatMissingData", "missing")
    if all(datapoint is None for datapoint in breaching) and missing in ("missing", "ignore"):
        return alarm["StateValue"] if missing == "ignore" else "INSUFFICIENT_DATA"
    filled = [missing == "breaching" if datapoint is None else datapoint for datapoint in breaching]
    required = int(alarm.get("DatapointsToAlarm") or len(breaching))
    return "ALARM" if sum(filled) >= required else "OK"


def _value(alarm: dict, since: float, until: float) -> float | None:
    """The value of a metric or of an expression in one period."""
    if not alarm.get("Metrics"):
        statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
        return _datapoint(alarm["Namespace"], alarm["MetricName"], alarm["Dimensions"], statistic, since, until)
    values, expression = {}, None
    for metric in alarm["Metrics"]:
        if "Expression" in metric:
            expression = metric["Expression"]
        else:
            statistic = metric["MetricStat"]
            source = statistic["Metric"]
            values[metric["Id"]] = _datapoint(
                source["Namespace"],
                source["MetricName"],
                source.get("Dimensions") or [],
                statistic["Stat"],
                since,
                until,
            )
    return _calculate(ast.parse(expression, mode="eval").body, values)


def _calculate(node: ast.expr, values: dict[str, float | None]) -> float | None:
    """Evaluates a subset of metric math: `a + b`, `SUM(METRICS())`, `SUM([a, b])` and `FILL(a, 0)`."""
    match node:
        case ast.Name(id=name):
            return values[name]
        case ast.Constant(value=number):
            return number
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            terms = _calculate(left, values), _calculate(right, values)
            return None if None in terms else sum(terms)
        case ast.Call(func=ast.Name(id="FILL"), args=[operand, default]):
            value = _calculate(operand, values)
            return _calculate(default, values) if value is None else value
        case ast.Call(func=ast.Name(id="SUM"), args=[operand]):
            elements = operand.elts if isinstance(operand, ast.List) else [ast.Name(id=name) for name in values]
            present = [value for element in elements if (value := _calculate(element, values)) is not None]
            return sum(present) if present else None
    raise ValueError(f"unsupported metric math: {ast.unparse(node)}")


def _datapoint(namespace, name, dimensions, statistic, since, until) -> float | None:
    dimensions = cloudwatch._dims_from_list(dimensions)
    if (namespace, name) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible"):
        return _queue_depth(dimensions.get("QueueName"))
    points = cloudwatch._metrics.get((namespace, name, cloudwatch._dims_key(dimensions))) or []
    points = [point for point in points if since <= point["Timestamp"] < until]
    return cloudwatch._stat_value(cloudwatch._calc_stats(points), statistic, points) if points else None


def _queue_depth(queue: str | None) -> float | None:
    """The number of messages that are visible in a queue now. SQS reports this metric once per minute."""
    for record in sqs._queues.values():
        if record["name"] == queue:
            now = time.time()
            return float(sum(message["visible_at"] <= now for message in record["messages"]))
    return None


def _check_topic_policies() -> None:
    original = cloudwatch._dispatch_alarm_actions

    def dispatch_alarm_actions(alarm, old_state, new_state, reason):
        field = {"ALARM": "AlarmActions", "OK": "OKActions"}.get(new_state, "InsufficientDataActions")
        topics = [arn for arn in alarm.get(field) or [] if _may_publish(arn, alarm["AlarmArn"])]
        original({**alarm, field: topics}, old_state, new_state, reason)

    cloudwatch._dispatch_alarm_actions = dispatch_alarm_actions


def _may_publish(topic: str, alarm: str) -> bool:
    if sns._topic_by_arn_any_scope(topic) is None:
        return False
    # CloudWatch publishes for the owner of the alarm. The default policy of a topic allows the owner.
    return targets.resource_policy_error("sns", topic, "sns:Publish", _SERVICE, alarm, for_owner=True) is None
