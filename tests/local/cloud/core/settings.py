"""The options of this cloud, and its clock."""

from dataclasses import dataclass
from pathlib import Path

# The corrections replace private names of ministack, so they work with exactly this version.
MINISTACK_VERSION = "1.5.33"


@dataclass(frozen=True)
class Settings:
    """The options of the command line."""

    port: int
    directory: Path
    minute: float = 1.0
    activation_minutes: float = 20.0
    iam_delay_seconds: float = 0.0
    organization: str = "o-ampxalocal01"
    # The endpoint that functions use for AWS, if it is not this cloud: a proxy in front of it.
    functions_endpoint: str | None = None
    # Whether scrapers collect by themselves. If not, only attempts through the control API write samples.
    collects: bool = True
    # Whether workspaces are Prometheus servers, if Prometheus is installed.
    prometheus: bool = False

    @property
    def url(self) -> str:
        """The endpoint of the cloud."""
        return f"http://127.0.0.1:{self.port}"

    def real_seconds(self, *, minutes: float = 0.0, seconds: float = 0.0) -> float:
        """The real seconds of a duration by the cloud's clock."""
        return (minutes + seconds / 60) * self.minute

    def organization_of(self, account: str) -> str | None:
        """The organization of an account; accounts that begin with 9 have none."""
        return None if account.startswith("9") or not account else self.organization
