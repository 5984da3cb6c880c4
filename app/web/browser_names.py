"""Tells from a User-Agent which browser on which system it is, in words a person recognizes. Decides nothing by it."""

from __future__ import annotations

from app.core.messages import Message, T

# The first that fits: browsers name those they descend from as well, so Edge says "Chrome" and Chrome says "Safari".
# https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/User-Agent
BROWSERS = (
    ("Edg", "Microsoft Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def browser_in_words(user_agent: str) -> Message:
    """Browser and system, such as "Firefox on Windows", as far as they are known."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    if browser and system:
        return T("%(browser)s on %(system)s", browser=browser, system=system)
    if browser:
        return T("%(browser)s, unknown system", browser=browser)
    return T("Unknown browser on %(system)s", system=system) if system else T("Unknown browser")
