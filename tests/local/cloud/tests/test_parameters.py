"""Systems Manager: size limits of parameter values."""

import pytest
from conftest import SOURCE


@pytest.fixture
def put(cloud, name):
    ssm = cloud.client("ssm", SOURCE)

    def put(size, **more):
        request = {"Name": f"/{name}", "Value": "x" * size, "Type": "String", "Overwrite": True, **more}
        return ssm.put_parameter(**request)["Tier"]

    return put


def test_a_standard_parameter_has_at_most_4_kb(put, client_error):
    assert put(4096) == put(4096, Tier="Standard") == "Standard"
    for more in ({}, {"Tier": "Standard"}):
        code, message = client_error(put, size=4097, **more)
        assert code == "ValidationException"
        assert message.startswith("Standard tier parameters support a maximum parameter value of 4096 characters.")


def test_the_size_of_a_parameter_is_in_bytes(put, client_error):
    assert client_error(put, size=0, Value="ü" * 2049)[0] == "ValidationException"


def test_an_advanced_parameter_has_at_most_8_kb_and_stays_advanced(put, client_error):
    assert put(8192, Tier="Advanced") == put(10) == "Advanced"
    code, message = client_error(put, size=8193, Tier="Advanced")
    assert code == "ValidationException" and "8192" in message


def test_intelligent_tiering_uses_the_advanced_tier_if_the_value_requires_it(put, client_error):
    assert put(4096, Tier="Intelligent-Tiering") == "Standard"
    assert put(4097, Tier="Intelligent-Tiering") == "Advanced"
    assert put(1, Tier="Intelligent-Tiering") == "Advanced"
    assert client_error(put, size=8193, Tier="Intelligent-Tiering")[0] == "ValidationException"


def test_a_parameter_in_a_template_has_the_same_limits(cloud, name):
    cfn = cloud.client("cloudformation", SOURCE)
    template = '{"Resources": {"P": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "%s"}}}}'
    cfn.create_stack(StackName=name, TemplateBody=template % ("x" * 4097))
    with pytest.raises(Exception):
        cfn.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 100})
    events = cfn.describe_stack_events(StackName=name)["StackEvents"]
    assert any("4096 characters" in event.get("ResourceStatusReason", "") for event in events)
