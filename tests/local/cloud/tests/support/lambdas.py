"""Lambda functions with bootstrap.py as custom runtime."""

import io
import sys
import zipfile
from pathlib import Path

from conftest import HUB, allow_assume


def package() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("bootstrap")
        info.external_attr = 0o755 << 16
        program = Path(__file__).with_name("bootstrap.py").read_text()
        archive.writestr(info, f"#!{sys.executable}\n{program}")
    return file.getvalue()


def create_function(cloud, name, account=HUB, **environment):
    """Creates a function and its role in an account, both with the given name."""
    iam, function = cloud.client("iam", account), cloud.client("lambda", account)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=allow_assume({"Service": "lambda.amazonaws.com"}))
    function.create_function(
        FunctionName=name,
        Runtime="provided.al2023",
        Handler="bootstrap",
        Role=f"arn:aws:iam::{account}:role/{name}",
        Code={"ZipFile": package()},
        Timeout=5,
        Environment={"Variables": environment},
    )
