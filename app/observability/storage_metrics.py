"""Metrics of the database and the journal."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_WRITE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class StorageMetrics:
    """Observes writes and commits as they happen, and the state of the journal once a second."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._write_seconds = Histogram(
            "voice_db_write_seconds",
            "From the request for a write to its commit.",
            buckets=_WRITE_BUCKETS,
            registry=registry,
        )
        self._commit_seconds = Histogram(
            "voice_journal_commit_seconds",
            "How long a commit of journal rows took.",
            buckets=_WRITE_BUCKETS,
            registry=registry,
        )
        self._waiting = Gauge(
            "voice_journal_rows_waiting",
            "Journal rows not committed yet.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._failing = Gauge(
            "voice_journal_failing",
            "Workers whose last journal commit failed.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._lost = Counter("voice_journal_rows_lost_total", "Rows that never reached the journal.", registry=registry)
        self._known_lost = 0

    def written(self, seconds: float) -> None:
        """Observe the seconds from a write's request to its commit."""
        self._write_seconds.observe(seconds)

    def committed(self, seconds: float) -> None:
        """Observe the seconds that a journal commit took."""
        self._commit_seconds.observe(seconds)

    def note_journal(self, *, waiting: int, lost: int, is_failing: bool) -> None:
        """Note the rows that wait now, the rows lost since the start, and whether the last commit failed."""
        self._waiting.set(waiting)
        self._failing.set(is_failing)
        self._lost.inc(lost - self._known_lost)
        self._known_lost = lost
