"""Figures about the database and the journal."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_WRITE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class StorageMetrics:
    """Told by the storage, and once a second how the journal stands."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._write_seconds = Histogram(
            "voice_db_write_seconds",
            "From the wish for a write to its commit.",
            buckets=_WRITE_BUCKETS,
            registry=registry,
        )
        self._commit_seconds = Histogram(
            "voice_journal_commit_seconds",
            "How long a group of rows took to be committed.",
            buckets=_WRITE_BUCKETS,
            registry=registry,
        )
        self._waiting = Gauge(
            "voice_journal_rows_waiting",
            "Rows that are not committed yet.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._failing = Gauge(
            "voice_journal_failing",
            "Workers whose last commit failed.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._lost = Counter(
            "voice_journal_rows_lost_total", "Rows that will never be in the journal.", registry=registry
        )
        self._known_lost = 0

    def written(self, seconds: float) -> None:
        """A write is committed, so long after it was wished for."""
        self._write_seconds.observe(seconds)

    def committed(self, seconds: float) -> None:
        """A group of the journal's rows is committed."""
        self._commit_seconds.observe(seconds)

    def note_journal(self, *, waiting: int, lost: int, is_failing: bool) -> None:
        """Rows that wait now, rows that were lost since the start, and whether the last commit failed."""
        self._waiting.set(waiting)
        self._failing.set(is_failing)
        self._lost.inc(lost - self._known_lost)
        self._known_lost = lost
