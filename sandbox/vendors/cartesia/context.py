"""One context of Cartesia's websocket: takes text inputs, sends sound and word times in order."""

import asyncio
import base64
import re
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from random import Random
from typing import Any, Final, NamedTuple

import numpy as np

from sandbox.vendors.cartesia.faults import Twist
from sandbox.vendors.cartesia.orders import Declined, Order, OutputFormat
from sandbox.vendors.encodings import SAMPLE_BYTES, encode
from sandbox.vendors.profiles import Profile
from sandbox.vendors.stage import Stage, leading_call_id
from sandbox.vendors.voice import Speech, SpokenWord, synthesize

CHUNK_SECONDS: Final = (0.04, 0.2)
_AFTER_CANCEL_SECONDS = 0.3
_MAX_INPUTS = 1000
_PARTIAL = 206
_STEP_TIME_MS = 12.5
_SENTENCE_END = re.compile(r".*[.!?…](?=\s|$)", re.DOTALL)


class Piece(NamedTuple):
    """A piece of encoded sound, and its start and end within the sound of its text, in seconds."""

    audio: bytes
    start: float
    end: float


def speak(text: str, order: Order, stage: Stage, call_id: str | None) -> Speech:
    """Speak the text in the order's voice; not encoded yet. Recognisers know the sound from then on."""
    rate, language = order.manner.output.sample_rate, order.manner.language
    speech = synthesize(text, language, rate, order.manner.speed)
    if stage.sounds is not None:
        samples = np.frombuffer(speech.pcm, "<i2").astype(np.int16)
        stage.sounds.remember(call_id, samples, rate, speech.words, language)
    return speech


async def paced(speech: Speech, order: Order, profile: Profile, chance: Random) -> AsyncGenerator[Piece]:
    """The sound in chunks of odd sizes and whole samples, at the speed of the profile."""
    output = order.manner.output
    samples = np.frombuffer(speech.pcm, "<i2").astype(np.int16)
    loop = asyncio.get_running_loop()
    began = max(loop.time(), order.received_at + profile.first_audio.draw(chance))
    speed = profile.draw_audio_speed(chance)
    at = 0
    while at < samples.size:
        await _sleep_until(began + at / output.sample_rate / speed)
        size = int(chance.uniform(*CHUNK_SECONDS) * output.sample_rate)
        chunk = samples[at : at + size]
        yield Piece(encode(chunk, output.encoding), at / output.sample_rate, (at + chunk.size) / output.sample_rate)
        at += chunk.size


async def _sleep_until(when: float) -> None:
    delay = when - asyncio.get_running_loop().time()
    if delay > 0:
        await asyncio.sleep(delay)


class Context:
    """The inputs of a context and the task that speaks them."""

    def __init__(
        self, first: Order, stage: Stage, send: Callable[[dict[str, Any]], Awaitable[None]], twist: Twist
    ) -> None:
        self._twist = twist
        self._manner = first.manner
        self._id = first.context_id
        self._call_id = leading_call_id(first.context_id)
        self._stage = stage
        self._chance = stage.chance("cartesia", self._call_id)
        self._send = send
        self._inputs: asyncio.Queue[Order | None] = asyncio.Queue(_MAX_INPUTS)
        self._order = first
        self._buffer = ""
        self._length = 0.0
        """Seconds of sound so far: word times count from the start of the context."""
        self._spoken_at: float | None = None
        self._flush_id = 1
        self._cancelled = False
        self._texts = 0
        self._is_over = False
        """Whether a fault has ended the context before its text was spoken."""

    def add(self, order: Order) -> None:
        """Queue an input; raises :class:`Declined` if it does not match the context, or if 1000 inputs wait."""
        if order.manner != self._manner:
            raise Declined(400, "invalid_request", "Invalid request", "a context keeps its voice, format and model")
        if self._inputs.full():
            raise Declined(429, "too_many_inputs", "Too many inputs", "wait for the audio of the earlier ones")
        self._stage.note("cartesia", "input", self._call_id, context_id=self._id, chars=len(order.transcript))
        self._inputs.put_nowait(order)

    def cancel(self) -> None:
        """Drop the inputs that have not begun; the current one continues for a moment, as at the vendor."""
        self._cancelled = True
        if not self._inputs.full():
            self._inputs.put_nowait(None)

    async def run(self) -> None:
        """Speak the inputs until the last one, a cancel, or expiry."""
        while (order := await self._next()) is not None:
            self._order = order
            self._buffer += order.transcript
            await self._speak_buffer(whole=order.flush or not order.continues or order.buffer_seconds == 0)
            if order.flush:
                await self._emit("flush_done", flush_done=True, flush_id=self._flush_id)
                self._flush_id += 1
            if not order.continues or self._is_over:
                break
        if self._cancelled or self._is_over or not self._order.continues:
            await self._emit("done", done=True)

    async def _next(self) -> Order | None:
        """Wait for the next input; None after a cancel or on expiry. Speaks buffered text that has waited enough."""
        while not self._cancelled:
            try:
                async with asyncio.timeout_at(self._patience()):
                    return await self._inputs.get()
            except TimeoutError:
                if not self._buffer:
                    return None
                await self._speak_buffer(whole=True)
        return None

    def _patience(self) -> float | None:
        if self._buffer:
            return self._order.received_at + self._order.buffer_seconds
        return None if self._spoken_at is None else self._spoken_at + self._stage.limits.context_seconds

    async def _speak_buffer(self, *, whole: bool) -> None:
        sentence = _SENTENCE_END.match(self._buffer)
        end = len(self._buffer) if whole else (sentence.end() if sentence else 0)
        text, self._buffer = self._buffer[:end], self._buffer[end:]
        if text.strip():
            await self._speak(text)

    async def _speak(self, text: str) -> None:
        self._texts += 1
        order = self._rendered()
        speech = speak(text, order, self._stage, self._call_id)
        words = list(speech.words)
        enough: float | None = None
        async with aclosing(paced(speech, order, self._stage.profile, self._chance)) as pieces:
            async for piece in pieces:
                if self._cancelled and enough is None:
                    enough = piece.start + _AFTER_CANCEL_SECONDS
                if enough is not None and piece.start >= enough:
                    break
                if self._length + piece.start >= self._twist.ends_after:
                    self._is_over = True
                    return
                await self._deliver(piece, words)
        await self._send_words(words)
        self._length += len(speech.pcm) / 2 / order.manner.output.sample_rate
        self._note("audio_done", seconds=self._length)

    def _rendered(self) -> Order:
        """The order, with the changes that a fault makes to its sound."""
        asked = self._manner.output
        if not self._twist.is_linear:
            return self._order
        output = OutputFormat("raw", "pcm_s16le", self._twist.rate or asked.sample_rate)
        return replace(self._order, manner=replace(self._manner, output=output))

    async def _deliver(self, piece: Piece, words: list[SpokenWord]) -> None:
        audio = piece.audio
        if self._twist.has_header and piece.start == 0 and self._texts == 1:
            audio = wav_header(self._manner.output) + audio
        data = base64.b64encode(audio).decode()
        if piece.start == 0:  # before sending: the client may have played it before this task continues
            self._note("first_audio", text=self._texts)
        await self._emit("chunk", data=data, step_time=_STEP_TIME_MS, flush_id=self._flush_id)
        self._spoken_at = asyncio.get_running_loop().time()
        begun = [word for word in words if word.start < piece.end]
        del words[: len(begun)]
        await self._send_words(begun)

    async def _send_words(self, words: list[SpokenWord]) -> None:
        if not words or not self._order.add_timestamps:
            return
        times = {
            "words": [word.text for word in words],
            "start": [round(self._length + word.start, 3) for word in words],
            "end": [round(self._length + word.end, 3) for word in words],
        }
        await self._emit("timestamps", word_timestamps=times, flush_id=self._flush_id)

    async def _emit(self, kind: str, *, done: bool = False, **details: Any) -> None:
        message = {"type": kind, "context_id": self._id, "done": done, "status_code": _PARTIAL, **details}
        await self._send(message)

    def _note(self, event: str, **details: Any) -> None:
        self._stage.note("cartesia", event, self._call_id, context_id=self._id, **details)


def wav_header(output: OutputFormat) -> bytes:
    """The header of a WAV stream of unknown length."""
    codes = {"pcm_s16le": 1, "pcm_f32le": 3, "pcm_alaw": 6, "pcm_mulaw": 7}
    width = SAMPLE_BYTES[output.encoding]
    bytes_per_second = output.sample_rate * width
    layout = struct.pack("<HHIIHH", codes[output.encoding], 1, output.sample_rate, bytes_per_second, width, 8 * width)
    return b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<I", len(layout)) + layout + b"data\xff\xff\xff\xff"
