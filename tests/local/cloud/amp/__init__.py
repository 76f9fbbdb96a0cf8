"""Amazon Managed Service for Prometheus, which ministack does not have, and its collectors."""
