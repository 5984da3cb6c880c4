"""Decide whether the integration user consented, or a person by mistake. Pure functions.

The mistake is a known trap: docs/facts/servicenow.md#trap-23
"""

from __future__ import annotations

import unicodedata

from app.core.messages import Message, T
from app.features.accounts.permissions import Viewer
from app.integrations.servicenow.schemas import RemoteUser


def doubt_about(user: RemoteUser | None, expected_user_name: str, viewer: Viewer) -> Message | None:
    """Why a person has to confirm the account before anything is sent, or None.

    An account that looks like the viewer's own is doubted even when it is the expected one: under single sign-on an
    integration user may have a person's name and address on purpose, and then one click confirms it. So is an account that
    ServiceNow does not name: an access rule may hide it from itself, and a person's own would pass unnoticed.
    """
    if user is None:
        return T(
            "ServiceNow does not say who consented: its access rules hide the account. Nothing has been sent yet. Confirm "
            "the account if you are sure that you signed in there as the integration user; otherwise sign in again."
        )
    shown = f"{user.name} ({user.user_name})" if user.name else user.user_name
    if expected_user_name and not _same(expected_user_name, user.user_name):
        if looks_like(user, viewer):
            return T(
                "The consent was given as %(user)s, which looks like your own account, and not as the integration user "
                "%(expected)s. Nothing has been sent yet.",
                user=shown,
                expected=expected_user_name,
            )
        return T(
            "The consent was given as %(user)s and not as the integration user %(expected)s. Nothing has been sent yet.",
            user=shown,
            expected=expected_user_name,
        )
    if looks_like(user, viewer):
        return T(
            "The consent was given as %(user)s, which looks like your own account. Tickets would be opened in your name, "
            "and would stop when you leave. Nothing has been sent yet.",
            user=shown,
        )
    return None


def looks_like(user: RemoteUser, viewer: Viewer) -> bool:
    """Whether the ServiceNow account seems to be the viewer's own, by address, sign-in name or full name."""
    person, at_work = viewer.email, viewer.email.partition("@")[0]
    return (
        _same(user.email, person)
        or _same(user.user_name, person)
        or _same(user.user_name, at_work)
        or _same(user.name, viewer.display_name)
    )


def _same(one: str, other: str) -> bool:
    return bool(_plain(one)) and _plain(one) == _plain(other)


def _plain(text: str) -> str:
    # Full-width letters and composed accents compare equal (https://www.unicode.org/reports/tr15/#Norm_Forms).
    return unicodedata.normalize("NFKC", text).strip().casefold()
