"""Polling: read what became of shared tickets. Nothing here writes to ServiceNow."""
