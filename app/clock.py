"""The clocks that processes share: wall time, and the time of leases. Durations come from the event loop's clock.

Anybody may set the wall clock, so nothing that decides whether a call lives may depend on it. Leases have a clock that
nobody can set.
"""

import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path


def utc_now() -> datetime:
    """The current moment, timezone-aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the one place that reads the wall clock


_LEASE_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Counts while the machine sleeps, too: on Linux BOOTTIME does, on macOS MONOTONIC."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BOOT_COMMAND = ("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid")
"""Of macOS."""


def lease_now() -> float:
    """Seconds since this machine booted, the same in all its processes; never steps and never falls."""
    return time.clock_gettime(_LEASE_CLOCK)


def boot_identity() -> str:
    """Names this run of the machine: times of :func:`lease_now` mean something within one run only.

    Empty where the machine does not say; then a lease outlives a boot by as long as the machine ran before.
    """
    with suppress(OSError):
        return _BOOT_ID.read_text().strip()
    with suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(_BOOT_COMMAND, capture_output=True, text=True, check=True, timeout=5)  # noqa: S603 - ours
        return told.stdout.strip()
    return ""


def iso_utc(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and a Z: ``2026-11-22T19:26:41.123Z``; sorts as text."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_from_epoch(seconds: float) -> str:
    """The moment so many seconds after the epoch, as file systems tell it, as ISO."""
    return iso_utc(datetime.fromtimestamp(seconds, UTC))


def parse_iso(text: str) -> datetime:
    """The inverse of :func:`iso_utc`; also takes any ISO 8601 moment. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def iso_after(start: str, seconds: float) -> str:
    """The moment that many seconds after an ISO moment, as ISO."""
    return iso_utc(parse_iso(start) + timedelta(seconds=seconds))
