"""The command-line options of the cloud, and its clock."""

from dataclasses import dataclass
from pathlib import Path

# The corrections replace private names of ministack, so they require exactly this version.
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
    # The AWS endpoint of functions, if it is not this cloud, for example a proxy.
    functions_endpoint: str | None = None
    # Whether scrapers write samples periodically. If false, only the control API (`/_cloud/attempt`) writes samples.
    collection_enabled: bool = True
    # Whether Prometheus servers serve the workspaces, if Prometheus is installed.
    prometheus: bool = False

    @property
    def url(self) -> str:
        """The endpoint URL of the cloud."""
        return f"http://127.0.0.1:{self.port}"

    def real_seconds(self, *, minutes: float = 0.0, seconds: float = 0.0) -> float:
        """Converts a duration on the cloud's clock to real seconds."""
        return (minutes + seconds / 60) * self.minute

    def organization_of(self, account: str) -> str | None:
        """The organization id of an account. Accounts that start with 9 are not in an organization."""
        return None if account.startswith("9") or not account else self.organization
