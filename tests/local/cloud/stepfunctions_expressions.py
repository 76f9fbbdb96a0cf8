"""Step Functions: how long an expression may take.

Source: Step Functions developer guide, "Transforming data with JSONata in Step Functions" (an expression
that fails, and be it for lack of time, is States.QueryEvaluationError). ministack gives it a second.
"""

import time

from jsonata.timebox import Timebox

from settings import Settings


def install(cloud: Settings) -> None:
    """ministack counts real time, in which a busy machine may have done something else; this counts what
    the expression itself took."""
    del cloud
    Timebox.current_milli_time = staticmethod(lambda: round(time.thread_time() * 1000))
