"""Step Functions: a distributed Map that reads items from S3 and writes results to S3, and its progress."""

import json

import pytest
from conftest import HUB, REGION, allow, deny, wait_for
from support.machines import distributed, failing, task

from stepfunctions import definitions

SFN = f"arn:aws:states:{REGION}:{HUB}"
PERMISSIONS = [allow("states:StartExecution", f"{SFN}:stateMachine:*"), allow("lambda:InvokeFunction")]
READ = "s3:GetObject"
WRITE = ["s3:PutObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"]
ECHO = {"A": {"Type": "Pass", "End": True}}


@pytest.fixture
def bucket(cloud, name):
    """A bucket in the hub account, without objects."""
    return Bucket(cloud, name.lower())


class Bucket:
    def __init__(self, cloud, name, region=REGION):
        self.name, self.s3 = name, cloud.client("s3", HUB, region)
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})

    def put(self, key, text):
        self.s3.put_object(Bucket=self.name, Key=key, Body=text.encode())

    def text(self, key):
        return self.s3.get_object(Bucket=self.name, Key=key)["Body"].read().decode()

    def objects(self, path="*"):
        return f"arn:aws:s3:::{self.name}/{path}"

    def arn(self):
        return f"arn:aws:s3:::{self.name}"

    def object_reader(self, key, kind="JSONL", **more):
        return {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": kind, **more},
            "Arguments": {"Bucket": self.name, "Key": key},
        }

    def prefix_reader(self, prefix, **config):
        return {
            "Resource": "arn:aws:states:::s3:listObjectsV2",
            "ReaderConfig": config or {"InputType": "JSONL", "Transformation": "LOAD_AND_FLATTEN"},
            "Arguments": {"Bucket": self.name, "Prefix": prefix},
        }

    def writer(self, **config):
        writer = {
            "Resource": "arn:aws:states:::s3:putObject",
            "Arguments": {"Bucket": self.name, "Prefix": "{% 'out/' & $states.input.run %}"},
        }
        return {**writer, "WriterConfig": config} if config else writer

    def written(self, result, status):
        """The text of the result file of a status, which the manifest lists."""
        manifest = json.loads(self.text(result["ResultWriterDetails"]["Key"]))
        (file,) = manifest["ResultFiles"][status]
        assert file["Size"] == len(self.text(file["Key"]).encode())
        return self.text(file["Key"])


def test_the_items_are_the_lines_of_an_object(machines, role, bucket):
    # U+2028 and an empty line are not the ends of a line of JSON Lines.
    bucket.put("in/a.jsonl", '{"n": 1}\n{"n": "a\u2028b"}\n\n{"n": 3}\n')
    reader = bucket.object_reader("{% 'in/' & $states.input.file %}")
    selector = {"v": "{% $states.context.Map.Item.Value.n %}", "i": "{% $states.context.Map.Item.Index %}"}
    states = {"M": distributed(ECHO, ItemReader=reader, ItemSelector=selector, Output="{% $states.result %}")}
    output = machines.output(states, {"file": "a.jsonl"}, role=role(*PERMISSIONS, allow(READ, bucket.objects("in/*"))))
    assert output == [{"v": 1, "i": 0}, {"v": "a\u2028b", "i": 1}, {"v": 3, "i": 2}]


@pytest.mark.parametrize(
    ("text", "expected"), [("[1, 2]", [1, 2]), ('{"a": 1}', [{"Key": "a", "Value": 1}]), ("[]", [])]
)
def test_the_items_are_the_elements_of_a_json_array_or_the_entries_of_an_object(machines, role, bucket, text, expected):
    bucket.put("a.json", text)
    states = {"M": distributed(ECHO, ItemReader=bucket.object_reader("a.json", "JSON"))}
    assert machines.output(states, role=role(*PERMISSIONS, allow(READ))) == expected


def test_an_object_without_lines_has_no_items(machines, role, bucket):
    bucket.put("a.jsonl", "")
    states = {"M": distributed(ECHO, ItemReader=bucket.object_reader("a.jsonl"))}
    assert machines.output(states, role=role(*PERMISSIONS, allow(READ))) == []


def test_max_items_limits_the_items(machines, role, bucket):
    bucket.put("a.jsonl", "1\n2\n3\n")
    reader = bucket.object_reader("a.jsonl", MaxItems="{% $states.input.n %}")
    states = {"M": distributed(ECHO, ItemReader=reader)}
    assert machines.output(states, {"n": 2}, role=role(*PERMISSIONS, allow(READ))) == [1, 2]


def test_the_items_are_the_lines_of_all_objects_with_a_prefix(machines, role, bucket):
    for key, text in {"p/b": "3\n", "p/a": "1\n2", "q/a": "4"}.items():
        bucket.put(key, text)
    states = {"M": distributed(ECHO, ItemReader=bucket.prefix_reader("p/"))}
    listing = allow("s3:ListBucket", bucket.arn(), Condition={"StringEquals": {"s3:prefix": "p/"}})
    role_name = role(*PERMISSIONS, listing, allow(READ, bucket.objects("p/*")))
    assert machines.output(states, role=role_name) == [1, 2, 3]


def test_the_items_of_a_list_without_transformation_describe_the_objects(machines, role, bucket):
    bucket.put("p/a", "1\n2")
    states = {"M": distributed(ECHO, ItemReader=bucket.prefix_reader("p/", MaxItems=5))}
    (item,) = machines.output(states, role=role(*PERMISSIONS, allow("s3:ListBucket", bucket.arn())))
    assert (item["Key"], item["Size"], item["StorageClass"]) == ("p/a", 3, "STANDARD")


def test_a_prefix_without_objects_has_no_items(machines, role, bucket):
    states = {"M": distributed(ECHO, ItemReader=bucket.prefix_reader("p/"))}
    assert machines.output(states, role=role(*PERMISSIONS, allow("s3:ListBucket"))) == []


@pytest.mark.parametrize(
    ("statement", "cause"),
    [
        (allow([READ, "s3:ListBucket"]), "key does not exist"),
        # Without s3:ListBucket, S3 does not show that an object does not exist.
        (allow(READ), "s3:ListBucket"),
        (allow("s3:ListBucket"), "s3:GetObject"),
    ],
)
def test_an_object_that_cannot_be_read_fails_the_map(machines, role, bucket, statement, cause):
    caught = [{"ErrorEquals": ["States.ItemReaderFailed"], "Output": "{% $states.errorOutput %}", "Next": "E"}]
    state = distributed(ECHO, ItemReader=bucket.object_reader("missing"), Catch=caught)
    output = machines.output({"M": state, "E": {"Type": "Succeed"}}, role=role(*PERMISSIONS, statement))
    assert cause in output["Cause"]


@pytest.mark.parametrize("missing", [deny("s3:ListBucket"), deny(READ)], ids=["ListBucket", "GetObject"])
def test_a_prefix_requires_permissions_on_the_bucket_and_the_objects(machines, role, bucket, missing):
    bucket.put("p/a", "1")
    states = {"M": distributed(ECHO, ItemReader=bucket.prefix_reader("p/"))}
    ended = machines.run(states, role=role(*PERMISSIONS, allow("s3:*"), missing))
    assert ended["error"] == "States.ItemReaderFailed" and missing["Action"] in ended["cause"]


def test_the_prefix_is_a_condition_key_of_list_bucket(machines, role, bucket):
    listing = allow("s3:ListBucket", bucket.arn(), Condition={"StringEquals": {"s3:prefix": "other/"}})
    states = {"M": distributed(ECHO, ItemReader=bucket.prefix_reader("p/"))}
    ended = machines.run(states, role=role(*PERMISSIONS, listing))
    assert ended["error"] == "States.ItemReaderFailed"


@pytest.mark.parametrize(("kind", "text"), [("JSONL", "1\n{"), ("JSON", "{"), ("JSON", "7")])
def test_an_object_of_another_format_fails_the_map(machines, role, bucket, kind, text):
    bucket.put("a", text)
    states = {"M": distributed(ECHO, ItemReader=bucket.object_reader("a", kind))}
    assert machines.run(states, role=role(*PERMISSIONS, allow(READ)))["error"] == "States.ItemReaderFailed"


@pytest.mark.parametrize("field", ["ItemReader", "ResultWriter"])
def test_a_bucket_of_another_region_fails_the_map(cloud, machines, role, name, field):
    bucket = Bucket(cloud, name.lower(), "eu-west-1")
    bucket.put("a", "1")
    more = {"ItemReader": bucket.object_reader("a")}
    if field == "ResultWriter":
        more = {"Items": [1], "ResultWriter": bucket.writer()}
    ended = machines.run({"M": distributed(ECHO, **more)}, {"run": "r"}, role=role(*PERMISSIONS, allow("s3:*")))
    assert ended["error"] == f"States.{field}Failed"


def test_an_item_larger_than_the_limit_fails_the_map(machines, role, bucket):
    bucket.put("a", json.dumps("x" * 262144))
    states = {"M": distributed(ECHO, ItemReader=bucket.object_reader("a"))}
    assert machines.run(states, role=role(*PERMISSIONS, allow(READ)))["error"] == "States.DataLimitExceeded"


def test_a_child_receives_a_batch_of_items(machines, role):
    batcher = {"MaxItemsPerBatch": "{% $states.input.n %}", "BatchInput": {"b": "{% $states.input.n %}"}}
    states = {"M": distributed(ECHO, Items=[1, 2, 3], ItemBatcher=batcher, ItemSelector=[7])}
    output = machines.output(states, {"n": 2}, role=role(*PERMISSIONS))
    assert output == [{"BatchInput": {"b": 2}, "Items": [[7], [7]]}, {"BatchInput": {"b": 2}, "Items": [[7]]}]


def test_the_failure_thresholds_count_the_items_of_a_batch(machines, role):
    child = {"A": task({"error": "{% 3 in $states.input.Items ? 'Odd' : null %}"}, End=True)}
    batched = {"Items": [1, 2, 3, 4], "ItemBatcher": {"MaxItemsPerBatch": 2}}
    role_name = role(*PERMISSIONS)
    for count, status in ((1, "FAILED"), (2, "SUCCEEDED")):
        state = distributed(child, **batched, ToleratedFailureCount=count)
        assert machines.run({"M": state}, role=role_name)["status"] == status


FAILING_SECOND = {"A": task({"error": "{% $states.input = 2 ? 'Odd' : null %}"}, Output="{% [1, 'a'] %}", End=True)}


@pytest.mark.parametrize(
    ("transformation", "expected"), [("COMPACT", [[1, "a"], [1, "a"]]), ("FLATTEN", [1, "a", 1, "a"])]
)
@pytest.mark.parametrize("kind", ["JSON", "JSONL"])
def test_the_results_are_objects_of_the_destination(machines, role, bucket, transformation, expected, kind):
    writer = bucket.writer(Transformation=transformation, OutputType=kind)
    state = distributed(FAILING_SECOND, Items=[1, 2, 3], ToleratedFailureCount=1, ResultWriter=writer)
    role_name = role(*PERMISSIONS, allow(WRITE, bucket.objects("out/*")))
    result = machines.output({"M": state}, {"run": "r1"}, role=role_name)
    uuid = result["MapRunArn"].rpartition(":")[2]
    assert result["ResultWriterDetails"] == {"Bucket": bucket.name, "Key": f"out/r1/{uuid}/manifest.json"}
    manifest = json.loads(bucket.text(f"out/r1/{uuid}/manifest.json"))
    assert (manifest["DestinationBucket"], manifest["MapRunArn"]) == (bucket.name, result["MapRunArn"])
    files = manifest["ResultFiles"]
    assert files["PENDING"] == [] and files["SUCCEEDED"][0]["Key"] == f"out/r1/{uuid}/SUCCEEDED_0.json"
    assert files["FAILED"][0]["Key"] == f"out/r1/{uuid}/FAILED_0.json"

    def parse(text):
        return [json.loads(line) for line in text.split("\n")] if kind == "JSONL" else json.loads(text)

    assert parse(bucket.written(result, "SUCCEEDED")) == expected
    # A failed child is not transformed.
    (failed,) = parse(bucket.written(result, "FAILED"))
    assert (failed["Status"], failed["Error"], failed["Input"]) == ("FAILED", "Odd", "2") and "Output" not in failed


def test_results_without_writer_config_describe_the_executions(machines, role, bucket):
    state = distributed(ECHO, Items=[{"n": 1}], ResultWriter=bucket.writer(), Output="{% {'r': $states.result} %}")
    output = machines.output({"M": state}, {"run": "r"}, role=role(*PERMISSIONS, allow(WRITE, bucket.objects())))
    (described,) = json.loads(bucket.written(output["r"], "SUCCEEDED"))
    assert (described["Status"], json.loads(described["Input"]), json.loads(described["Output"])) == (
        "SUCCEEDED",
        {"n": 1},
        {"n": 1},
    )
    execution = machines.describe(described["ExecutionArn"])
    assert (execution["name"], execution["stateMachineArn"]) == (described["Name"], described["StateMachineArn"])


def test_a_map_run_that_fails_writes_the_items_that_were_not_started(machines, role, bucket):
    state = distributed({"A": failing(End=True)}, Items=[1, 2], MaxConcurrency=1, ResultWriter=bucket.writer())
    role_name = role(*PERMISSIONS, allow(WRITE, bucket.objects("out/*")))
    execution = machines.start({"M": state}, {"run": "r"}, role=role_name)
    assert machines.wait_for_end(execution)["error"] == "States.ExceedToleratedFailureThreshold"
    (run,) = machines._sfn.list_map_runs(executionArn=execution)["mapRuns"]
    key = f"out/r/{run['mapRunArn'].rpartition(':')[2]}/manifest.json"
    result = {"ResultWriterDetails": {"Key": key}}
    assert json.loads(bucket.written(result, "FAILED"))[0]["Input"] == "1"
    (pending,) = json.loads(bucket.written(result, "PENDING"))
    assert (pending["Status"], pending["Input"]) == ("PENDING", "2")


def test_a_writer_without_destination_formats_the_result(machines, role):
    def output(role_name, kind):
        writer = {"WriterConfig": {"Transformation": "FLATTEN", "OutputType": kind}}
        return machines.output({"M": distributed(ECHO, Items=[[1, 2], 3], ResultWriter=writer)}, role=role_name)

    role_name = role(*PERMISSIONS)
    assert sorted(output(role_name, "JSON")) == [1, 2, 3]
    assert sorted(output(role_name, "JSONL").split("\n")) == ["1", "2", "3"]


@pytest.mark.parametrize("missing", WRITE)
def test_the_writer_requires_each_documented_permission(machines, role, bucket, missing):
    role_name = role(*PERMISSIONS, allow("s3:*"), deny(missing, bucket.objects("out/*")))
    states = {"M": distributed(ECHO, Items=[1], ResultWriter=bucket.writer())}
    ended = machines.run(states, {"run": "r"}, role=role_name)
    assert ended["error"] == "States.ResultWriterFailed" and f"perform: {missing} on" in ended["cause"]


def test_describe_map_run_counts_items_and_executions(machines, role, cloud, client_error, name):
    child = {"A": {"Type": "Wait", "Seconds": 1200, "End": True}}
    state = distributed(child, Items=[1, 2, 3], MaxConcurrency=1, ItemBatcher={"MaxItemsPerBatch": 2})
    execution = machines.start({"M": state}, role=role(*PERMISSIONS))
    (run,) = wait_for(lambda: machines._sfn.list_map_runs(executionArn=execution)["mapRuns"])
    assert run["executionArn"] == execution

    def counts(field):
        described = machines._sfn.describe_map_run(mapRunArn=run["mapRunArn"])
        return {kind: number for kind, number in described[field].items() if number}

    wait_for(lambda: counts("itemCounts") == {"total": 3, "running": 2, "pending": 1})
    assert counts("executionCounts") == {"total": 2, "running": 1, "pending": 1}
    machines.wait_for_end(execution)
    assert counts("itemCounts") == {"total": 3, "succeeded": 3}
    assert machines._sfn.describe_map_run(mapRunArn=run["mapRunArn"])["status"] == "SUCCEEDED"

    session = cloud.role(HUB, f"{name}-2", allow("states:DescribeMapRun", run["mapRunArn"]))
    reader = cloud.client("stepfunctions", HUB, session=session)
    assert reader.describe_map_run(mapRunArn=run["mapRunArn"])["executionArn"] == execution
    other = run["mapRunArn"].replace("mapRun:", "mapRun:other")
    assert client_error(reader.describe_map_run, mapRunArn=other)[0] == "AccessDeniedException"


def reader_of(**more):
    return {"Resource": "arn:aws:states:::s3:getObject", "Arguments": {}, **more}


@pytest.mark.parametrize(
    ("field", "value", "location"),
    [
        ("ItemReader", {"Arguments": {}}, "Resource"),
        ("ItemReader", reader_of(Resource="arn:aws:states:::s3:putObject"), "Resource"),
        ("ItemReader", reader_of(ReaderConfig={"InputType": "XML"}), "ReaderConfig/InputType"),
        ("ItemReader", reader_of(ReaderConfig={"Transformation": "FLATTEN"}), "ReaderConfig/Transformation"),
        ("ItemReader", reader_of(Parameters={}), "Parameters"),
        ("ResultWriter", {}, ""),
        ("ResultWriter", {"WriterConfig": {"Transformation": "LOAD_AND_FLATTEN"}}, "WriterConfig/Transformation"),
        ("ResultWriter", {"WriterConfig": {"OutputType": "CSV"}}, "WriterConfig/OutputType"),
    ],
)
def test_readers_and_writers_must_follow_the_specification(field, value, location):
    states = {"M": distributed(ECHO, **{field: value})}
    found = definitions.validate(json.dumps({"QueryLanguage": "JSONata", "StartAt": "M", "States": states}))
    expected = f"/States/M/{field}/{location}".rstrip("/")
    assert [(one["code"], one["location"]) for one in found] == [("SCHEMA_VALIDATION_FAILED", expected)]


def test_only_a_distributed_map_has_a_reader():
    state = {"Type": "Map", "ItemProcessor": {"StartAt": "A", "States": ECHO}, "ItemReader": reader_of(), "End": True}
    (found,) = definitions.validate(json.dumps({"QueryLanguage": "JSONata", "StartAt": "M", "States": {"M": state}}))
    assert found["location"] == "/States/M/ItemReader"
