"""DynamoDB: the rights on a table, and conditions of a PutItem."""

import pytest
from conftest import HUB, REGION, allow


@pytest.fixture
def table(cloud, name):
    dynamodb = cloud.client("dynamodb", HUB)
    for suffix in ("", "-other"):
        dynamodb.create_table(
            TableName=name + suffix,
            KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    return f"arn:aws:dynamodb:{REGION}:{HUB}:table/{name}"


def test_putting_an_item_needs_a_permission_on_its_table(cloud, table, name, refusal):
    session = cloud.role(HUB, name, allow("dynamodb:PutItem", table))
    dynamodb, item = cloud.client("dynamodb", HUB, session=session), {"k": {"S": "a"}}
    dynamodb.put_item(TableName=name, Item=item)
    dynamodb.put_item(TableName=table, Item=item)
    assert refusal(dynamodb.put_item, TableName=name + "-other", Item=item)[0] == "AccessDeniedException"
    assert refusal(dynamodb.get_item, TableName=name, Key=item)[0] == "AccessDeniedException"


def test_a_failed_condition_returns_the_existing_item(cloud, table, name):
    dynamodb = cloud.client("dynamodb", HUB)

    def put(who, condition, **values):
        return dynamodb.put_item(
            TableName=name,
            Item={"k": {"S": "a"}, "who": {"S": who}},
            ConditionExpression=condition,
            ExpressionAttributeValues={f":{key}": {"S": value} for key, value in values.items()},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )

    put("one", "attribute_not_exists(k) OR who = :me", me="one")
    put("one", "attribute_not_exists(k) OR who = :me", me="one")
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as caught:
        put("two", "attribute_not_exists(k) OR who = :me", me="two")
    assert caught.value.response["Item"] == {"k": {"S": "a"}, "who": {"S": "one"}}
    put("two", "who = :holder", holder="one")
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
        put("three", "who = :holder", holder="one")
