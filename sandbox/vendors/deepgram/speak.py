"""Deepgram's ``POST /v1/speak``: Aura speaks a text.

See developers.deepgram.com/reference/text-to-speech/speak-request.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any, Final

import numpy as np
from starlette.datastructures import QueryParams

from sandbox.vendors.deepgram.query import BadQuery
from sandbox.vendors.encodings import SAMPLE_BYTES, Encoding, encode
from sandbox.vendors.stage import Stage
from sandbox.vendors.voice import synthesize

LANGUAGES: Final = frozenset({"de", "en", "es", "fr", "it", "ja", "nl"})
_ENCODINGS: Final[dict[str, Encoding]] = {"linear16": "pcm_s16le", "mulaw": "pcm_mulaw", "alaw": "pcm_alaw"}
_RATES: Final = {
    "linear16": ("8000", "16000", "24000", "32000", "48000"),
    "mulaw": ("8000", "16000"),
    "alaw": ("8000", "16000"),
}
CONTENT_TYPES: Final = {"linear16": "audio/l16", "mulaw": "audio/basic", "alaw": "audio/x-alaw"}
_CHARACTERS_MAX = 2000
_PIECE_SECONDS = 0.1


class Speaking:
    """One text to be spoken. Raises BadQuery for what Deepgram would refuse."""

    def __init__(self, query: QueryParams, body: bytes) -> None:
        self.model = query.get("model", "aura-asteria-en")
        self.language = self.model.rpartition("-")[2]
        if not self.model.startswith("aura-") or self.language not in LANGUAGES:
            raise BadQuery(f"no such model: {self.model}")
        self.encoding_name = query.get("encoding", "linear16")
        if self.encoding_name not in _ENCODINGS:
            raise BadQuery("encoding must be linear16, mulaw or alaw")
        rate = query.get("sample_rate", _RATES[self.encoding_name][0])
        if rate not in _RATES[self.encoding_name]:
            raise BadQuery(f"sample_rate must be one of {', '.join(_RATES[self.encoding_name])}")
        if query.get("container", "none") != "none":
            raise BadQuery("this stand-in has raw audio only: container=none")
        self.sample_rate = int(rate)
        self.encoding = _ENCODINGS[self.encoding_name]
        self.text = _text(body)

    async def pieces(self, stage: Stage, call_id: str | None) -> AsyncGenerator[bytes]:
        """The sound, at the pace of the profile."""
        chance = stage.chance("deepgram", call_id)
        await asyncio.sleep(stage.profile.first_audio.draw(chance))
        speed = stage.profile.draw_audio_speed(chance)
        speech = await asyncio.to_thread(synthesize, self.text, self.language, self.sample_rate)
        audio = encode(np.frombuffer(speech.pcm, np.int16), self.encoding)
        size = int(self.sample_rate * _PIECE_SECONDS) * SAMPLE_BYTES[self.encoding]
        for start in range(0, len(audio), size):
            if start == 0:
                stage.note("deepgram", "first_audio", call_id)
            yield audio[start : start + size]
            await asyncio.sleep(_PIECE_SECONDS / speed)


def _text(body: bytes) -> str:
    try:
        data: Any = json.loads(body)
    except ValueError:
        raise BadQuery("the body is no JSON") from None
    text = data.get("text") if isinstance(data, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise BadQuery("text is needed")
    if len(text) > _CHARACTERS_MAX:
        raise BadQuery(f"text has more than {_CHARACTERS_MAX} characters")
    return text
