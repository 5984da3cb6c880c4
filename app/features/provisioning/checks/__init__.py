"""Checks of the connection, each returning findings."""
