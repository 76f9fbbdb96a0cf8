"""The process environment of the cloud, made anew so that nothing of the user's leaks into it or its functions."""

import logging
import os
import tempfile
from pathlib import Path

from settings import Settings

_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT", "VIRTUAL_ENV")


def isolate(cloud: Settings) -> None:
    """Replaces the environment, before ministack is imported: it reads its settings while it loads.

    The user's credentials, profiles and proxies are gone afterwards, and everything that is written
    lies under the cloud's own directory.
    """
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    for name in ("home", "tmp", "s3", "state"):
        Path(cloud.directory, name).mkdir(parents=True, exist_ok=True)
    inside = str(cloud.directory)
    os.environ.clear()
    os.environ.update(kept)
    os.environ.update(
        AUTH="true",
        BIND_HOST="127.0.0.1",
        GATEWAY_PORT=str(cloud.port),
        MINISTACK_HOST="localhost",
        LOG_LEVEL="WARNING",
        SFN_WAIT_SCALE=repr(cloud.minute / 60),
        # What ministack itself signs with, and what its functions reach it by.
        AWS_ENDPOINT_URL=cloud.url,
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
        # No listener but the one port, and no Docker.
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        LAMBDA_EXECUTOR="local",
        DOCKER_HOST=f"unix://{inside}/no-docker.sock",
        HOME=f"{inside}/home",
        TMPDIR=f"{inside}/tmp",
        S3_DATA_DIR=f"{inside}/s3",
        STATE_DIR=f"{inside}/state",
    )
    tempfile.tempdir = None  # Remembered from before.
    # It says at each start that keys cannot sign, which nothing here asks for.
    logging.getLogger("kms").setLevel(logging.ERROR)
