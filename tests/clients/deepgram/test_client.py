import asyncio
import io
import json
import wave
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clients.deepgram.client import DeepgramOptions, DeepgramSTTClient
from app.clients.resilient import RetryPolicy
from app.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from media.errors import BadAudio
from media.formats import AudioFormat
from media.wav import read_wav
from tests.clients.deepgram.server import answers, deepgram, drops_after, flux, hears, ignores_finish, nova

PCM = AudioFormat("pcm_s16le", 16000)
MULAW = AudioFormat("mulaw", 8000)
Answer = tuple[int, dict[str, str], Any]


class RestServer:
    """Answers one prepared answer after the other, and keeps what it was asked. None as an answer is a cut."""

    def __init__(self, answers: list[Answer | None]) -> None:
        self._answers = answers
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.port = 0

    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.paths[-1]).query)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {line.split(": ")[0].lower(): line.split(": ", 1)[1] for line in head[1:] if line}
            self.paths.append(head[0].split()[1])
            self.headers.append(headers)
            self.bodies.append(await reader.readexactly(int(headers["content-length"])))
            answer = self._answers.pop(0)
            if answer is not None:
                status, more, body = answer
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(raw)}", "Content-Type: application/json"]
                lines += ["Connection: close", *(f"{name}: {value}" for name, value in more.items())]
                writer.write("\r\n".join([*lines, "", ""]).encode() + raw)
                await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def recordings(
    *prepared: Answer | None, audio_format: AudioFormat = PCM, attempts: int = 1, **options: Any
) -> AsyncIterator[tuple[RestServer, DeepgramSTTClient]]:
    server = RestServer(list(prepared))
    listening = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    client = DeepgramSTTClient(
        api_key="key",
        base_url=f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/deepgram",
        audio_format=audio_format,
        options=DeepgramOptions(**options),
        retry=RetryPolicy(attempts=attempts, initial_seconds=0.001, jitter_seconds=0.001),
    )
    try:
        yield server, client
    finally:
        await client.aclose()
        listening.close()
        await listening.wait_closed()


def transcribed(text: str, **channel: Any) -> Answer:
    words = [
        {"word": "да", "start": 0.0, "end": 0.3, "confidence": 1.0},
        {"word": "нет", "start": 0.3, "end": 0.4, "confidence": 0.2},
    ]
    best = {"transcript": text, "confidence": 0.5, "words": words}
    other = {"transcript": "иначе", "confidence": 0.1, "words": []}
    body = {"metadata": {"request_id": "r"}, "results": {"channels": [{"alternatives": [best, other], **channel}]}}
    return 200, {}, body


def wav(samples: bytes, *, channels: int = 1, width: int = 2, rate: int = 16000) -> bytes:
    kept = io.BytesIO()
    with wave.open(kept, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples)
    return kept.getvalue()


def tone(rate: int, seconds: float = 0.5) -> np.ndarray[Any, np.dtype[np.float64]]:
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)


# --- whole recordings --------------------------------------------------------------------------------------------


async def test_raw_audio_is_sent_as_it_is_with_its_format() -> None:
    async with recordings(transcribed("да нет"), audio_format=MULAW, keyterms=("УЗИ",)) as (server, client):
        result = await client.transcribe_batch(b"\xff" * 8000)
        assert result.text == "да нет"
        assert result.confidence == pytest.approx(0.8)
        assert (result.language, result.duration, result.alternatives) == ("ru", 1.0, ["иначе"])
        assert server.bodies == [b"\xff" * 8000]
        assert urlsplit(server.paths[0]).path == "/deepgram/v1/listen"
        assert server.headers[0]["authorization"] == "Token key"
        assert server.query() == {
            "model": ["nova-3"],
            "language": ["ru"],
            "encoding": ["mulaw"],
            "sample_rate": ["8000"],
            "channels": ["1"],
            "keyterm": ["УЗИ"],
            "punctuate": ["true"],
        }


async def test_the_language_is_detected_when_it_is_not_known() -> None:
    async with recordings(transcribed("yes", detected_language="en"), language="multi") as (server, client):
        assert (await client.transcribe_batch(b"\0\0")).language == "en"
        assert server.query()["detect_language"] == ["true"]
        assert "language" not in server.query()


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
async def test_a_wav_of_any_rate_and_width_becomes_mono_16_khz(rate: int, channels: int) -> None:
    levels = np.repeat(tone(rate), channels)
    async with recordings(transcribed("да")) as (server, client):
        result = await client.transcribe_batch(
            wav((levels * 32767).astype("<i2").tobytes(), channels=channels, rate=rate)
        )
        assert result.duration == pytest.approx(0.5, abs=0.001)
        assert server.query()["sample_rate"] == ["16000"]
        heard = np.frombuffer(server.bodies[0], "<i2") / 32768
        expected = tone(16000)
        middle = slice(1000, min(len(heard), len(expected)) - 1000)
        assert np.abs(heard[middle] - expected[middle]).max() < 0.01


@pytest.mark.parametrize(
    ("width", "raw"),
    [
        (1, bytes([128, 255, 0])),
        (2, b"\x00\x00\xff\x7f\x00\x80"),
        (3, b"\x00\x00\x00\xff\xff\x7f\x00\x00\x80"),
        (4, b"\x00\x00\x00\x00\xff\xff\xff\x7f\x00\x00\x00\x80"),
    ],
)
def test_every_width_of_samples_is_read(width: int, raw: bytes) -> None:
    silent, loud, low = np.frombuffer(read_wav(wav(raw, width=width), 16000), "<i2")
    assert silent == 0
    assert loud >= 32500
    assert low == -32768


def test_channels_are_mixed() -> None:
    assert np.frombuffer(read_wav(wav(b"\x00\x10\x00\x30" * 3, channels=2), 16000), "<i2").tolist() == [0x2000] * 3


def mulaw_wav() -> bytes:
    data = bytearray(wav(b"\xff" * 100, width=1))
    data[20:22] = (7).to_bytes(2, "little")
    return bytes(data)


def strange_rate() -> bytes:
    data = bytearray(wav(b"\0\0" * 100))
    data[24:28] = (1).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"\0", "do not make whole samples"),
        (wav(b""), "has no audio"),
        (wav(b"\0\0" * 100)[:30], "cannot be read"),
        (b"RIFF", "cannot be read"),
        (b"RIFF" + b"\0" * 100, "cannot be read"),
        (mulaw_wav(), "unknown format: 7"),
        (strange_rate(), "at 1 Hz"),
    ],
    ids=["empty", "odd", "no frames", "cut header", "only riff", "no wave", "mulaw", "1 Hz"],
)
async def test_audio_that_cannot_be_read_is_named_and_not_sent(data: bytes, message: str) -> None:
    async with recordings() as (server, client):
        with pytest.raises(BadAudio, match=message):
            await client.transcribe_batch(data)
        assert server.paths == []


@given(header=st.binary(min_size=1, max_size=60), at=st.integers(0, 40))
def test_a_broken_wav_is_read_or_refused_and_nothing_else(header: bytes, at: int) -> None:
    data = bytearray(wav(b"\x01\x02" * 50))
    data[at : at + len(header)] = header
    try:
        assert len(read_wav(bytes(data), 16000)) % 2 == 0
    except BadAudio as error:
        assert "WAV" in str(error)


REFUSALS: list[tuple[int, dict[str, str], type[ProviderError]]] = [
    (400, {}, ProviderRejected),
    (401, {"dg-error": "Invalid credentials."}, ProviderRejected),
    (402, {}, ProviderRejected),
    (429, {"Retry-After": "7"}, ProviderRateLimited),
    (408, {}, ProviderTimeout),
    (500, {}, ProviderUnavailable),
    (504, {}, ProviderTimeout),
]


@pytest.mark.parametrize(("status", "headers", "kind"), REFUSALS, ids=[str(refusal[0]) for refusal in REFUSALS])
async def test_a_refused_recording_is_an_error_of_ours(
    status: int, headers: dict[str, str], kind: type[ProviderError]
) -> None:
    answer = (status, {"dg-request-id": "abc", **headers}, {"err_code": "X", "err_msg": "тайна"})
    async with recordings(answer) as (_, client):
        with pytest.raises(kind) as caught:
            await client.transcribe_batch(b"\0\0")
        assert caught.value.request_id == "abc"
        assert f"HTTP {status}" in str(caught.value)
        assert "тайна" not in str(caught.value)
        if isinstance(caught.value, ProviderRateLimited):
            assert caught.value.retry_after == 7.0


@pytest.mark.parametrize(
    "body",
    [
        "тайна".encode(),
        {},
        {"results": {"channels": []}},
        {"results": {"channels": [{"alternatives": []}]}},
        {"results": {"channels": [{"alternatives": [{"transcript": None}]}]}},
        {"results": "тайна"},
        ["тайна"],
    ],
    ids=["no json", "nothing", "no channel", "no alternative", "no text", "text", "list"],
)
async def test_an_answer_without_a_transcript_is_not_of_the_protocol(body: Any) -> None:
    async with recordings((200, {}, body)) as (_, client):
        with pytest.raises(ProviderProtocolError) as caught:
            await client.transcribe_batch(b"\0\0")
        assert "тайна" not in str(caught.value)
        assert caught.value.__suppress_context__


async def test_a_recording_is_sent_again_when_that_may_help() -> None:
    async with recordings((500, {}, {}), None, transcribed("да"), attempts=3) as (server, client):
        assert (await client.transcribe_batch(b"\0\0")).text == "да"
        assert len(server.bodies) == 3
        metrics = client.get_metrics()
        assert (metrics.requests, metrics.failures, metrics.retries) == (3, 2, 2)


async def test_a_refused_recording_is_not_sent_again() -> None:
    async with recordings((401, {}, {}), attempts=3) as (server, client):
        with pytest.raises(ProviderRejected):
            await client.transcribe_batch(b"\0\0")
        assert len(server.bodies) == 1


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with recordings() as (_, client):
        pass
    client = DeepgramSTTClient(
        api_key="key", base_url=client._base_url, audio_format=PCM, retry=RetryPolicy(attempts=1)
    )
    with pytest.raises(ProviderUnavailable):
        await client.transcribe_batch(b"\0\0")
    await client.aclose()


async def test_the_key_is_in_no_representation() -> None:
    async with recordings() as (_, client):
        assert "key" not in repr(client) + repr(client.listen(call_id="call-1")._endpoint)


# --- final texts of a stream -------------------------------------------------------------------------------------


async def frames(seconds: float) -> AsyncIterator[bytes]:
    for _ in range(round(seconds * 50)):
        yield bytes(640)


def live(url: str, **options: Any) -> DeepgramSTTClient:
    return DeepgramSTTClient(api_key="key", base_url=url, audio_format=PCM, options=DeepgramOptions(**options))


async def test_a_stream_becomes_the_texts_of_its_turns() -> None:
    says = (
        (0.2, flux("EndOfTurn", "раз", end=0.2)),
        (0.3, flux("EndOfTurn", "", end=0.3)),
        (0.4, flux("EndOfTurn", "два", end=0.4)),
    )
    async with deepgram(hears(*says)) as server:
        client = live(server.url)
        assert [text async for text in client.transcribe_stream(frames(0.5))] == ["раз", "два"]
        assert "tag" not in dict(server.sessions[0].query)
        await client.aclose()


async def test_audio_that_comes_faster_than_it_is_spoken_is_not_dropped() -> None:
    async with deepgram(hears(last_words=(nova("всё", end=30.0, final=True),))) as server:
        client = live(server.url, model="nova-3", replay_seconds=1.0)
        assert [text async for text in client.transcribe_stream(frames(30.0))] == ["всё"]
        assert server.sessions[0].seconds == 30.0
        await client.aclose()


async def test_a_stream_that_is_lost_for_good_raises() -> None:
    async with deepgram(drops_after(0.2, (0.2, flux("EndOfTurn", "раз", end=0.2))), answers(401)) as server:
        client = live(server.url)
        texts = client.transcribe_stream(frames(1.0))
        assert await anext(texts) == "раз"
        with pytest.raises(ProviderRejected):
            await anext(texts)
        await client.aclose()


async def test_an_error_of_the_source_is_raised_after_what_was_heard() -> None:
    async def broken() -> AsyncIterator[bytes]:
        async for frame in frames(0.2):
            yield frame
        raise ZeroDivisionError

    async with deepgram(hears((0.2, flux("EndOfTurn", "раз", end=0.2)))) as server:
        client = live(server.url)
        texts = client.transcribe_stream(broken())
        assert await anext(texts) == "раз"
        with pytest.raises(ZeroDivisionError):
            await anext(texts)
        await client.aclose()


async def test_leaving_the_texts_early_leaves_nothing_behind() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(640)
            await asyncio.sleep(0.01)

    async with deepgram(ignores_finish((0.1, flux("EndOfTurn", "раз", end=0.1)))) as server:
        client = live(server.url)
        texts = cast(AsyncGenerator[str, None], client.transcribe_stream(endless()))
        assert await anext(texts) == "раз"
        async with asyncio.timeout(1):
            await texts.aclose()
        assert {task.get_name() for task in asyncio.all_tasks()}.isdisjoint({"deepgram-stream", "deepgram-feed"})
        await client.aclose()
