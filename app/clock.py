"""Wall time, read in this one place; every duration comes from the event loop's clock."""

from datetime import UTC, datetime, timedelta


def utc_now() -> datetime:
    """The current moment, timezone-aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the one place that reads the wall clock


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
