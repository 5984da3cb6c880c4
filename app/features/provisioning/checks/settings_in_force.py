"""Checks what is worth knowing of the settings; each by itself was judged when the process started. Reads no setting."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.messages import Message, T
from app.features.provisioning.finding import Finding
from app.features.provisioning.finding_catalog import make_finding
from app.resources import Resources, SettingNotice


async def check_settings(resources: Resources) -> Finding:
    """Whether any setting leaves the product open, or does something that people may not expect."""
    return evaluate_notices(resources.config.setting_notices)


def evaluate_notices(notices: Sequence[SettingNotice]) -> Finding:
    """The verdict is that of the gravest notice, and all of them are told."""
    if not notices:
        return make_finding("settings")
    told: Message = notices[-1].message
    for notice in reversed(notices[:-1]):
        told = T("%(first)s %(others)s", first=notice.message, others=told)
    code = "settings_unsafe" if any(notice.is_problem for notice in notices) else "settings_notable"
    return make_finding(code, notices=told)
