"""Starts the mended ministack on a listening socket, and stops it with everything it started."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import threading

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config
from ministack import app

import alarms
import amp
import cloudformation
import cloudformation_events
import cloudformation_templates
import cloudtrail
import costs
import ec2
import eks
import event_buses
import event_targets
import iam_context
import iam_dependent_rights
import iam_managed_policies
import iam_principals
import iam_quotas
import iam_trust
import iam_trust_history
import iam_visibility
import lambda_async
import lambda_workers
import organization
import sessions
import stepfunctions
import stepfunctions_events
import stepfunctions_expressions
import stepfunctions_history
import stepfunctions_life
import stepfunctions_map
import stepfunctions_nested
import stepfunctions_role
import topics
from calls import Calls
from collector import Collector
from settings import Settings
from surface import Surface

# Each restores one thing that ministack does otherwise than AWS. Later ones wrap earlier ones.
MENDS = (
    iam_context,
    iam_principals,
    iam_trust_history,
    iam_quotas,
    iam_managed_policies,
    iam_trust,
    iam_visibility,
    iam_dependent_rights,
    ec2,
    eks,
    lambda_workers,
    lambda_async,
    costs,
    event_buses,
    event_targets,
    cloudtrail,
    sessions,
    stepfunctions,
    stepfunctions_life,
    stepfunctions_role,
    stepfunctions_expressions,
    stepfunctions_history,
    stepfunctions_nested,
    stepfunctions_events,
    stepfunctions_map,
    topics,
    alarms,
    organization,
    cloudformation_templates,
    cloudformation,
    cloudformation_events,
    amp,
)


def serve(cloud: Settings, listener: socket.socket, watch_stdin: bool, keep_directory: bool) -> None:
    """Serves until SIGTERM, SIGINT or the end of standard input. Does not return."""
    for mend in MENDS:
        mend.install(cloud)
    calls, collector = Calls(), Collector(cloud)
    calls.install()
    surface = Surface(cloud, app.app, calls, collector)
    try:
        asyncio.run(_serve(surface, cloud, listener, collector, watch_stdin))
    finally:
        _stop(cloud, keep_directory)


async def _serve(surface: Surface, cloud: Settings, listener: socket.socket, collector: Collector, watch_stdin: bool):
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    if watch_stdin:
        threading.Thread(target=_wait_for_end_of_stdin, args=(loop, told), daemon=True, name="stdin").start()
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    server = asyncio.create_task(hypercorn_serve(surface, config, shutdown_trigger=asyncio.Event().wait))
    stop = asyncio.create_task(told.wait())
    ready = asyncio.create_task(_say_when_ready(cloud, collector))
    await asyncio.wait({server, stop}, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    if server.done():
        server.result()
    # Answers under way are given up: nobody is left to read them.


async def _say_when_ready(cloud: Settings, collector: Collector) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", cloud.port)
    writer.write(b"GET /_cloud/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    await reader.readline()
    writer.close()
    if cloud.collects:
        collector.start()
    print(f"ready {cloud.url}", flush=True)


def _wait_for_end_of_stdin(loop: asyncio.AbstractEventLoop, told: asyncio.Event) -> None:
    try:
        while os.read(sys.stdin.fileno(), 4096):
            pass
    except (OSError, ValueError, AttributeError):
        pass  # Closed, or never there.
    loop.call_soon_threadsafe(told.set)


def _stop(cloud: Settings, keep_directory: bool) -> None:
    amp.prometheus().stop()
    lambda_workers.stop()
    if keep_directory:
        for name in ("home", "tmp", "s3", "state"):
            shutil.rmtree(cloud.directory / name, ignore_errors=True)
    else:
        shutil.rmtree(cloud.directory, ignore_errors=True)
    # Threads of executions that still wait must not hold the process.
    os._exit(0)
