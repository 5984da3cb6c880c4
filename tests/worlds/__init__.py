"""Worlds: the three journeys in every combination of what is not certain about ServiceNow. See docs/worlds.md."""
