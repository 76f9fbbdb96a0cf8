"""Lambda: the processes that functions run in: their environment, their latency and their end with the cloud.

Source: Lambda developer guide, "Defined runtime environment variables". The rest restores no rule of AWS: it makes
functions fast enough for tests and ends them with the cloud.
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
from ministack.services import lambda_svc

from core.settings import Settings

# Variables that a function gets from the environment of the cloud. All others are made for the function.
_INHERITED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
# Variables that keep a function from other credentials than its role's, and from another endpoint.
_SHUT = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED", "AWS_ENDPOINT_URL")
_LOG_WAIT_SECONDS = 0.004
_POLL_SECONDS = 1


def install(cloud: Settings) -> None:
    """ministack's functions inherit all variables, answer slowly, and continue to run when ministack is killed."""
    _limit_the_environment(cloud.functions_endpoint)
    _answer_quickly()
    _poll_rarely()
    lambda_runtime.subprocess = SimpleNamespace(**{**vars(subprocess), "Popen": Keeper().spawn})


def stop() -> None:
    """Ends the process of every function and starts no further one."""
    Keeper.closed = True
    lambda_runtime.reset()


def processor_milliseconds() -> float:
    """The processor time of all functions since the start of the cloud, which a busy machine does not increase."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks = os.sysconf("SC_CLK_TCK")
    running = 0
    for process in list(Keeper.started):
        try:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            running += int(fields[11]) + int(fields[12])
        except FileNotFoundError:
            Keeper.started.discard(process)
    return (ended.ru_utime + ended.ru_stime + running / ticks) * 1000


def _limit_the_environment(endpoint: str | None) -> None:
    original = lambda_svc._provided_worker_env

    def worker_environment(config, code_directory, port):
        wanted = original(config, code_directory, port)
        if endpoint:
            wanted["AWS_ENDPOINT_URL"] = endpoint
        kept = set(_INHERITED) | set(_SHUT)
        return {
            name: value
            for name, value in wanted.items()
            if name in kept or os.environ.get(name) != value or name.startswith("AWS_LAMBDA_")
        }

    lambda_svc._provided_worker_env = worker_environment


def _answer_quickly() -> None:
    """Saves 40 ms of each invocation, which Nagle's algorithm and delayed acknowledgements cost, and the 50 ms
    for which ministack waits for log lines."""
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    original = lambda_runtime.Worker._drain_stderr_bounded

    def drain(self, first_line_wait=_LOG_WAIT_SECONDS, **options):
        return original(self, first_line_wait=first_line_wait, **options)

    lambda_runtime.ProvidedWorker._drain_stderr_bounded = drain


def _poll_rarely() -> None:
    """ministack polls each process that waits for an event twenty times a second. With hundreds of processes,
    which a reconciliation has, that alone keeps a processor busy."""
    lambda_runtime.queue = SimpleNamespace(**{**vars(queue), "Queue": _RarelyPollingQueue})
    serve_forever, shutdown = socketserver.BaseServer.serve_forever, socketserver.BaseServer.shutdown

    def serve(self, poll_interval=_POLL_SECONDS):
        serve_forever(self, max(poll_interval, _POLL_SECONDS))

    def wake_and_shut_down(self):
        # Some systems cannot shut down a listening socket; there, the server ends with its next poll.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        shutdown(self)

    socketserver.BaseServer.serve_forever, socketserver.BaseServer.shutdown = serve, wake_and_shut_down


class _RarelyPollingQueue(queue.Queue):
    """A queue with longer timeouts: a put wakes the waiting thread anyway."""

    def get(self, block=True, timeout=None):
        """As queue.Queue."""
        return super().get(block, None if timeout is None else max(timeout, _POLL_SECONDS))


class Keeper:
    """Starts processes that end with the cloud, even if the cloud is killed.

    Linux sends the signal when the *thread* that started a process ends, so one thread starts them that
    never ends. ``setpriv`` requests the signal in the new process, because Python code between fork and
    exec could wait for ever for a lock of another thread. Without ``setpriv`` a function that is busy
    while its cloud is killed ends when it next requests an event.
    """

    closed = False
    started: set[subprocess.Popen] = set()

    def __init__(self):
        self._orders: queue.SimpleQueue = queue.SimpleQueue()
        setpriv = shutil.which("setpriv")
        self._before = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        threading.Thread(target=self._run, daemon=True, name="keeper").start()

    def spawn(self, command, **options) -> subprocess.Popen:
        """As subprocess.Popen."""
        if not os.access(command[0], os.X_OK):
            return subprocess.Popen(command, **options)     # raises what ministack expects
        answer: queue.SimpleQueue = queue.SimpleQueue()
        self._orders.put(([*self._before, *command], options, answer))
        process, error = answer.get()
        if error is not None:
            raise error
        return process

    def _run(self) -> None:
        while True:
            command, options, answer = self._orders.get()
            try:
                if Keeper.closed:
                    raise OSError("the cloud is stopping")
                process = subprocess.Popen(command, **options)
                Keeper.started.add(process)
                answer.put((process, None))
            except BaseException as error:  # The calling thread raises it.
                answer.put((None, error))
