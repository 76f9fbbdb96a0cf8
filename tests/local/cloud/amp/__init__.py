"""Amazon Managed Service for Prometheus and its collectors. ministack lacks this service."""
