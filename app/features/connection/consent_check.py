"""Judges who consented: the integration user, or a person by mistake. Looks nothing up."""

from __future__ import annotations

import unicodedata

from app.core.messages import Message, T
from app.features.accounts.permissions import Viewer
from app.integrations.servicenow.schemas import RemoteUser


def doubt_about(user: RemoteUser | None, expected_user_name: str, viewer: Viewer) -> Message | None:
    """Why a person should look before anything is sent, or None.

    Tickets are opened in the name of whoever consented; if that is a person, they stop when the person leaves. That is
    asked also of the integration user named in the checklist: under single sign-on it may be on purpose that it has a
    person's name and e-mail address, and then one click says so. An account that ServiceNow does not name cannot be
    judged.
    """
    if user is None:
        return None
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
    """Whether the ServiceNow account seems to be this person's own, by address, sign-in name or full name."""
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
    return unicodedata.normalize("NFKC", text).strip().casefold()
