"""Write the settings of roles into README.md and .env.example (`make roles`). Changes no other line of them.

Who may do what is one field of app/settings.py per role; both files show the same names and defaults. A convention test
keeps them current.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app import microsoft_defaults, settings

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
EXAMPLE = ROOT / ".env.example"
BEGIN, END = "<!-- roles -->", "<!-- end of roles -->"
ENDING = "_roles"
EXAMPLE_LINES = re.compile(r"(?:^#[A-Z_]+_ROLES=\n)+", re.MULTILINE)


def role_settings() -> dict[str, tuple[str, str]]:
    """Name of each setting to its default, as people know it, and its meaning."""
    # The constants of app/microsoft_defaults.py that hold the ID of a role in Entra ID are named after the role.
    names = {
        value: name.replace("_", " ").title()
        for name, value in vars(microsoft_defaults).items()
        if isinstance(value, str)
    }
    return {
        name.upper(): (
            ", ".join(names.get(holder, f"`{holder}`") for holder in field.default),
            field.description or "",
        )
        for name, field in settings.Settings.model_fields.items()
        if name.endswith(ENDING)
    }


def render_readme(text: str) -> str:
    """The README with its table of roles between the two marks."""
    rows = [f"| `{name}` | {default} | {meaning} |" for name, (default, meaning) in role_settings().items()]
    table = "\n".join(["| Setting | Default | Meaning |", "|---|---|---|", *rows])
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}"


def render_example(text: str) -> str:
    """The example with one empty line for each role."""
    return EXAMPLE_LINES.sub("".join(f"#{name}=\n" for name in role_settings()), text, count=1)


def main() -> int:
    README.write_text(render_readme(README.read_text(encoding="utf-8")), encoding="utf-8")
    EXAMPLE.write_text(render_example(EXAMPLE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
