"""The caller's client of the sandbox's control interface: it posts the words that the stand-ins cannot recognise."""

import base64
from collections.abc import Sequence
from typing import Any

import httpx

from sandbox.caller.media_client import CallFailed
from sandbox.caller.microphone import Sound


class ControlClient:
    """The control interface for one call; without an address it does nothing. Methods raise CallFailed."""

    def __init__(
        self, http: httpx.AsyncClient, sandbox_url: str | None, call_id: str, *, listens_at: int | None = None
    ) -> None:
        self._http = http
        self._listens_at = listens_at
        """The sample rate of the caller's sounds, if the sandbox recognises speech by its sound."""
        self._call_url = f"{sandbox_url.rstrip('/')}/control/calls/{call_id}" if sandbox_url else None

    async def expect_utterance(self, text: str, sound: Sound, language: str) -> None:
        """Announce a sound of the caller that means ``text``; a cough has no text. A sandbox that listens hears it."""
        if self._listens_at is None:
            await self._post("utterances", {"text": text, "duration": sound.seconds, "language": language})

    async def teach(self, sound: Sound, language: str) -> None:
        """Tell a sandbox that listens how the words of a sound sound; whether and when it hears them, it finds out."""
        if self._listens_at is not None and sound.words:
            pcm = base64.b64encode(sound.samples.astype("<i2").tobytes()).decode()
            taught = {"pcm": pcm, "sample_rate": self._listens_at, "words": sound.words, "language": language}
            await self._post("sounds", taught)

    async def script_replies(self, replies: Sequence[dict[str, Any]]) -> None:
        """Set the language model's next answers, in order."""
        if replies:
            await self._post("replies", list(replies))

    async def _post(self, what: str, body: Any) -> None:
        if self._call_url is None:
            return
        try:
            response = await self._http.post(f"{self._call_url}/{what}", json=body)
        except httpx.HTTPError as error:
            raise CallFailed(f"the sandbox cannot be reached: {type(error).__name__}") from error
        if response.is_error:
            raise CallFailed(f"the sandbox did not take the {what}: {response.status_code}")
