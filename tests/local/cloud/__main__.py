"""Runs the local cloud: an AWS emulator on this machine with many accounts and with IAM enforced.

It runs ministack in this process, patches the places where ministack differs from AWS, and adds the AMP
service. The docstring of each module names the AWS rule that the module implements and the source of the rule.
"""

import sys

sys.dont_write_bytecode = True

import argparse
import importlib.metadata
import math
import socket
import tempfile
from pathlib import Path

from core import partition
from core.settings import MINISTACK_VERSION, Settings


def main() -> None:
    """Parses the command line, then serves requests until the process is stopped."""
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
        collection_enabled=not arguments.no_collection,
        prometheus=arguments.prometheus,
    )
    # ministack reads the environment at import time, so the environment and the partition are set first.
    from core import environment

    environment.isolate(cloud)
    partition.select(arguments.partition)
    from server import lifecycle

    lifecycle.serve(cloud, listener, watch_stdin=arguments.watch_stdin, keep_directory=bool(arguments.dir))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cloud", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=4566, help="port on 127.0.0.1; 0 selects a free port (4566)")
    parser.add_argument(
        "--minute", type=_positive, default=1.0, metavar="SECONDS", help="real seconds per emulated minute (1)"
    )
    parser.add_argument(
        "--activation-minutes", type=_non_negative, default=20.0, help="minutes until a scraper is ACTIVE (20)"
    )
    parser.add_argument(
        "--iam-delay-seconds", type=_non_negative, default=0.0, help="seconds until a new role can be a principal (0)"
    )
    parser.add_argument(
        "--organization", default="o-ampxalocal01", help="organization id of all accounts that do not start with 9"
    )
    parser.add_argument(
        "--partition", default="aws", choices=partition.PARTITIONS, help="partition of all ARNs; one per cloud (aws)"
    )
    parser.add_argument("--functions-endpoint", metavar="URL", help="proxy in front of this cloud that functions use")
    parser.add_argument("--no-collection", action="store_true", help="disable the periodic collection of all scrapers")
    parser.add_argument(
        "--prometheus", action="store_true", help="use Prometheus servers as workspaces, if prometheus is on the PATH"
    )
    parser.add_argument("--dir", help="directory for all files; it is not deleted (default: a temporary directory)")
    parser.add_argument("--watch-stdin", action="store_true", help="stop when standard input ends")
    return parser.parse_args()


def _positive(text: str) -> float:
    value = _non_negative(text)
    if value == 0:
        raise argparse.ArgumentTypeError("must be greater than 0")
    return value


def _non_negative(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError("must be a number greater than or equal to 0")
    return value


def _check_ministack() -> None:
    try:
        installed = importlib.metadata.version("ministack")
    except importlib.metadata.PackageNotFoundError:
        installed = "no version"
    if installed != MINISTACK_VERSION:
        sys.exit(
            f"cloud: ministack {MINISTACK_VERSION} is required, but {installed} is installed. Run: "
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
