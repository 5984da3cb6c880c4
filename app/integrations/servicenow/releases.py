"""ServiceNow's release families in order. Compares by list, never by letter: Australia and Brazil follow Zurich."""

from __future__ import annotations

# Oldest first; Kingston is the first supported family. docs/facts/servicenow.md#7-which-release-is-the-instance-on
# An alphabetical comparison fails since Australia: docs/facts/servicenow.md#trap-32
FAMILIES = {
    "kingston": "Kingston",
    "london": "London",
    "madrid": "Madrid",
    "newyork": "New York",
    "orlando": "Orlando",
    "paris": "Paris",
    "quebec": "Quebec",
    "rome": "Rome",
    "sandiego": "San Diego",
    "tokyo": "Tokyo",
    "utah": "Utah",
    "vancouver": "Vancouver",
    "washingtondc": "Washington DC",
    "xanadu": "Xanadu",
    "yokohama": "Yokohama",
    "zurich": "Zurich",
    "australia": "Australia",
    "brazil": "Brazil",
}
# Families before Kingston.
TOO_OLD = frozenset({"jakarta", "istanbul", "helsinki", "geneva", "fuji", "eureka", "dublin", "calgary", "berlin"})


def release_key(family: str) -> str:
    """The family as build tags write it: lower case, letters only."""
    return "".join(letter for letter in family.lower() if letter.isalpha())


def release_name(family: str) -> str:
    """The family as people write it; an unknown one as it came."""
    return FAMILIES.get(release_key(family), family.strip().title())


def is_supported(family: str) -> bool | None:
    """Whether the family is Kingston or later. An unknown one counts as newer than all known; None for an empty one."""
    key = release_key(family)
    return None if not key else key not in TOO_OLD
