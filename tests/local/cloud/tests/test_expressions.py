"""How long an expression may take."""

import time

import pytest
import stepfunctions_expressions
from jsonata import Jsonata
from jsonata.jexception import JException
from jsonata.timebox import Timebox

ENDLESS = "($again := function($n) { $again($n + 1) }; $again(0))"


@pytest.fixture(autouse=True)
def mended(monkeypatch):
    monkeypatch.setattr(Timebox, "current_milli_time", Timebox.current_milli_time)
    stepfunctions_expressions.install(None)


def test_one_that_does_not_end_is_an_error():
    with pytest.raises(JException) as failed:
        Jsonata.jsonata(ENDLESS, timeout=100).evaluate(None)
    assert failed.value.error == "D1012"


def test_one_that_has_to_wait_for_the_machine_is_none():
    slow = Jsonata.jsonata("$wait() + 1", timeout=100)
    slow.register_lambda("wait", lambda: time.sleep(0.3) or 1)
    assert slow.evaluate(None) == 2
