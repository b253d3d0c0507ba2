"""Keeps the sound of a caller's message, and has it transcribed when no stream has heard it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from app.backoff import Backoff
from app.conversation import events as ev
from app.errors import BreakerOpen, ProviderError, ProviderTimeout
from app.models import TranscriptionResult
from app.ports.vendors import SpeechToText
from media.formats import AudioFormat

log = structlog.get_logger(__name__)

_STAGE = "listen"
_KEPT_SECONDS = 150.0
"""Longer than a message may be. Further sound is left out."""
_TRANSCRIBED_WITHIN_SECONDS = 12.0
_BACKOFF = Backoff(first_seconds=0.5, max_seconds=2.0)


class MessageRecording:
    """The message of one call. Task ledger: ``<call>:message`` transcribes it.

    It ends with the words, after twelve seconds, or when :meth:`finish` does not wait any longer.
    """

    def __init__(
        self,
        stt: SpeechToText,
        audio_format: AudioFormat,
        *,
        emit: Callable[[ev.Event], None],
        start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        """``start`` runs the transcription as a task of the call."""
        self._stt = stt
        self._format = audio_format
        self._emit = emit
        self._start = start
        self._audio: list[bytes] | None = None
        self._seconds = 0.0
        self._task: asyncio.Task[None] | None = None

    def keep(self) -> None:
        """Keep the caller's sound from now on."""
        self._audio = []

    def note_audio(self, audio: bytes) -> None:
        """Take the caller's next sound."""
        if self._audio is not None and self._seconds < _KEPT_SECONDS:
            self._audio.append(audio)
            self._seconds += self._format.seconds(audio)

    def transcribe(self) -> None:
        """Have what was kept transcribed. The words come as an event."""
        audio, self._audio = b"".join(self._audio or ()), None
        if audio:
            self._task = self._start(self._transcribe(audio))

    async def finish(self, seconds: float) -> None:
        """Give the transcription that much more time, because the record is about to be closed."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _transcribe(self, audio: bytes) -> None:
        try:
            result = await self._result(audio)
        except ProviderError as error:
            log.warning("message.not_transcribed", provider=error.provider, code=error.code)
            self._emit(ev.ProviderFailed.of(error, _STAGE, final=True))
            return
        charge = self._stt.recording_charge(result.duration)
        self._emit(
            ev.ProviderUsed(
                charge.provider, charge.model, stage=_STAGE, seconds=round(result.duration, 3), cost=charge.cost
            )
        )
        self._emit(ev.MessageTranscribed(result.text, result.confidence, result.language))

    async def _result(self, audio: bytes) -> TranscriptionResult:
        """Ask again while that may help: the vendor whose stream was lost may not be asked at once."""
        failures = 0
        try:
            async with asyncio.timeout(_TRANSCRIBED_WITHIN_SECONDS):
                while True:
                    try:
                        return await self._stt.transcribe_batch(audio)
                    except ProviderError as error:
                        if not (error.retryable or isinstance(error, BreakerOpen)):
                            raise
                    failures += 1
                    await asyncio.sleep(_BACKOFF.delay(failures))
        except TimeoutError:
            raise ProviderTimeout(self._stt.provider, "the message was not transcribed in time") from None
