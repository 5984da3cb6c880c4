"""Read the settings for a command; where they are wrong, say each one's name, what is wrong, and an example."""

from __future__ import annotations

import sys
from typing import Any

from pydantic import ValidationError

from app.settings import Settings

# Pydantic's own words are for programmers; by its type of error: https://docs.pydantic.dev/latest/errors/validation_errors/
SENTENCES = {
    "missing": "is not set",
    "int_parsing": "has to be a whole number",
    "int_from_float": "has to be a whole number",
    "float_parsing": "has to be a number",
    "bool_parsing": "has to be true or false",
    "bool_type": "has to be true or false",
    "greater_than_equal": "has to be {ge} or more",
    "greater_than": "has to be more than {gt}",
    "less_than_equal": "has to be {le} or less",
    "less_than": "has to be less than {lt}",
    "literal_error": "has to be one of {expected}",
    "enum": "has to be one of {expected}",
    "string_too_short": "is too short",
    # A secret that is shorter than its least length.
    "too_short": "has to be {min_length} characters or more",
    "string_too_long": "is too long",
}


def read_settings() -> Settings | None:
    """The settings in force; None when they cannot be used, which is said on standard error then."""
    try:
        return Settings()
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        missing = all(problem["type"] == "missing" for problem in problems)
        print("Settings are missing:" if missing else "The settings are not right:", file=sys.stderr)
        for problem in problems:
            print(f"  {describe(problem)}", file=sys.stderr)
    except UnicodeDecodeError:
        print("The settings cannot be read: the file .env is not UTF-8 text.", file=sys.stderr)
    except OSError as error:
        print(f"The settings cannot be read: the file .env gives no answer ({error.strerror}).", file=sys.stderr)
    print(
        "The README's table says what each one means. `python -m app check-settings` checks them alone.",
        file=sys.stderr,
    )
    return None


def describe(problem: Any) -> str:  # noqa: ANN401 - pydantic_core's ErrorDetails, or one of a test.
    """One line: the setting's name, what is wrong, and an example. Never the value, which may be a secret."""
    field = str(problem["loc"][0]) if problem["loc"] else ""
    sentence = SENTENCES.get(problem["type"])
    said = sentence.format(**problem.get("ctx", {})) if sentence else problem["msg"].removeprefix("Value error, ")
    known = Settings.model_fields.get(field)
    example = f" Example: {field.upper()}={known.examples[0]}" if known and known.examples else ""
    return f"{field.upper() or 'settings'}: {said}.{example}"
