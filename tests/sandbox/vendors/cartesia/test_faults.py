"""What the stand-in for Cartesia gets wrong on demand, as a client on its socket sees it."""

import asyncio
import base64
import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from sandbox.running import RunningSandbox, running_sandbox
from sandbox.vendors.cartesia.faults import EARLY_SECONDS, NAMED
from sandbox.vendors.faults import Fault
from tests.sandbox.vendors.cartesia.test_server import order, speech_socket

TEXT = "Мы открыты каждый день с девяти часов утра и до шести вечера, а в субботу до двух часов."
MULAW = {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}


async def struck(kind: str, **fault: Any) -> list[str | bytes]:
    """What comes for a text whose context is struck, up to its end, or the loss of the socket."""
    async with running_sandbox() as sandbox:
        return await answers(sandbox, Fault("cartesia", kind, **fault))


async def answers(sandbox: RunningSandbox, fault: Fault | None) -> list[str | bytes]:
    if fault is not None:
        sandbox.stage.faults.add(fault)
    messages: list[str | bytes] = []
    async with speech_socket(sandbox) as socket:
        await socket.send(order(TEXT, output_format=MULAW, add_timestamps=True))
        try:
            async with asyncio.timeout(30):
                while not any(message.get("done") for message in objects(messages[-1:])):
                    messages.append(await socket.recv())
        except ConnectionClosed:
            messages.append("closed")
    return messages


def objects(messages: list[str | bytes]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for message in messages:
        try:
            found.append(json.loads(message))
        except (ValueError, RecursionError):
            continue
    return found


def sound(messages: list[str | bytes]) -> bytes:
    chunks = [each for each in objects(messages) if each["type"] == "chunk" and each.get("context_id") == "c1:1"]
    return b"".join(base64.b64decode(chunk["data"]) for chunk in chunks)


ONE_BAD_CHUNK = {
    "null_data": lambda message: message.get("data", 1) is None,
    "other_types": lambda message: isinstance(message.get("data"), list),
    "broken_base64": lambda message: message.get("data") == "not*base64",
    "no_context_id": lambda message: "context_id" not in message,
    "unknown_context": lambda message: message["context_id"] == "nobody",
    "unknown_type": lambda message: message["type"] == "something_new",
    "word_times_unequal": lambda message: message.get("word_timestamps", {}).get("start") == [0],
    "word_times_null": lambda message: "word_timestamps" in message and message["word_timestamps"]["words"] is None,
    "word_times_huge": lambda message: 1e308 in message.get("word_timestamps", {}).get("start", []),
}
NO_JSON = {"binary_frame", "half_message", "deep_nesting", "long_number"}


@pytest.mark.parametrize("kind", ONE_BAD_CHUNK)
async def test_one_message_is_wrong_and_the_others_are_right(kind: str) -> None:
    messages = objects(await struck(kind))
    assert sum(ONE_BAD_CHUNK[kind](message) for message in messages) == 1
    assert messages[-1]["type"] == "done"


@pytest.mark.parametrize("kind", sorted(NO_JSON))
async def test_one_message_is_not_json_and_the_others_are(kind: str) -> None:
    messages = await struck(kind)
    assert len(messages) - len(objects(messages)) == 1
    assert objects(messages)[-1]["type"] == "done"


async def test_the_sound_is_what_the_fault_says() -> None:
    plain = sound(await struck("no_word_times"))
    assert len(plain) / 8000 > 2 * EARLY_SECONDS
    early = sound(await struck("early_done"))
    assert EARLY_SECONDS <= len(early) / 8000 < EARLY_SECONDS + 0.3
    assert len(sound(await struck("wrong_rate"))) == pytest.approx(6 * len(plain), rel=0.01)
    assert len(sound(await struck("wrong_encoding"))) == pytest.approx(2 * len(plain), rel=0.01)
    assert sound(await struck("error_as_sound")).startswith(b'{"error"')
    header = sound(await struck("riff_header"))
    assert header[:4] == b"RIFF"
    assert header.count(b"WAVEfmt ") == 1


async def test_word_times_are_left_out() -> None:
    assert "timestamps" not in {message["type"] for message in objects(await struck("no_word_times"))}


@pytest.mark.parametrize("status", [400, 401, 503])
async def test_an_error_names_no_context_and_has_the_status(status: int) -> None:
    [error] = objects(await struck("error_without_context", status=status))
    assert error["status_code"] == status
    assert "context_id" not in error


async def test_a_refused_text_names_its_context() -> None:
    [error] = objects(await struck("refused_content"))
    assert (error["status_code"], error["context_id"]) == (400, "c1:1")


async def test_a_reset_ends_the_socket_without_a_close() -> None:
    messages = await struck("socket_reset")
    assert messages[-1] == "closed"
    assert len(messages) <= 4


def test_every_fault_is_tried_here() -> None:
    others = {"no_word_times", "early_done", "riff_header", "error_as_sound", "wrong_rate", "wrong_encoding"}
    others |= {"error_without_context", "refused_content", "socket_reset"}
    assert set(NAMED) == {*ONE_BAD_CHUNK, *NO_JSON, *others}


async def test_a_fault_with_a_phrase_waits_for_the_context_that_begins_with_it() -> None:
    spared = await struck("riff_header", phrase="до свидания")
    assert b"RIFF" not in sound(spared)
    assert b"RIFF" in sound(await struck("riff_header", phrase="каждый день"))
