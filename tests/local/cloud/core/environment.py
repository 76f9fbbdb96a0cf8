"""Isolates the process environment: the cloud and its functions do not use the credentials and settings of the user.

ministack reads its settings from the environment at import time.
"""

import logging
import os
import tempfile
from pathlib import Path

from core.settings import Settings

_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT", "VIRTUAL_ENV")


def isolate(cloud: Settings) -> None:
    """Replaces the environment variables. Call this function before ministack is imported.

    It removes the user's credentials, profiles and proxies. ministack then writes all files below the directory of
    the cloud.
    """
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    for name in ("home", "tmp", "s3", "state"):
        Path(cloud.directory, name).mkdir(parents=True, exist_ok=True)
    directory = str(cloud.directory)
    os.environ.clear()
    os.environ.update(kept)
    os.environ.update(
        AUTH="true",
        BIND_HOST="127.0.0.1",
        GATEWAY_PORT=str(cloud.port),
        MINISTACK_HOST="localhost",
        LOG_LEVEL="WARNING",
        SFN_WAIT_SCALE=repr(cloud.minute / 60),
        # ministack signs its own requests with these credentials and passes the endpoint to its functions.
        AWS_ENDPOINT_URL=cloud.url,
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
        # Only one listening port. No Docker.
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        LAMBDA_EXECUTOR="local",
        DOCKER_HOST=f"unix://{directory}/no-docker.sock",
        HOME=f"{directory}/home",
        TMPDIR=f"{directory}/tmp",
        S3_DATA_DIR=f"{directory}/s3",
        STATE_DIR=f"{directory}/state",
    )
    tempfile.tempdir = None  # Python caches the directory of the previous environment.
    # Hides a warning at each start that KMS keys cannot sign. No test uses them.
    logging.getLogger("kms").setLevel(logging.ERROR)
