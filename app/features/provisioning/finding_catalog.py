"""The catalog of findings: every code with its texts, and how facts are filled into them. Checks nothing itself.

Provisioning, the diagnosis, `python -m app doctor` and docs/findings.md (`make findings`) all derive from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.core.messages import Message, T
from app.features.provisioning.finding import Finding, FindingText, State
from app.features.provisioning.texts.authorization_findings import AUTHORIZATION_FINDINGS
from app.features.provisioning.texts.instance_findings import INSTANCE_FINDINGS
from app.features.provisioning.texts.internal_findings import INTERNAL_FINDINGS
from app.features.provisioning.texts.microsoft_findings import MICROSOFT_FINDINGS
from app.features.provisioning.texts.table_findings import TABLE_FINDINGS, TABLE_TITLES
from app.features.provisioning.texts.user_findings import USER_FINDINGS

# By code. A code is the finding's key, or "key:variant" where one key has several texts; keys are stable, because the
# support bundle, the command line and stored findings name them.
FINDINGS: Mapping[str, FindingText] = (
    INSTANCE_FINDINGS | AUTHORIZATION_FINDINGS | USER_FINDINGS | TABLE_FINDINGS | INTERNAL_FINDINGS | MICROSOFT_FINDINGS
)
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
UNKNOWN_TITLE = T("Finding")


def make_finding(
    code: str, *, key: str = "", state: State | None = None, meaning: Message | None = None, **facts: object
) -> Finding:
    """The finding of this code with its facts filled in; `run_check` adds what was examined.

    `key` replaces the code's own where it names a table or a right ("role_missing.incident.read"). `meaning` is an error's
    own message, for codes whose text leaves it out. Raises KeyError for an unknown code or a missing fact.
    """
    text = FINDINGS[code]
    own_meaning = text.meaning or meaning
    if own_meaning is None:
        raise KeyError(f"{code} needs a meaning")
    return Finding(
        key=key or key_of(code),
        state=state or text.state,
        checked=Message(""),
        meaning=fill(own_meaning, facts),
        advice=fill(text.advice, facts) if text.advice else None,
        screen=fill(text.screen, facts) if text.screen else None,
        message=fill(text.message, facts) if text.message else None,
    )


def key_of(code: str) -> str:
    """The key without its variant: "clock" of "clock:off"."""
    return code.partition(":")[0]


def fill(text: Message, facts: Mapping[str, object]) -> Message:
    """The message with those facts that it names; values it has already stay."""
    missing = [name for name in PLACEHOLDER.findall(text.message) if name not in text.values]
    return Message(text.message, text.values | {name: facts[name] for name in missing}, text.code)


def title_of(key: str) -> Message:
    """The heading of findings with this key, also of those that name a table or a right."""
    named, _, _ = key.partition(".")
    return _TITLES.get(key) or _TITLES.get(named) or UNKNOWN_TITLE


def needs_consent(key: str) -> bool:
    """Whether only a new consent fixes a problem with this key; everything else is fixed elsewhere and checked again."""
    return key in _NEEDING_CONSENT


def passes_by_itself(key: str) -> bool:
    """Whether a problem with this key passes by itself, so that a step that worked keeps its state."""
    return key in _PASSING


_NEEDING_CONSENT = {key_of(code) for code, text in FINDINGS.items() if text.needs_consent}
_PASSING = {key_of(code) for code, text in FINDINGS.items() if text.passes}
_TITLES = {key_of(code): text.title for code, text in FINDINGS.items()} | TABLE_TITLES
