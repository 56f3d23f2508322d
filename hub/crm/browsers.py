"""A browser's name for people, out of its User-Agent. Pure; a guess for display that nothing is decided by."""

from __future__ import annotations

import re

from hub import sanitize

_BROWSERS = (
    ("YaBrowser", "Yandex Browser"),
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("HeadlessChrome", "Chrome"),
    ("Version", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def browser_name(user_agent: str) -> str:
    """Return e.g. `Firefox 143, Windows`; for what is no browser, its own words, cut."""
    system = next((name for sign, name in _SYSTEMS if sign in user_agent), "")
    for sign, name in _BROWSERS:
        if system and (version := re.search(rf"\b{sign}[A-Za-z]*/([0-9]{{1,4}})", user_agent)):
            return f"{name} {version[1]}, {system}"
    return sanitize.shown(user_agent, max_chars=60)
