"""Starts ministack with its corrections on a listening socket, and stops it with all its child processes."""

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

from amp import service
from amp.collector import Collector
from core.settings import Settings
from functions import workers
from server import corrections
from server.control_api import ControlApi
from server.guard import Guard
from server.request_log import RequestLog


def serve(cloud: Settings, listener: socket.socket, watch_stdin: bool, keep_directory: bool) -> None:
    """Serves requests until SIGTERM, SIGINT or the end of standard input, then ends the process."""
    corrections.install(cloud)
    requests, collector = RequestLog(), Collector(cloud)
    requests.install()
    application = Guard(cloud, ControlApi(cloud, app.app, requests, collector))
    try:
        asyncio.run(_serve(application, cloud, listener, collector, watch_stdin, keep_directory))
    finally:
        _stop(cloud, keep_directory)


async def _serve(
    application: Guard,
    cloud: Settings,
    listener: socket.socket,
    collector: Collector,
    watch_stdin: bool,
    keep_directory: bool,
) -> None:
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if watch_stdin:
        threading.Thread(target=_wait_for_end_of_stdin, args=(loop, stopped), daemon=True, name="stdin").start()
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    server = asyncio.create_task(hypercorn_serve(application, config, shutdown_trigger=asyncio.Event().wait))
    stop = asyncio.create_task(stopped.wait())
    ready = asyncio.create_task(_report_when_ready(cloud, collector))
    await asyncio.wait({server, stop}, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    if server.done():
        server.result()
    # Requests in progress are dropped, because their clients also stop. The process exits here: asyncio never
    # finishes if a server is cancelled during its start.
    _stop(cloud, keep_directory)


async def _report_when_ready(cloud: Settings, collector: Collector) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", cloud.port)
    request = f"GET /{cloud.secret}/_cloud/health HTTP/1.1\r\nHost: {cloud.hosts[0]}\r\nConnection: close\r\n\r\n"
    writer.write(request.encode())
    await reader.readline()
    writer.close()
    if cloud.collection_enabled:
        collector.start()
    print(f"ready {cloud.url}", flush=True)


def _wait_for_end_of_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    try:
        while os.read(sys.stdin.fileno(), 4096):
            pass
    except (OSError, ValueError, AttributeError):
        pass  # Standard input is closed or missing.
    loop.call_soon_threadsafe(stopped.set)


def _stop(cloud: Settings, keep_directory: bool) -> None:
    service.prometheus().stop()
    workers.stop()
    if keep_directory:
        for name in ("home", "tmp", "s3", "state"):
            shutil.rmtree(cloud.directory / name, ignore_errors=True)
    else:
        shutil.rmtree(cloud.directory, ignore_errors=True)
    # Exits without waiting for the threads of running executions.
    os._exit(0)
