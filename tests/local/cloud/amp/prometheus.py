"""Prometheus servers for workspaces. The first request to a workspace starts its server.

Source: Prometheus, "Configuration" (--web.enable-remote-write-receiver) and "HTTP API".
"""

import json
import logging
import re
import secrets
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

from core.settings import Settings

log = logging.getLogger("prometheus")
_PROGRAM = "prometheus"
_TIMEOUT_SECONDS = 20.0


class Prometheus:
    """The Prometheus servers of one cloud. Each workspace has its own server."""

    def __init__(self, cloud: Settings, lookback_seconds: float):
        self._program = shutil.which(_PROGRAM) if cloud.prometheus else None
        self._directory, self._lookback = Path(cloud.directory) / "prometheus", lookback_seconds
        self._servers: dict[str, _Server] = {}
        self._lock = threading.Lock()

    def version(self) -> str | None:
        """The version of Prometheus, or None if no Prometheus server is used."""
        if self._program is None:
            return None
        process = subprocess.run([self._program, "--version"], capture_output=True, text=True, check=False)
        match = re.search(r"version (\S+?)[+ ]", process.stdout + process.stderr)
        return match[1] if match else "unknown"

    def enabled(self) -> bool:
        """Whether Prometheus servers serve the workspaces."""
        return self._program is not None

    def server(self, workspace: str) -> "_Server":
        """Returns the server of a workspace and starts it if necessary. Blocks until the server is ready."""
        with self._lock:
            if workspace not in self._servers:
                directory = self._directory / workspace
                self._servers[workspace] = _Server(self._program, directory, self._lookback)
            return self._servers[workspace]

    def stop(self) -> None:
        """Stops all servers."""
        with self._lock:
            for server in self._servers.values():
                server.stop()
            self._servers.clear()


class _Server:
    def __init__(self, program: str, directory: Path, lookback_seconds: float):
        directory.mkdir(parents=True)
        (directory / "prometheus.yml").write_text("{}\n")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        # Prometheus accepts requests of every web page, so its paths begin with a secret.
        prefix = f"/{secrets.token_hex(16)}"
        self._url = f"http://{address}{prefix}"
        setpriv = shutil.which("setpriv")
        # The kernel stops the server if the cloud is killed.
        ending = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        arguments = [
            program,
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={address}",
            f"--web.route-prefix={prefix}",
            "--web.cors.origin=none",
            "--web.enable-remote-write-receiver",
            f"--query.lookback-delta={max(1, round(lookback_seconds))}s",
            "--log.level=error",
        ]
        self._process = subprocess.Popen([*ending, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + _TIMEOUT_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                if self.send("GET", "/-/ready")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise RuntimeError(f"{_PROGRAM} did not start")

    def write(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Forwards a remote write unchanged."""
        return self.send("POST", "/api/v1/write", body, headers)

    def query(self, path: str, parameters: list[tuple[str, str]]) -> tuple[int, dict]:
        """Sends a query to the HTTP API and returns the status and the JSON document."""
        status, body = self.send("GET", f"{path}?{urlencode(parameters)}")
        return status, json.loads(body)

    def send(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None) -> tuple[int, bytes]:
        """Sends one HTTP request and returns the status and the body."""
        request = urllib.request.Request(f"{self._url}{path}", body, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def stop(self) -> None:
        """Stops the server."""
        self._process.kill()
        self._process.wait()
