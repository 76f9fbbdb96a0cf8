"""How this cloud was asked to be, and its clock."""

from dataclasses import dataclass
from pathlib import Path

# What hooks private names works with one version only: a silent difference would be worse than a refusal.
MINISTACK_VERSION = "1.5.33"


@dataclass(frozen=True)
class Settings:
    """The command line, as values."""

    port: int
    directory: Path
    minute: float = 1.0
    activation_minutes: float = 20.0
    iam_delay_seconds: float = 0.0
    organization: str = "o-ampxalocal01"
    # Where functions reach AWS, when it is not here: a proxy in front of this cloud.
    functions_endpoint: str | None = None
    # Whether scrapers collect by themselves; without it, only attempts on the control surface write.
    collects: bool = True
    # Whether workspaces are real Prometheus servers, where one is installed.
    prometheus: bool = False

    @property
    def url(self) -> str:
        """Where the cloud answers."""
        return f"http://127.0.0.1:{self.port}"

    def real_seconds(self, *, minutes: float = 0.0, seconds: float = 0.0) -> float:
        """A duration by the cloud's clock, in real seconds."""
        return (minutes + seconds / 60) * self.minute

    def organization_of(self, account: str) -> str | None:
        """The organization an account belongs to; accounts that begin with 9 belong to none."""
        return None if account.startswith("9") or not account else self.organization
