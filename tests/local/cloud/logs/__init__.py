"""CloudWatch Logs: corrections, and the delivery of vended logs."""
