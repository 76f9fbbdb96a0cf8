"""The command-line options of the cloud, its secret, and its clock."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

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
    # The proxy in front of this cloud that functions use, without the secret.
    functions_endpoint: str | None = None
    # Whether scrapers write samples periodically. If false, only the control API (`/_cloud/attempt`) writes samples.
    collection_enabled: bool = True
    # Whether Prometheus servers serve the workspaces, if Prometheus is installed.
    prometheus: bool = False
    # The first part of the path of each request. No web page knows it.
    secret: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    @property
    def url(self) -> str:
        """The endpoint URL of the cloud."""
        return f"http://127.0.0.1:{self.port}/{self.secret}"

    @property
    def url_for_functions(self) -> str:
        """The endpoint URL of functions: the proxy with the secret, or the cloud."""
        return f"{self.functions_endpoint.rstrip('/')}/{self.secret}" if self.functions_endpoint else self.url

    @property
    def hosts(self) -> tuple[str, ...]:
        """The valid `Host` headers. A proxy keeps the header of its client, because the client signed it."""
        proxy = (urlsplit(self.functions_endpoint).netloc,) if self.functions_endpoint else ()
        return (f"127.0.0.1:{self.port}", f"localhost:{self.port}", *proxy)

    def real_seconds(self, *, minutes: float = 0.0, seconds: float = 0.0) -> float:
        """Converts a duration on the cloud's clock to real seconds."""
        return (minutes + seconds / 60) * self.minute

    def organization_of(self, account: str) -> str | None:
        """The organization id of an account. Accounts that start with 9 are not in an organization."""
        return None if account.startswith("9") or not account else self.organization
