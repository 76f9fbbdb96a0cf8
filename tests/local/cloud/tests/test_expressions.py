"""Step Functions: the time limit of an expression."""

import time

import pytest
from jsonata import Jsonata
from jsonata.jexception import JException
from jsonata.timebox import Timebox

from stepfunctions import expressions

ENDLESS = "($again := function($n) { $again($n + 1) }; $again(0))"


@pytest.fixture(autouse=True)
def install_correction(monkeypatch):
    monkeypatch.setattr(Timebox, "current_milli_time", Timebox.current_milli_time)
    expressions.install(None)


def test_an_endless_expression_fails():
    with pytest.raises(JException) as failed:
        Jsonata.jsonata(ENDLESS, timeout=100).evaluate(None)
    assert failed.value.error == "D1012"


def test_elapsed_time_without_processor_time_does_not_fail_an_expression():
    slow = Jsonata.jsonata("$wait() + 1", timeout=100)
    slow.register_lambda("wait", lambda: time.sleep(0.3) or 1)
    assert slow.evaluate(None) == 2
