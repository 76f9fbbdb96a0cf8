"""Systems Manager: the sizes of parameters."""

import pytest
from conftest import SOURCE


@pytest.fixture
def put(cloud, name):
    ssm = cloud.client("ssm", SOURCE)

    def put(size, **more):
        request = {"Name": f"/{name}", "Value": "x" * size, "Type": "String", "Overwrite": True, **more}
        return ssm.put_parameter(**request)["Tier"]

    return put


def test_a_standard_parameter_holds_4_kb(put, refusal):
    assert put(4096) == put(4096, Tier="Standard") == "Standard"
    for more in ({}, {"Tier": "Standard"}):
        code, message = refusal(put, size=4097, **more)
        assert code == "ValidationException"
        assert message.startswith("Standard tier parameters support a maximum parameter value of 4096 characters.")


def test_the_size_is_counted_in_bytes(put, refusal):
    assert refusal(put, size=0, Value="ü" * 2049)[0] == "ValidationException"


def test_an_advanced_parameter_holds_8_kb_and_stays_advanced(put, refusal):
    assert put(8192, Tier="Advanced") == put(10) == "Advanced"
    code, message = refusal(put, size=8193, Tier="Advanced")
    assert code == "ValidationException" and "8192" in message


def test_intelligent_tiering_makes_a_parameter_advanced_if_it_needs_to_be(put, refusal):
    assert put(4096, Tier="Intelligent-Tiering") == "Standard"
    assert put(4097, Tier="Intelligent-Tiering") == "Advanced"
    assert put(1, Tier="Intelligent-Tiering") == "Advanced"
    assert refusal(put, size=8193, Tier="Intelligent-Tiering")[0] == "ValidationException"


def test_a_parameter_of_a_template_has_the_same_limits(cloud, name):
    cfn = cloud.client("cloudformation", SOURCE)
    template = '{"Resources": {"P": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "%s"}}}}'
    cfn.create_stack(StackName=name, TemplateBody=template % ("x" * 4097))
    with pytest.raises(Exception):
        cfn.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 100})
    events = cfn.describe_stack_events(StackName=name)["StackEvents"]
    assert any("4096 characters" in event.get("ResourceStatusReason", "") for event in events)
