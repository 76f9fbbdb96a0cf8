"""DynamoDB: permissions on a table, and conditions of PutItem."""

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


def test_put_item_requires_permission_on_the_table(cloud, table, name, client_error):
    session = cloud.role(HUB, name, allow("dynamodb:PutItem", table))
    dynamodb, item = cloud.client("dynamodb", HUB, session=session), {"k": {"S": "a"}}
    dynamodb.put_item(TableName=name, Item=item)
    dynamodb.put_item(TableName=table, Item=item)
    assert client_error(dynamodb.put_item, TableName=name + "-other", Item=item)[0] == "AccessDeniedException"
    assert client_error(dynamodb.get_item, TableName=name, Key=item)[0] == "AccessDeniedException"


def test_a_failed_condition_returns_the_existing_item(cloud, table, name):
    dynamodb = cloud.client("dynamodb", HUB)

    def put(holder, condition, **values):
        return dynamodb.put_item(
            TableName=name,
            Item={"k": {"S": "a"}, "holder": {"S": holder}},
            ConditionExpression=condition,
            ExpressionAttributeValues={f":{key}": {"S": value} for key, value in values.items()},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )

    put("one", "attribute_not_exists(k) OR holder = :new", new="one")
    put("one", "attribute_not_exists(k) OR holder = :new", new="one")
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as caught:
        put("two", "attribute_not_exists(k) OR holder = :new", new="two")
    assert caught.value.response["Item"] == {"k": {"S": "a"}, "holder": {"S": "one"}}
    put("two", "holder = :old", old="one")
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
        put("three", "holder = :old", old="one")
