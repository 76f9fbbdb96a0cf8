"""The scrape configurations in tests/scrape_configurations."""

import dataclasses
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parents[4] / "scrape_configurations"


@dataclasses.dataclass
class Entry:
    name: str
    configuration: str
    # Why the verdicts of promtool and ampxa differ.
    reason: str | None = None


def entries() -> list[Entry]:
    files = sorted(FOLDER.glob("*.yaml"))
    documents = (document for file in files for document in yaml.safe_load_all(file.read_text()))
    return [Entry(**document) for document in documents]
