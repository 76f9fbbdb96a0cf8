"""Workspaces on Prometheus servers: one server for each, started by its first request, receiving remote write.

Source: Prometheus, "Configuration" (--web.enable-remote-write-receiver) and "HTTP API".
"""

import json
import logging
import re
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
    """The Prometheus servers of one cloud, one for each workspace."""

    def __init__(self, cloud: Settings, look_back_seconds: float):
        self._program = shutil.which(_PROGRAM) if cloud.prometheus else None
        self._directory, self._look_back = Path(cloud.directory) / "prometheus", look_back_seconds
        self._servers: dict[str, _Server] = {}
        self._lock = threading.Lock()

    def version(self) -> str | None:
        """The version of Prometheus; None if the stand-in answers."""
        if self._program is None:
            return None
        said = subprocess.run([self._program, "--version"], capture_output=True, text=True, check=False)
        found = re.search(r"version (\S+?)[+ ]", said.stdout + said.stderr)
        return found[1] if found else "unknown"

    def serves(self) -> bool:
        """Whether Prometheus servers back the workspaces."""
        return self._program is not None

    def of(self, workspace: str) -> "_Server":
        """The server of a workspace; starts it if it does not run. Blocks."""
        with self._lock:
            if workspace not in self._servers:
                directory = self._directory / workspace
                self._servers[workspace] = _Server(self._program, directory, self._look_back)
            return self._servers[workspace]

    def stop(self) -> None:
        """Ends all servers."""
        with self._lock:
            for server in self._servers.values():
                server.stop()
            self._servers.clear()


class _Server:
    def __init__(self, program: str, directory: Path, look_back_seconds: float):
        directory.mkdir(parents=True)
        (directory / "prometheus.yml").write_text("{}\n")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        setpriv = shutil.which("setpriv")
        # The kernel ends the server if the cloud is killed.
        before = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        arguments = [
            program,
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={self._address}",
            "--web.enable-remote-write-receiver",
            f"--query.lookback-delta={max(1, round(look_back_seconds))}s",
            "--log.level=error",
        ]
        self._process = subprocess.Popen([*before, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + _TIMEOUT_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                if self.ask("GET", "/-/ready")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise RuntimeError(f"{_PROGRAM} did not start")

    def write(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Forwards a remote write unchanged."""
        return self.ask("POST", "/api/v1/write", body, headers)

    def query(self, path: str, parameters: list[tuple[str, str]]) -> tuple[int, dict]:
        """Sends a query to the HTTP API; returns status and document."""
        status, body = self.ask("GET", f"{path}?{urlencode(parameters)}")
        return status, json.loads(body)

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None) -> tuple[int, bytes]:
        """One request."""
        request = urllib.request.Request(f"http://{self._address}{path}", body, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read()

    def stop(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()
