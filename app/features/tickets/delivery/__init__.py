"""Create records in ServiceNow exactly once."""
