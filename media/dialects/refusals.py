"""Log lines for refused streams: at most one a minute for each kind of mistake, however many strangers make it."""

import asyncio

import structlog

from media.dialects.protocol import ErrorCode, Rejected

log = structlog.get_logger(__name__)

_ADVICE: dict[ErrorCode, str] = {
    "bad_start": "send start first, as docs/media.md shows it; Twilio: answer its webhook with a new session's twiml",
    "bad_format": "use a format of docs/media.md; Twilio has one, so something between it and this service changes it",
    "bad_message": "see docs/media.md for what each message holds",
    "audio_too_fast": "send sound as it is made, in the format that start announced",
    "media_timeout": "send silence while there is no sound, or raise MEDIA_TIMEOUT_SECONDS",
}
_TOO_BIG = "cut sound into messages of 20 ms"
_QUIET_SECONDS = 60.0


class RefusalLog:
    """Logs a refused stream, unless one was refused for the same reason within the last minute.

    Strangers can provoke any number of refusals, so not each of them may become a line. The next line of the same kind
    has the number of those left out, as ``unlogged``.
    """

    def __init__(self, quiet_seconds: float = _QUIET_SECONDS) -> None:
        self._quiet_seconds = quiet_seconds
        self._next_at: dict[tuple[str, str], float] = {}
        self._unlogged: dict[tuple[str, str], int] = {}

    def refused(self, dialect: str, refusal: Rejected, **about: str) -> None:
        """Log a refusal, or count it; ``about`` names the call, where there is one."""
        kind, now = (dialect, refusal.code or str(refusal.close_code)), asyncio.get_running_loop().time()
        if now < self._next_at.get(kind, now):
            self._unlogged[kind] = self._unlogged.get(kind, 0) + 1
            return
        self._next_at[kind] = now + self._quiet_seconds
        log_refusal(dialect, refusal, unlogged=self._unlogged.pop(kind, 0), **about)


def log_refusal(dialect: str, refusal: Rejected, **about: object) -> None:
    """Log one line: what was wrong and what to do."""
    log.warning(
        "media.refused",
        dialect=dialect,
        code=refusal.code or str(refusal.close_code),
        reason=refusal.message,
        advice=_TOO_BIG if refusal.code is None else _ADVICE.get(refusal.code, ""),
        **about,
    )
