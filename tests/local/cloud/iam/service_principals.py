"""Evaluates whether the trust policy of a role allows an AWS service that this cloud emulates.

Source: IAM user guide, "The confused deputy problem", and "AWS JSON policy elements: Principal".
"""

import copy
import json

from ministack.core import iam_evaluator


def may_assume(role: dict, service: str, region: str, keys: dict[str, str]) -> bool:
    """Whether the trust policy of the role allows the service, with the condition keys that the service sends."""
    document = role.get("AssumeRolePolicyDocument") or "{}"
    document = copy.deepcopy(document) if isinstance(document, dict) else json.loads(document)
    statements = document.get("Statement", [])
    statements = statements if isinstance(statements, list) else [statements]
    # The evaluator does not support service principals. Statements that name the service use principal `*` here.
    named = [
        {**statement, "Principal": "*"}
        for statement in statements
        if statement.get("Principal") == "*"
        or iam_evaluator._service_principal_matches(statement.get("Principal"), service)
    ]
    context = iam_evaluator.EvalContext(
        principal_arn=service,
        principal_type="Service",
        principal_account="",
        action="sts:AssumeRole",
        resource_arn=role["Arn"],
        region=region,
        service_context={
            **{name.lower(): value for name, value in keys.items()},
            "aws:principalservicename": service,
            "aws:principalisawsservice": "true",
        },
    )
    return iam_evaluator.evaluate_trust_policy({"Statement": named}, service, context)
