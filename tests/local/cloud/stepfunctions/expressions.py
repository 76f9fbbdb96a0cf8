"""Step Functions: the time limit of an expression.

Source: Step Functions developer guide, "Transforming data with JSONata in Step Functions" (the error of an
expression that fails or takes too long is States.QueryEvaluationError). The limit of ministack is one second.
"""

import time

from jsonata.timebox import Timebox

from core.settings import Settings


def install(cloud: Settings) -> None:
    """Limits the processor time of an expression; ministack limits the elapsed time, which a busy machine increases."""
    del cloud
    Timebox.current_milli_time = staticmethod(lambda: round(time.thread_time() * 1000))
