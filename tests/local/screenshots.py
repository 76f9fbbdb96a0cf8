"""Draws the command `ampxa` as a person sees it in a terminal, against a local cloud.

Needs the packages pyte and rich. The cloud must run with the clock of a fast demonstration:

    cargo run -p local -- up --minute 0.3 > up.txt
    python3 tests/local/screenshots.py up.txt docs/terminal
"""

import copy
import json
import os
import pty
import re
import select
import shlex
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from pathlib import Path

import pyte
from rich.console import Console
from rich.text import Text

COLUMNS, LINES = 132, 240
# Of a long screen, the first and the last lines are drawn.
FIRST, LAST = 26, 12
# The names of colors in pyte that rich has not.
COLORS = {"brown": "yellow", "brightbrown": "bright_yellow", "default": None}


class Cloud:
    """The output of `up`: environment, commands, the path of `ampxa`."""

    def __init__(self, text: str) -> None:
        self.environment = dict(re.findall(r"^export (\w+)=(.*)$", text, re.MULTILINE))
        self._aws = re.search(r"If the AWS CLI is not installed, use (.+)\.$", text, re.MULTILINE)[1]
        self._creations = re.findall(r"^AWS_ACCESS_KEY_ID=\d+ aws (?:.*\\\n)*.*", text, re.MULTILINE)
        self.ampxa, self.url = re.search(r"^(\S+) status --live --local-cloud (\S+)$", text, re.MULTILINE).groups()

    def create(self) -> tuple[str, str]:
        """Creates the cluster and the workspace of the output's commands; returns their ARNs."""
        arns = []
        for command in self._creations:
            printed = self.call(f"{command} --output text --query '[cluster.arn,arn]'").split()
            arns += [arn for arn in printed if arn.startswith("arn:")]
        return tuple(arns)

    def create_more(self, workspace: str) -> None:
        """Creates clusters that can be connected, cannot be, or are excluded, and a routing table."""
        cluster = self._creations[0]
        private = "endpointPrivateAccess=true"
        for name, replaced in (("billing", private.replace("true", "false")), ("orders", private), ("sandbox", private)):
            command = cluster.replace("--name demo", f"--name {name}").replace(private, replaced)
            self.call(command + (" --tags ampxa:onboard=no" if name == "sandbox" else ""))
        rule = {"match": {"accounts": ["222222222222"]}, "workspaceArn": workspace}
        table = shlex.quote(json.dumps({"rules": [rule]}))
        self.call(f" aws ssm put-parameter --name /ampxa/routes --type String --value {table}")

    def call(self, command: str) -> str:
        """Runs a command of the AWS CLI; returns what it prints."""
        command = command.replace(" aws ", f" {self._aws} ", 1)
        done = subprocess.run(["bash", "-c", command], env=os.environ | self.environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{command}: {done.stderr or done.stdout}")
        return done.stdout


def run(cloud: Cloud, arguments: list[str], seconds: float = 600) -> tuple[pyte.Screen, pyte.Screen]:
    """The screen of a command after some seconds, and at its end."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    process, terminal = pty.fork()
    if process == 0:
        environment = os.environ | cloud.environment | {"TERM": "xterm-256color"}
        os.execve(cloud.ampxa, [cloud.ampxa, *arguments, "--local-cloud", cloud.url], environment)
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    early, at = None, time.monotonic() + seconds
    while True:
        if early is None and time.monotonic() > at:
            early = copy.deepcopy(screen)
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                read = os.read(terminal, 65536)
            except OSError:
                read = b""
            if not read:
                os.waitpid(process, 0)
                break
            stream.feed(read)
    os.close(terminal)
    return early or screen, screen


def draw(screen: pyte.Screen, shown: str, path: Path) -> None:
    """Writes the screen below the command line as an SVG."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)
    lines = [Text(f"$ {shown}", style="bold")]
    for row in range(LINES):
        line = Text()
        for column in range(COLUMNS):
            char = screen.buffer[row][column]
            color = COLORS.get(char.fg, char.fg.replace("bright", "bright_", 1))
            style = " ".join(["bold"] * char.bold + ([color if len(color) != 6 or "_" in color else f"#{color}"] if color else []))
            line.append(char.data, style)
        line.rstrip()
        lines.append(line)
    while len(lines) > 1 and not lines[-1].plain:
        lines.pop()
    if len(lines) > FIRST + LAST:
        lines[FIRST:-LAST] = [Text("  …", style="dim")]
    for line in lines:
        console.print(line, soft_wrap=False, no_wrap=True, overflow="crop")
    console.save_svg(str(path), title="ampxa", unique_id="terminal")
    # The fonts of rich are on a server.
    text = re.sub(r"@font-face \{.*?\}\s*", "", path.read_text(), flags=re.DOTALL)
    path.write_text(text.replace("Fira Code, monospace", "monospace"))


def main() -> None:
    cloud, folder = Cloud(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    cluster, workspace = cloud.create()
    pair, accounts = [cluster, workspace], ["--accounts", cluster.split(":")[4]]
    cloud.create_more(workspace)
    for name, arguments, seconds in [
        ("plan", ["plan", *pair], 600),
        ("onboard", ["onboard", *pair, "--yes"], 9),
        ("reconcile", ["reconcile", "--yes"], 600),
        ("report", ["report"], 600),
        ("doctor", ["doctor", *accounts], 600),
    ]:
        early, end = run(cloud, arguments, seconds)
        command = shlex.join(["ampxa", *arguments])
        draw(end, command, folder / f"{name}.svg")
        if early is not end:
            draw(early, command, folder / f"{name}-running.svg")


if __name__ == "__main__":
    main()
