"""ServiceNow's release families in their order. By list, never by letter: Australia and Brazil follow Zurich."""

from __future__ import annotations

# Oldest first; Kingston is the first that is supported. Source: ServiceNow's documentation, "Available versions".
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
# The families before the first supported one.
TOO_OLD = frozenset({"jakarta", "istanbul", "helsinki", "geneva", "fuji", "eureka", "dublin", "calgary", "berlin"})


def release_key(family: str) -> str:
    """The family's name as build tags write it: lower case, letters only."""
    return "".join(letter for letter in family.lower() if letter.isalpha())


def release_name(family: str) -> str:
    """The family as people write it; a name we do not know is shown as it came."""
    return FAMILIES.get(release_key(family), family.strip().title())


def is_supported(family: str) -> bool | None:
    """Kingston or later. A name we do not know is taken for newer than all we know; None for an empty one."""
    key = release_key(family)
    return None if not key else key not in TOO_OLD
