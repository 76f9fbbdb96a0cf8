"""The partition of the cloud. ministack and the modules of the cloud contain ARNs of the partition `aws`.

In another partition, the loader replaces the partition in their source code. Every ARN, every pattern and every
integration of Step Functions then belongs to that partition only: an ARN of the partition `aws` does not exist, as on
AWS (IAM user guide, "Amazon Resource Names": a partition is a group of Regions, and an account belongs to one).
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path

PARTITIONS = ("aws", "aws-us-gov")
_HERE = Path(__file__).resolve().parent.parent


def select(partition: str) -> None:
    """Loads the modules that are imported from now on for a partition. Call this function before any module with ARNs."""
    if partition != "aws":
        sys.meta_path.insert(0, _Finder(partition))


def rewrite(source: bytes, partition: str) -> bytes:
    """Source code in which the partition is another one than `aws`."""
    name = partition.encode()
    source = source.replace(b"arn:aws:", b"arn:" + name + b":")
    for before in (b'"AWS::Partition": ', b"partition != ", b"partition == "):
        source = source.replace(before + b'"aws"', before + b'"' + name + b'"')
    return source


class _Finder(MetaPathFinder):
    def __init__(self, partition: str):
        self._partition = partition

    def find_spec(self, fullname, path=None, target=None):
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            return None
        if fullname.partition(".")[0] == "ministack" or _HERE in Path(spec.origin).resolve().parents:
            spec.loader = _Loader(fullname, spec.origin, self._partition)
            return spec
        return None


class _Loader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, partition: str):
        super().__init__(fullname, path)
        self._partition = partition

    def get_code(self, fullname):
        # Without the cached bytecode, which is that of the partition aws.
        path = self.get_filename(fullname)
        return self.source_to_code(rewrite(self.get_data(path), self._partition), path)
