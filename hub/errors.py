"""Whose fault it was: the root of every error Hub raises on purpose.

A caller decides by class, never by text. `code` is the stable word that the API and the translations use;
`message` is English for logs and scripts; `details` are JSON-safe facts. Whatever is raised that is not a
`HubError` is a bug and stops the task that met it.
"""

from __future__ import annotations

from typing import Any


class HubError(Exception):
    """Root of the errors below. `str(error)` is the English message."""

    status = 500

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions travel between processes as their `args`, which are not what this one is made of.
        return _made_again, (type(self), self.code, self.message, self.details)


def _made_again(kind: type[HubError], code: str, message: str, details: dict[str, Any]) -> HubError:
    return kind(code, message, **details)


class Refused(HubError):
    """The asker's fault: bad input or no right. Shown to a person; never retried."""

    status = 400


class NotSignedIn(Refused):
    """No session and no token."""

    status = 401


class Forbidden(Refused):
    """Signed in, but this is not theirs to do."""

    status = 403


class NotFound(Refused):
    """No such thing, or none that this person may see: the two are not told apart."""

    status = 404


class TooLarge(Refused):
    """More was sent than is taken."""

    status = 413


class TooSlow(Refused):
    """What was announced did not come in time."""

    status = 408


class Gone(NotFound):
    """It was there, and is not any more."""

    status = 410


class TooMany(Refused):
    """Too often; to be tried later, after `retry_after_s` where `details` name it."""

    status = 429


class Conflict(HubError):
    """A race was lost; `details` say to whom and when."""

    status = 409


class Unavailable(HubError):
    """A peer did not do its part and surely did not act. May be tried again."""

    status = 503


class Unknown(HubError):
    """The peer may have acted or not. Never tried again by Hub itself."""

    status = 502


class ConfigError(Refused):
    """A configuration that cannot work. The message names the key or the host; `hub` exits with 2."""
