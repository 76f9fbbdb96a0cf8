"""The local cloud: one emulated AWS of many accounts on this machine, with IAM enforced.

It runs ministack in this process, corrects it where it differs from AWS, and adds the AMP service. Each
module says which rule of AWS it restores, and the source of the rule.
"""

import sys

sys.dont_write_bytecode = True

import argparse
import importlib.metadata
import math
import socket
import tempfile
from pathlib import Path

from core.settings import MINISTACK_VERSION, Settings


def main() -> None:
    """Reads the command line and serves until it is stopped."""
    arguments = _arguments()
    _check_ministack()
    listener = _listen(arguments.port)
    directory = Path(arguments.dir or tempfile.mkdtemp(prefix="local-cloud-")).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    cloud = Settings(
        port=listener.getsockname()[1],
        directory=directory,
        minute=arguments.minute,
        activation_minutes=arguments.activation_minutes,
        iam_delay_seconds=arguments.iam_delay_seconds,
        organization=arguments.organization,
        functions_endpoint=arguments.functions_endpoint,
        collects=not arguments.no_collection,
        prometheus=arguments.prometheus,
    )
    # ministack reads the environment while it is imported, so the environment is set first.
    from core import environment

    environment.isolate(cloud)
    from server import lifecycle

    lifecycle.serve(cloud, listener, watch_stdin=arguments.watch_stdin, keep_directory=bool(arguments.dir))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cloud", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=4566, help="port on 127.0.0.1; 0 takes a free one (4566)")
    parser.add_argument(
        "--minute", type=_positive, default=1.0, metavar="SECONDS", help="real seconds that a minute of the cloud takes (1)"
    )
    parser.add_argument("--activation-minutes", type=_not_negative, default=20.0, help="until a scraper is ACTIVE (20)")
    parser.add_argument("--iam-delay-seconds", type=_not_negative, default=0.0, help="until a new role can be a principal (0)")
    parser.add_argument(
        "--organization", default="o-ampxalocal01", help="id of the organization of all accounts but 9…"
    )
    parser.add_argument("--functions-endpoint", metavar="URL", help="the endpoint of AWS for functions (default: this cloud)")
    parser.add_argument("--no-collection", action="store_true", help="scrapers do not collect by themselves")
    parser.add_argument("--prometheus", action="store_true", help="real workspaces, if prometheus is on the PATH")
    parser.add_argument("--dir", help="the directory for all files; kept at the end (default: a temporary directory, removed)")
    parser.add_argument("--watch-stdin", action="store_true", help="stop when standard input ends")
    return parser.parse_args()


def _positive(text: str) -> float:
    value = _not_negative(text)
    if value == 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def _not_negative(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError("must be a number, 0 or more")
    return value


def _check_ministack() -> None:
    try:
        found = importlib.metadata.version("ministack")
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != MINISTACK_VERSION:
        sys.exit(
            f"cloud: ministack {MINISTACK_VERSION} is needed and {found} is installed: "
            f"pip install --require-hashes -r {Path(__file__).with_name('requirements.txt')}"
        )


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
    except (OSError, OverflowError) as error:
        sys.exit(f"cloud: cannot listen on 127.0.0.1:{port}: {getattr(error, 'strerror', None) or error}")
    return listener


if __name__ == "__main__":
    main()
