"""Packs a folder of inputs into the corpus file of a target, or unpacks the file. tests/fuzz/run calls it.

Each line of `corpus/<target>.jsonl` is one input: a JSON object with its name and its bytes. Each byte is one character
from U+0000 to U+00FF (ISO 8859-1).
"""

import json
import pathlib
import sys

action, file, folder = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
if action == "unpack":
    for line in file.read_text().splitlines():
        entry = json.loads(line)
        (folder / entry["name"]).write_bytes(entry["bytes"].encode("iso-8859-1"))
elif action == "pack":
    inputs = sorted(folder.iterdir())
    entries = ({"name": path.name, "bytes": path.read_bytes().decode("iso-8859-1")} for path in inputs)
    file.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
else:
    sys.exit(f"unknown action {action}: use pack or unpack")
