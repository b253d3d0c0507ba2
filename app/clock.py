"""The clocks that processes share: the wall clock and the lease clock. Durations come from the event loop's clock.

Anybody may set the wall clock, so nothing that decides whether a call lives may depend on it. Nobody can set the lease
clock: it counts from the boot of this machine. Where several machines share a database, each adds how far the
database's clock is ahead of its own, so that all mean the same moment.
"""

import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path


def utc_now() -> datetime:
    """The current time, timezone-aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the one place that reads the wall clock


_LEASE_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that also counts while the machine sleeps: BOOTTIME on Linux, MONOTONIC on macOS."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BOOT_COMMAND = ("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid")
"""On macOS."""


_ahead = 0.0
"""How far the lease clock is ahead of this machine's."""


def lease_now() -> float:
    """Seconds since this machine booted, the same in all processes; never steps, never goes back.

    On Postgres it is the time of its server as this machine's clock goes on from the last :func:`set_lease_clock`.
    """
    return machine_now() + _ahead


def machine_now() -> float:
    """Seconds since this machine booted."""
    return time.clock_gettime(_LEASE_CLOCK)


def set_lease_clock(ahead: float) -> None:
    """Set how far the lease clock of this process is ahead of :func:`machine_now`; 0 until then."""
    global _ahead
    _ahead = ahead


def boot_identity() -> str:
    """The id of this boot: times of :func:`lease_now` can be compared within one boot only.

    Empty if the machine has none; then a lease from before a reboot lasts until the new uptime reaches it.
    """
    with suppress(OSError):
        return _BOOT_ID.read_text().strip()
    with suppress(OSError, subprocess.SubprocessError):
        named = subprocess.run(  # noqa: S603 - ours
            _BOOT_COMMAND, capture_output=True, text=True, check=True, timeout=5, env={}
        )
        return named.stdout.strip()
    return ""


def iso_utc(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and a Z: ``2026-11-22T19:26:41.123Z``; sorts as text."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_from_epoch(seconds: float) -> str:
    """Seconds since the epoch, as file systems use them, as ISO UTC."""
    return iso_utc(datetime.fromtimestamp(seconds, UTC))


def parse_iso(text: str) -> datetime:
    """The inverse of :func:`iso_utc`; accepts any ISO 8601 time. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def iso_after(start: str, seconds: float) -> str:
    """The ISO time this many seconds after an ISO time."""
    return iso_utc(parse_iso(start) + timedelta(seconds=seconds))
