"""Base class for sets of switches: set by name, read from a form, described. Defines no switch."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


def toggle(group: str, number: str, text: str, *, default: bool | int | str, choices: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - a dataclass field, whatever its type.
    """Return a dataclass field for one switch; `number` is the ID of the fact it reproduces, as in `@pytest.mark.fact`."""
    return field(default=default, metadata={"group": group, "number": number, "text": text, "choices": choices})


@dataclass
class Toggles:
    """A dataclass whose fields are all made by `toggle`."""

    def change(self, wanted: dict[str, Any]) -> None:
        """Set several switches, all or none. Raises ValueError for an unknown name, type or choice."""
        known = {item.name: item for item in fields(self)}
        for name, value in wanted.items():
            if name not in known:
                raise ValueError(f"there is no switch named {name}")
            if type(value) is not type(getattr(self, name)):
                raise ValueError(f"{name} takes a {type(getattr(self, name)).__name__}")
            choices = known[name].metadata["choices"]
            if choices and value not in choices:
                raise ValueError(f"{name} is one of {', '.join(map(repr, choices))}")
        for name, value in wanted.items():
            setattr(self, name, value)

    def read(self, name: str, text: str | None) -> None:
        """Set one from a form's text. Booleans take `on` and `off`, and are inverted when `text` is None."""
        before = getattr(self, name, None)
        if isinstance(before, bool):
            self.change({name: not before if text is None else text == "on"})
        elif isinstance(before, int):
            self.change({name: int(text or "0")})
        else:
            self.change({name: (text or "").strip()})

    def reset(self) -> None:
        for item in fields(self):
            setattr(self, item.name, item.default)

    def listed(self, name: str) -> frozenset[str]:
        """Return the items of a comma-separated switch."""
        return frozenset(part.strip() for part in str(getattr(self, name)).split(",") if part.strip())

    def changed(self) -> list[str]:
        """Return the names of switches that differ from their default."""
        return [item.name for item in fields(self) if getattr(self, item.name) != item.default]

    def describe(self) -> dict[str, list[dict[str, Any]]]:
        """Return all switches by group, for the console and for `GET /_sandbox/switches?explain`."""
        groups: dict[str, list[dict[str, Any]]] = {}
        changed = set(self.changed())
        for item in fields(self):
            value = getattr(self, item.name)
            about = dict(item.metadata)
            line = {"name": item.name, "value": value, "is_changed": item.name in changed, "kind": type(value).__name__}
            groups.setdefault(about.pop("group"), []).append(line | about)
        return groups
