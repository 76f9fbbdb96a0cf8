"""Zips Lambda programs: `zip_functions.py PROGRAM ZIP [PROGRAM ZIP …]`, each as an executable `bootstrap`.

The compression is fast rather than small: the packages stay on this machine.
"""

import os
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor


def package(program: str, archive: str) -> None:
    """Writes one zip file; it appears only when it is complete."""
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr = 0o755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    temporary = f"{archive}.new"
    with zipfile.ZipFile(temporary, "w", compresslevel=1) as zipped, open(program, "rb") as content:
        zipped.writestr(entry, content.read(), compresslevel=1)
    os.replace(temporary, archive)


with ThreadPoolExecutor(os.cpu_count()) as pool:
    list(pool.map(package, sys.argv[1::2], sys.argv[2::2]))
