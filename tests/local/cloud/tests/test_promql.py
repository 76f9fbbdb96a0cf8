"""The PromQL subset of workspaces."""

import pytest

from amp import promql

SAMPLES = [
    ({"__name__": "up", "job": "a", "instance": "10.0.0.1"}, 1.0),
    ({"__name__": "up", "job": "b", "instance": "10.0.0.2"}, 0.0),
    ({"__name__": "down", "job": "a"}, 1.0),
]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("up", 2),
        ('up{job="a"}', 1),
        ("up{job='a',}", 1),
        ('{__name__="up", job!="a"}', 1),
        ('up{instance=~"10[.]0.*"}', 2),
        ('up{instance!~".*1"}', 1),
        ('up{job="c"}', 0),
        ('up{absent=""}', 2),
    ],
)
def test_a_selector_returns_the_samples_that_its_matchers_match(query, count):
    assert len(promql.evaluate(query, SAMPLES)) == count


def test_aggregations_group_by_labels():
    assert promql.evaluate("count(up)", SAMPLES) == [({}, 2.0)]
    assert promql.evaluate('count(up{job="c"})', SAMPLES) == []
    by = promql.evaluate("sum by (job) (up)", SAMPLES)
    assert sorted((labels["job"], value) for labels, value in by) == [("a", 1.0), ("b", 0.0)]


@pytest.mark.parametrize("query", ["", "{}", "up{job}", 'up{job="a"', "rate(up[5m])", "up + up", 'up{job=~"("}'])
def test_an_unsupported_query_fails(query):
    with pytest.raises(promql.BadQuery):
        promql.evaluate(query, SAMPLES)
