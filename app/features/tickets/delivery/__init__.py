"""Deliver tickets to ServiceNow exactly once, and find out what became of those that may have arrived."""
