"""Step Functions: how long an expression may take.

Source: Step Functions developer guide, "Transforming data with JSONata in Step Functions" (an expression
that fails or takes too long is States.QueryEvaluationError). ministack allows one second.
"""

import time

from jsonata.timebox import Timebox

from core.settings import Settings


def install(cloud: Settings) -> None:
    """ministack limits elapsed time, which includes the work of other processes; this limits the processor
    time of the expression."""
    del cloud
    Timebox.current_milli_time = staticmethod(lambda: round(time.thread_time() * 1000))
