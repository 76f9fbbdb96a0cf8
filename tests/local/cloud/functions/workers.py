"""Lambda: the environment, the latency and the lifetime of function processes.

Source: Lambda developer guide, "Defined runtime environment variables". The other parts are not AWS rules: they make
functions fast enough for tests and end them when the cloud ends.
"""

import contextlib
import os
import queue
import resource
import shutil
import socket
import socketserver
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

from ministack.core import lambda_runtime
from ministack.core.responses import get_account_id, get_region
from ministack.services import lambda_svc

from core.settings import Settings
from server import guard

# Variables that a function inherits from the cloud. All other variables are set for the function.
_INHERITED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
# Variables that limit a function to the credentials of its role and to one endpoint.
_ISOLATING = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED", "AWS_ENDPOINT_URL")
_LOG_WAIT_SECONDS = 0.004
_POLL_SECONDS = 1


def install(cloud: Settings) -> None:
    """In ministack, functions inherit all variables, respond slowly, and continue to run after ministack is killed."""
    _limit_the_environment(cloud.url_for_functions)
    guard.protect_http_servers()
    _reduce_latency()
    _reduce_polling()
    _stop_workers_of_one_account()
    lambda_runtime.subprocess = SimpleNamespace(**{**vars(subprocess), "Popen": ProcessStarter().spawn})


def stop() -> None:
    """Ends the processes of all functions and prevents new ones."""
    ProcessStarter.closed = True
    lambda_runtime.reset()


def processor_milliseconds() -> float:
    """The processor time of all functions since the start of the cloud. A busy machine does not increase it."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks = os.sysconf("SC_CLK_TCK")
    running = 0
    for process in list(ProcessStarter.started):
        try:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            running += int(fields[11]) + int(fields[12])
        except FileNotFoundError:
            ProcessStarter.started.discard(process)
    return (ended.ru_utime + ended.ru_stime + running / ticks) * 1000


def _limit_the_environment(endpoint: str) -> None:
    original = lambda_svc._provided_worker_env

    def worker_environment(config, code_directory, port):
        variables = original(config, code_directory, port)
        variables["AWS_ENDPOINT_URL"] = endpoint
        allowed = set(_INHERITED) | set(_ISOLATING)
        return {
            name: value
            for name, value in variables.items()
            if name in allowed or os.environ.get(name) != value or name.startswith("AWS_LAMBDA_")
        }

    lambda_svc._provided_worker_env = worker_environment


def _reduce_latency() -> None:
    """Saves 90 ms of each invocation.

    Nagle's algorithm with delayed acknowledgements takes 40 ms, and ministack waits 50 ms for log lines.
    """
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    original = lambda_runtime.Worker._drain_stderr_bounded

    def drain(self, first_line_wait=_LOG_WAIT_SECONDS, **options):
        return original(self, first_line_wait=first_line_wait, **options)

    lambda_runtime.ProvidedWorker._drain_stderr_bounded = drain


def _reduce_polling() -> None:
    """Polls each process once per second.

    ministack polls each idle process twenty times per second. A reconciliation has hundreds of processes, whose
    polling uses a whole processor.
    """
    lambda_runtime.queue = SimpleNamespace(**{**vars(queue), "Queue": _SlowPollingQueue})
    serve_forever, shutdown = socketserver.BaseServer.serve_forever, socketserver.BaseServer.shutdown

    def serve(self, poll_interval=_POLL_SECONDS):
        serve_forever(self, max(poll_interval, _POLL_SECONDS))

    def wake_and_shut_down(self):
        # Some systems cannot shut down a listening socket. On these, the server ends after its next poll.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        shutdown(self)

    socketserver.BaseServer.serve_forever, socketserver.BaseServer.shutdown = serve, wake_and_shut_down


def _stop_workers_of_one_account() -> None:
    """In ministack, a new or changed function stops the functions of the same name in all accounts and Regions."""
    original = lambda_runtime.invalidate_worker

    def invalidate_worker(func_name, qualifier=None, account=None, region=None):
        original(func_name, qualifier, account or get_account_id(), region or get_region())

    lambda_svc.invalidate_worker = invalidate_worker


class _SlowPollingQueue(queue.Queue):
    """A queue with longer timeouts. A put still wakes the waiting thread immediately."""

    def get(self, block=True, timeout=None):
        """Gets an item, like queue.Queue, with a longer timeout."""
        return super().get(block, None if timeout is None else max(timeout, _POLL_SECONDS))


class ProcessStarter:
    """Starts processes that end when the cloud ends, even if the cloud is killed.

    Linux sends the signal when the *thread* that started a process ends. Therefore one thread, which never ends,
    starts all processes. ``setpriv`` requests the signal in the new process, because Python code between fork and
    exec can deadlock on a lock of another thread. Without ``setpriv``, a function that is busy when the cloud is
    killed ends at its next request for an event.
    """

    closed = False
    started: set[subprocess.Popen] = set()

    def __init__(self):
        self._requests: queue.SimpleQueue = queue.SimpleQueue()
        setpriv = shutil.which("setpriv")
        self._prefix = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        threading.Thread(target=self._run, daemon=True, name="process-starter").start()

    def spawn(self, command, **options) -> subprocess.Popen:
        """Starts a process, like subprocess.Popen."""
        if not os.access(command[0], os.X_OK):
            return subprocess.Popen(command, **options)  # Raises the error that ministack expects.
        result: queue.SimpleQueue = queue.SimpleQueue()
        self._requests.put(([*self._prefix, *command], options, result))
        process, error = result.get()
        if error is not None:
            raise error
        return process

    def _run(self) -> None:
        while True:
            command, options, result = self._requests.get()
            try:
                if ProcessStarter.closed:
                    raise OSError("the cloud is stopping")
                process = subprocess.Popen(command, **options)
                ProcessStarter.started.add(process)
                result.put((process, None))
            except BaseException as error:  # The calling thread raises this error.
                result.put((None, error))
