"""Metrics of failures of the calls' audio."""

from prometheus_client import CollectorRegistry, Counter


class SoundMetrics:
    """Counts failures of media sockets, dropped audio and incomplete recordings."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._media_errors = Counter(
            "voice_media_errors_total",
            "Media sockets closed because of an error, by code.",
            ["code"],
            registry=registry,
        )
        self._dropped = Counter(
            "voice_audio_dropped_seconds_total",
            "Callers' audio dropped on its way to speech recognition.",
            registry=registry,
        )
        self._recordings = Counter("voice_recordings_failed_total", "Incomplete recordings.", registry=registry)

    def media_failed(self, code: str) -> None:
        """Count a media socket that was closed with an error."""
        self._media_errors.labels(code).inc()

    def audio_dropped(self, seconds: float) -> None:
        """Count audio of a caller that never reached the vendor."""
        self._dropped.inc(seconds)

    def recording_failed(self) -> None:
        """Count an incomplete recording."""
        self._recordings.inc()
