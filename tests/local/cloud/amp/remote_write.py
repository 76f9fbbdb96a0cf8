"""Prometheus remote write: a protocol buffer, compressed in the Snappy block format.

Source: Prometheus, "Prometheus Remote-Write 1.0 specification" (prometheus.WriteRequest).
"""

import time

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

HEADERS = {"content-encoding": "snappy", "x-prometheus-remote-write-version": "0.1.0"}
CONTENT_TYPE = "application/x-protobuf"
_FIELD = descriptor_pb2.FieldDescriptorProto


class BadWrite(ValueError):
    """The body is not a remote write request."""


def _messages() -> type:
    file = descriptor_pb2.FileDescriptorProto(name="remote_write.proto", package="prometheus", syntax="proto3")
    for message_name, fields in {
        "Label": [("name", _FIELD.TYPE_STRING, None), ("value", _FIELD.TYPE_STRING, None)],
        "Sample": [("value", _FIELD.TYPE_DOUBLE, None), ("timestamp", _FIELD.TYPE_INT64, None)],
        "TimeSeries": [("labels", _FIELD.TYPE_MESSAGE, "Label"), ("samples", _FIELD.TYPE_MESSAGE, "Sample")],
        "WriteRequest": [("timeseries", _FIELD.TYPE_MESSAGE, "TimeSeries")],
    }.items():
        message_type = file.message_type.add(name=message_name)
        for number, (name, kind, element) in enumerate(fields, 1):
            label = _FIELD.LABEL_REPEATED if element else _FIELD.LABEL_OPTIONAL
            options = {"type_name": f".prometheus.{element}"} if element else {}
            message_type.field.add(name=name, number=number, type=kind, label=label, **options)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))


_WriteRequest = _messages()


def encode(rows: list[dict]) -> bytes:
    """Encodes rows of labels and value as samples with the current time."""
    request, now = _WriteRequest(), int(time.time() * 1000)
    for row in rows:
        series = request.timeseries.add()
        # Prometheus requires sorted labels.
        for name, value in sorted(row["labels"].items()):
            series.labels.add(name=name, value=str(value))
        series.samples.add(value=float(row["value"]), timestamp=now)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def decode(body: bytes) -> list[dict]:
    """Decodes the last sample of each series to rows of labels and value."""
    request = _WriteRequest()
    try:
        request.ParseFromString(bytes(cramjam.snappy.decompress_raw(body)))
    except (cramjam.DecompressionError, DecodeError, ValueError) as error:
        raise BadWrite(f"expected a Prometheus remote write request, compressed with Snappy: {error}") from None
    rows = []
    for series in request.timeseries:
        if series.samples:
            labels = {label.name: label.value for label in series.labels}
            rows.append({"labels": labels, "value": series.samples[-1].value})
    return rows
