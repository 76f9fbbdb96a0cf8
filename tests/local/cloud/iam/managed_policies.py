"""IAM: AWS managed policies that ministack does not have (AWS managed policy reference)."""

import json

from ministack.services import iam

from core.settings import Settings

_XRAY = [
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:GetSamplingStatisticSummaries",
]
_POLICIES = {
    "AmazonPrometheusRemoteWriteAccess": ["aps:RemoteWrite"],
    "AmazonPrometheusQueryAccess": ["aps:GetLabels", "aps:GetMetricMetadata", "aps:GetSeries", "aps:QueryMetrics"],
    "AWSXRayDaemonWriteAccess": _XRAY,
    "AWSXrayWriteOnlyAccess": _XRAY,
}


def install(cloud: Settings) -> None:
    """Adds the missing policies, and refuses to attach a policy that does not exist."""
    del cloud
    for name, actions in _POLICIES.items():
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam._aws_managed_policies.setdefault(
            f"arn:aws:iam::aws:policy/{name}", iam._make_aws_managed_record(name, document)
        )
    _refuse_unknown_policies()


def _refuse_unknown_policies() -> None:
    """AttachRolePolicy returns NoSuchEntity if the policy does not exist (IAM API reference)."""
    original = iam._IAM_HANDLERS["AttachRolePolicy"]

    def handler(parameters):
        arn = iam._p(parameters, "PolicyArn")
        if iam._p(parameters, "RoleName") in iam._roles and not iam._policy_exists(arn):
            return iam._error(404, "NoSuchEntity", f"Policy {arn} does not exist or is not attachable.", ns="iam")
        return original(parameters)

    iam._IAM_HANDLERS["AttachRolePolicy"] = handler
