"""Lambda: the processes that functions run in: what they see, how fast they are asked, that none outlives the cloud."""

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

from settings import Settings

# Of the cloud's own environment; all else is made for the function.
_INHERITED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
# What keeps a function from finding other credentials than its role's, or another cloud.
_SHUT = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED", "AWS_ENDPOINT_URL")
_LOG_WAIT_SECONDS = 0.004
_REST_SECONDS = 1


def install(cloud: Settings) -> None:
    """ministack's functions inherit everything, answer late, and live on when ministack is killed."""
    _narrow_the_environment(cloud.functions_endpoint)
    _answer_at_once()
    _rest_between_events()
    lambda_runtime.subprocess = SimpleNamespace(**{**vars(subprocess), "Popen": Keeper().spawn})


def stop() -> None:
    """Ends every function's process, and lets no new one begin."""
    Keeper.closed = True
    lambda_runtime.reset()


def processor_milliseconds() -> float:
    """Processor time of all functions since the cloud began: what a busy machine does not stretch."""
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


def _narrow_the_environment(endpoint: str | None) -> None:
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


def _answer_at_once() -> None:
    """Nagle's algorithm and a delayed acknowledgement cost 40 ms an invocation, and waiting for log
    lines that nobody writes another 50 ms."""
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    original = lambda_runtime.Worker._drain_stderr_bounded

    def drain(self, first_line_wait=_LOG_WAIT_SECONDS, **options):
        return original(self, first_line_wait=first_line_wait, **options)

    lambda_runtime.ProvidedWorker._drain_stderr_bounded = drain


def _rest_between_events() -> None:
    """ministack looks twenty times a second at each process that waits for an event. With hundreds of
    them, as a sweep has, that alone keeps a processor busy."""
    lambda_runtime.queue = SimpleNamespace(**{**vars(queue), "Queue": _RestfulQueue})
    serve_forever, shutdown = socketserver.BaseServer.serve_forever, socketserver.BaseServer.shutdown

    def serve(self, poll_interval=_REST_SECONDS):
        serve_forever(self, max(poll_interval, _REST_SECONDS))

    def wake_and_shut_down(self):
        # Not every system lets a socket that only listens be shut down; there, this takes until the next look.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        shutdown(self)

    socketserver.BaseServer.serve_forever, socketserver.BaseServer.shutdown = serve, wake_and_shut_down


class _RestfulQueue(queue.Queue):
    """Whoever waits for what is put into it looks up seldom: it is woken anyway."""

    def get(self, block=True, timeout=None):
        """As queue.Queue."""
        return super().get(block, None if timeout is None else max(timeout, _REST_SECONDS))


class Keeper:
    """Starts processes that die with the cloud, however it dies.

    Linux sends the signal when the *thread* that started a process ends: so it is one thread that
    never does. ``setpriv`` asks for the signal, in the new process: code of ours between fork and
    exec could wait for ever for a lock that another thread holds. Without ``setpriv`` a function
    that is busy while its cloud is killed ends when it next asks for work.
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
            except BaseException as error:  # The asking thread raises it.
                answer.put((None, error))
