"""Figures about the sound of calls, and what was wrong with it."""

from prometheus_client import CollectorRegistry, Counter


class SoundMetrics:
    """Told by the doors that sound comes through, and at the end of each call."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._media_errors = Counter(
            "voice_media_errors_total",
            "Media sockets that were closed for what the far end did, by code.",
            ["code"],
            registry=registry,
        )
        self._dropped = Counter(
            "voice_audio_dropped_seconds_total",
            "Sound of callers that was given up on its way to speech recognition.",
            registry=registry,
        )
        self._recordings = Counter(
            "voice_recordings_failed_total", "Recordings that are not complete.", registry=registry
        )

    def media_failed(self, code: str) -> None:
        """A media socket was closed with an error."""
        self._media_errors.labels(code).inc()

    def audio_dropped(self, seconds: float) -> None:
        """So much of a caller was never heard by the vendor."""
        self._dropped.inc(seconds)

    def recording_failed(self) -> None:
        """A call's recording is not complete."""
        self._recordings.inc()
