"""What vendors say about their limits in the headers of an answer.

``Retry-After``: RFC 9110, 10.2.3. ``x-ratelimit-*`` and ``retry-after-ms``:
https://platform.openai.com/docs/guides/rate-limits
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from app.clock import utc_now

_RETRY_AFTER_SECONDS_MAX = 3600.0
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_KINDS = ("requests", "tokens")


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many requests, or tokens, a vendor still accepts before the limit is renewed."""

    kind: str
    """``requests`` or ``tokens``."""
    limit: float
    remaining: float
    reset_seconds: float
    """When it is renewed, from now."""


def retry_after_seconds(header: str | None) -> float | None:
    """``Retry-After`` in seconds, at most an hour; None if it is missing or unreadable. A date counts from now."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        return _seconds_until(header)
    return _bounded(seconds)


def wished_wait(headers: Mapping[str, str]) -> float | None:
    """The seconds for which a vendor that answered 429 wants no request; None if it does not say.

    Some vendors say it in milliseconds, and some only when the limit is renewed that was used up.
    """
    known = {name.lower(): value for name, value in headers.items()}
    milliseconds = _number(known.get("retry-after-ms"))
    if milliseconds is not None:
        return _bounded(milliseconds / 1000)
    wait = retry_after_seconds(known.get("retry-after"))
    if wait is not None:
        return wait
    used_up = [allowance.reset_seconds for allowance in allowances(known) if allowance.remaining <= 0]
    return max(used_up, default=None)


def allowances(headers: Mapping[str, str]) -> list[Allowance]:
    """The allowances that the headers state in full."""
    known = {name.lower(): value for name, value in headers.items()}
    found = []
    for kind in _KINDS:
        limit = _number(known.get(f"x-ratelimit-limit-{kind}"))
        remaining = _number(known.get(f"x-ratelimit-remaining-{kind}"))
        reset = _duration(known.get(f"x-ratelimit-reset-{kind}"))
        if limit and remaining is not None and reset is not None:
            found.append(Allowance(kind, limit, remaining, reset))
    return found


def _seconds_until(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return _bounded(max(0.0, (moment - utc_now()).total_seconds()))


def _duration(text: str | None) -> float | None:
    """Seconds of ``6m0s``, ``20ms`` or ``1.5``."""
    if text is None:
        return None
    text = text.strip().lower()
    parts = _PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return _bounded(sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts))
    number = _number(text)
    return None if number is None else _bounded(number)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _bounded(seconds: float) -> float | None:
    return min(seconds, _RETRY_AFTER_SECONDS_MAX) if math.isfinite(seconds) and seconds >= 0 else None
