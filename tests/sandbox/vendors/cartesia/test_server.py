"""The stand-in for Cartesia, as Cartesia's own SDK sees it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import cartesia
import numpy as np
import pytest
from cartesia import AsyncCartesia
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from sandbox.running import RunningSandbox, running_sandbox
from sandbox.vendors.encodings import SAMPLE_BYTES, Encoding, decode
from sandbox.vendors.faults import Fault
from sandbox.vendors.stage import Limits
from sandbox.vendors.voice import synthesize

RAW: Any = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000}
VOICE: Any = {"id": "sandbox-ru"}
HEADERS = {"Authorization": "Bearer key", "Cartesia-Version": "2026-08-14"}


def client(sandbox: RunningSandbox) -> AsyncCartesia:
    sockets = sandbox.cartesia_base_url.replace("http", "ws")
    return AsyncCartesia(
        api_key="key", base_url=sandbox.cartesia_base_url, websocket_base_url=sockets, max_retries=0, timeout=5
    )


@asynccontextmanager
async def speech_socket(sandbox: RunningSandbox, headers: dict[str, str] = HEADERS) -> AsyncIterator[ClientConnection]:
    url = sandbox.cartesia_base_url.replace("http", "ws") + "/tts/websocket"
    async with connect(url, additional_headers=headers, compression=None, proxy=None, close_timeout=0.5) as socket:
        yield socket


def order(transcript: str, context_id: str = "c1:1", *, continues: bool = False, **more: Any) -> str:
    plain = {
        "context_id": context_id,
        "model_id": "sonic-3.5",
        "transcript": transcript,
        "voice": VOICE,
        "output_format": RAW,
        "language": "ru",
        "max_buffer_delay_ms": 0,
        "continue": continues,
    }
    return json.dumps(plain | more)


async def until(socket: ClientConnection, *kinds: str) -> list[dict[str, Any]]:
    """Messages up to and with the first of one of the kinds."""
    messages: list[dict[str, Any]] = []
    while not messages or messages[-1]["type"] not in kinds:
        messages.append(json.loads(await socket.recv()))
    return messages


def audio_of(messages: list[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(message["data"]) for message in messages if message["type"] == "chunk")


async def test_the_inputs_of_a_context_become_one_speech_with_times_that_go_on() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        async with sdk.tts.websocket_connect(websocket_connection_options={"compression": None}) as connection:
            context = connection.context(
                "c1:1", model_id="sonic-3.5", voice=VOICE, output_format=RAW, language="ru",
                add_timestamps=True, max_buffer_delay_ms=0, timeout=5,
            )  # fmt: skip
            await context.push("Здравствуйте, ")
            await context.push("чем могу помочь?", flush=True)
            await context.no_more_inputs()
            events: list[Any] = [event async for event in context.receive()]
        audio = b"".join(event.audio for event in events if event.type == "chunk")
        first, second = (synthesize(text, "ru", 16000).pcm for text in ("Здравствуйте, ", "чем могу помочь?"))
        assert audio == first + second
        timestamps = [event.word_timestamps for event in events if event.type == "timestamps"]
        assert [word for times in timestamps for word in times.words] == ["Здравствуйте,", "чем", "могу", "помочь?"]
        starts = [start for times in timestamps for start in times.start]
        assert starts == sorted(starts)
        assert starts[1] == pytest.approx(len(first) / 32000, abs=0.03)
        assert [event.type for event in events][-2:] == ["flush_done", "done"]
        noted = [timing["event"] for timing in sandbox.stage.call("c1").timings]
        assert noted.count("input") == 3
        assert noted.count("first_audio") == noted.count("audio_done") == 2


async def test_word_times_come_only_to_those_who_asked() -> None:
    async with running_sandbox() as sandbox, speech_socket(sandbox) as socket:
        await socket.send(order("Да."))
        assert {message["type"] for message in await until(socket, "done")} == {"chunk", "done"}


@pytest.mark.parametrize("encoding", list(SAMPLE_BYTES))
@pytest.mark.parametrize("sample_rate", [8000, 24000])
async def test_sound_comes_in_every_format_in_whole_samples_of_odd_sizes(encoding: Encoding, sample_rate: int) -> None:
    output = {"container": "raw", "encoding": encoding, "sample_rate": sample_rate}
    async with running_sandbox() as sandbox, speech_socket(sandbox) as socket:
        await socket.send(order("Записать вас на завтра?", output_format=output))
        messages = await until(socket, "done")
    sizes = [len(base64.b64decode(message["data"])) for message in messages if message["type"] == "chunk"]
    assert {size % SAMPLE_BYTES[encoding] for size in sizes} == {0}
    assert len(set(sizes)) > 1
    heard = decode(audio_of(messages), encoding).astype(int)
    spoken = np.frombuffer(synthesize("Записать вас на завтра?", "ru", sample_rate).pcm, "<i2").astype(int)
    assert np.all(np.abs(heard - spoken) <= np.abs(spoken) * 0.04 + 20)


async def test_several_contexts_speak_on_one_socket() -> None:
    async with running_sandbox() as sandbox, speech_socket(sandbox) as socket:
        for context_id in ("a:1", "b:1"):
            await socket.send(order("Да, конечно.", context_id))
        messages = await until(socket, "done") + await until(socket, "done")
        sounds = [audio_of([m for m in messages if m["context_id"] == context_id]) for context_id in ("a:1", "b:1")]
        assert sounds[0] == sounds[1] == synthesize("Да, конечно.", "ru", 16000).pcm


async def test_text_waits_for_the_end_of_its_sentence_if_buffering_is_on() -> None:
    async with running_sandbox() as sandbox, speech_socket(sandbox) as socket:
        for piece in ("Доб", "рый день! ", "Чем мо"):
            await socket.send(order(piece, max_buffer_delay_ms=5000, continues=True))
        await socket.send(order("гу помочь?", max_buffer_delay_ms=5000))
        spoken = audio_of(await until(socket, "done"))
    both = [synthesize(text, "ru", 16000).pcm for text in ("Добрый день!", " Чем могу помочь?")]
    assert spoken == b"".join(both)


async def test_text_that_has_waited_long_enough_is_spoken_as_it_is() -> None:
    async with running_sandbox() as sandbox, speech_socket(sandbox) as socket:
        await socket.send(order("Добрый", max_buffer_delay_ms=50, continues=True))
        assert (await until(socket, "chunk"))[0]["type"] == "chunk"


async def test_a_cancelled_context_goes_on_a_little_and_is_done() -> None:
    async with running_sandbox(profile="typical", seed=3) as sandbox, speech_socket(sandbox) as socket:
        long = "Очень длинная фраза, которую никто не дослушает до конца. " * 5
        await socket.send(order(long, continues=True))
        await socket.send(order("И ещё одна.", continues=True))
        await until(socket, "chunk")
        await socket.send(json.dumps({"context_id": "c1:1", "cancel": True}))
        rest = audio_of(await until(socket, "done"))
        assert 0 < len(rest) < len(synthesize(long, "ru", 16000).pcm) / 4
        assert "cancel" in [timing["event"] for timing in sandbox.stage.call("c1").timings]


async def test_a_context_expires_after_its_last_sound() -> None:
    assert Limits().context_seconds == 1.0
    async with running_sandbox(limits=Limits(context_seconds=0.05)) as sandbox, speech_socket(sandbox) as socket:
        await socket.send(order("Да.", continues=True))
        await until(socket, "chunk")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await until(socket, "done")
        await socket.send(order("Нет."))
        late = (await until(socket, "error"))[-1]
        assert (late["context_id"], late["error_code"]) == ("c1:1", "context_closed")


async def test_a_context_keeps_its_voice() -> None:
    async with running_sandbox() as sandbox, speech_socket(sandbox) as socket:
        await socket.send(order("Да.", continues=True))
        await socket.send(order("Нет.", voice="another"))
        assert (await until(socket, "error"))[-1]["status_code"] == 400


async def test_an_idle_socket_is_closed() -> None:
    async with running_sandbox(limits=Limits(cartesia_idle_seconds=0.05)) as sandbox, speech_socket(sandbox) as socket:
        await socket.wait_closed()
        assert socket.close_code == 1000


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"model_id": "sonic-2"}, "model_not_found"),
        ({"voice": None}, "voice_not_found"),
        ({"output_format": {"container": "raw", "encoding": "opus", "sample_rate": 8000}}, "invalid_request"),
        ({"output_format": RAW | {"sample_rate": 12345}}, "invalid_request"),
        ({"max_buffer_delay_ms": 9000}, "invalid_request"),
        ({"generation_config": {"speed": 3}}, "invalid_request"),
        ({"max_buffer_delay_ms": "soon"}, "invalid_request"),
    ],
)
async def test_a_bad_order_gets_an_error_event_and_the_socket_lives(change: dict[str, Any], code: str) -> None:
    async with running_sandbox() as sandbox, speech_socket(sandbox) as socket:
        await socket.send(order("Да.", "c1:bad", **change))
        error = (await until(socket, "error"))[-1]
        assert (error["context_id"], error["error_code"], error["done"]) == ("c1:bad", code, True)
        await socket.send("no JSON")
        assert "context_id" not in (await until(socket, "error"))[-1]
        await socket.send(order("Да.", "c1:good"))
        assert (await until(socket, "done"))[-1]["context_id"] == "c1:good"


async def test_bytes_and_sse_speak_the_same() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        ordered: Any = {"model_id": "sonic-3.5", "transcript": "Да, конечно.", "voice": VOICE, "language": "ru"}
        expected = synthesize("Да, конечно.", "ru", 16000).pcm
        raw = await sdk.tts.generate(**ordered, output_format=RAW, extra_headers={"X-Call-ID": "c1"})
        assert await raw.read() == expected
        wav = await (await sdk.tts.generate(**ordered, output_format=RAW | {"container": "wav"})).read()
        assert wav.startswith(b"RIFF")
        assert wav.endswith(expected)
        stream = await sdk.tts.generate_sse(**ordered, output_format=RAW, add_timestamps=True)
        events: list[Any] = [event async for event in stream]
        assert b"".join(base64.b64decode(event.data) for event in events if event.type == "chunk") == expected
        assert [event.type for event in events][-2:] == ["timestamps", "done"]
        assert [timing["event"] for timing in sandbox.stage.call("c1").timings] == [
            "input",
            "first_audio",
            "audio_done",
        ]
        request, sound, _ = sandbox.stage.call("c1").timings
        assert (sound["context_id"], sound["text"]) == (request["context_id"], 1)
        with pytest.raises(cartesia.NotFoundError):
            await sdk.tts.generate(**ordered | {"model_id": "sonic"}, output_format=RAW)


async def test_there_are_voices() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        assert [voice.language async for voice in sdk.voices.list()] == ["ru", "en"]


async def test_who_has_no_key_or_no_version_is_turned_away() -> None:
    async with running_sandbox() as sandbox:
        for missing, status in (("Authorization", 401), ("Cartesia-Version", 400)):
            with pytest.raises(InvalidStatus) as refused:
                async with speech_socket(sandbox, {name: HEADERS[name] for name in HEADERS if name != missing}):
                    pass
            assert refused.value.response.status_code == status


@pytest.mark.parametrize(("kind", "status"), [("refuse", 503), ("unauthorized", 401), ("rate_limit", 429)])
async def test_a_fault_turns_a_socket_away_or_one_calls_context(kind: Any, status: int) -> None:
    async with running_sandbox() as sandbox:
        sandbox.stage.faults.add(Fault("cartesia", kind, retry_after=1.5))
        with pytest.raises(InvalidStatus) as refused:
            async with speech_socket(sandbox):
                pass
        assert refused.value.response.status_code == status
        assert refused.value.response.headers["Retry-After"] == "1.5"
        sandbox.stage.faults.add(Fault("cartesia", kind, call_id="c1"))
        async with speech_socket(sandbox) as socket:
            await socket.send(order("Да.", "c1:1"))
            assert (await until(socket, "error"))[-1]["status_code"] == status
            await socket.send(order("Да.", "c1:2"))
            await until(socket, "done")


async def heard_under(fault: Fault) -> tuple[list[str], int | None]:
    """What comes for one sentence, and the close code; -1 when nothing more came and the socket stayed open."""
    async with running_sandbox() as sandbox:
        sandbox.stage.faults.add(fault)
        async with speech_socket(sandbox) as socket:
            await socket.send(order("Да, конечно, мы ждём вас завтра утром."))
            messages: list[str] = []
            try:
                while True:
                    async with asyncio.timeout(0.1):
                        messages.append(str(await socket.recv()))
            except ConnectionClosed as closed:
                return messages, closed.rcvd.code if closed.rcvd else None
            except TimeoutError:
                return messages, -1


async def test_every_fault_strikes_a_context_in_its_own_way() -> None:
    whole, code = await heard_under(Fault("cartesia", "cut", call_id="someone-else"))
    assert (json.loads(whole[-1])["type"], code) == ("done", -1)
    assert await heard_under(Fault("cartesia", "hang")) == ([], -1)
    stalled, code = await heard_under(Fault("cartesia", "stall", after_items=3))
    assert (len(stalled), code) == (3, -1)
    cut, code = await heard_under(Fault("cartesia", "cut"))
    assert (len(cut), code) == (2, None)
    assert (await heard_under(Fault("cartesia", "cut", close_code=1011)))[1] == 1011
    garbage, code = await heard_under(Fault("cartesia", "garbage", after_items=1))
    assert (len(garbage), code) == (len(whole) + 1, -1)
    with pytest.raises(ValueError, match="line 1"):
        json.loads(garbage[1])
    for with_context in (True, False):
        broken, code = await heard_under(Fault("cartesia", "error_event", after_items=1, with_context=with_context))
        error = json.loads(broken[-1])
        assert (error["type"], "context_id" in error, len(broken), code) == ("error", with_context, 2, -1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    slow, code = await heard_under(Fault("cartesia", "slow", seconds_per_item=0.01))
    assert (len(slow), code) == (len(whole), -1)
    assert loop.time() - began >= 0.01 * len(whole) + 0.1


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("refuse", cartesia.InternalServerError),
        ("unauthorized", cartesia.AuthenticationError),
        ("rate_limit", cartesia.RateLimitError),
        ("error_event", cartesia.InternalServerError),
        ("hang", cartesia.APITimeoutError),
        ("stall", cartesia.APITimeoutError),
        ("cut", cartesia.APIConnectionError),
    ],
)
async def test_a_fault_can_be_for_the_http_route_alone(kind: Any, error: type[Exception]) -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        sandbox.stage.faults.add(Fault("cartesia", kind, route="tts/bytes"))
        async with speech_socket(sandbox) as socket:
            await socket.send(order("Да."))
            await until(socket, "done")
        with pytest.raises(error):
            await sdk.tts.generate(
                model_id="sonic-3.5", transcript="Да, конечно.", voice=VOICE, output_format=RAW, timeout=0.1
            )  # fmt: skip


async def test_sound_is_made_faster_than_it_is_heard_but_not_at_once() -> None:
    async with running_sandbox(profile="typical", seed=1) as sandbox, speech_socket(sandbox) as socket:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await socket.send(order("Первичный приём стоит две тысячи рублей, записать вас?"))
        await until(socket, "chunk")
        first_audio = loop.time() - began
        seconds = len(audio_of(await until(socket, "done"))) / 32000
        assert 0.03 < first_audio < 0.6
        assert 0.05 * seconds < loop.time() - began - first_audio < 0.7 * seconds
