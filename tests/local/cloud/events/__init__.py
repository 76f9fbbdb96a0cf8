"""EventBridge, EventBridge Scheduler, CloudTrail, CloudWatch alarms and SNS: corrections."""
