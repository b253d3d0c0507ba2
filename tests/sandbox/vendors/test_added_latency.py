import asyncio
from typing import Any

from sandbox.vendors.added_latency import added_latencies
from sandbox.vendors.cartesia.context import Context
from sandbox.vendors.cartesia.faults import Twist
from sandbox.vendors.cartesia.orders import read_order
from sandbox.vendors.openai.answer import Answering, Asked, PromptCache
from sandbox.vendors.stage import Reply, Stage


def test_what_the_vendors_took_is_not_the_services() -> None:
    timings: list[dict[str, Any]] = [
        {"at": 10.00, "vendor": "deepgram", "event": "end_of_turn"},
        {"at": 10.01, "vendor": "openai", "event": "request"},
        {"at": 10.41, "vendor": "openai", "event": "delta", "requested_at": 10.01},
        {"at": 10.42, "vendor": "cartesia", "event": "input", "context_id": "c1"},
        {"at": 10.52, "vendor": "cartesia", "event": "first_audio", "context_id": "c1", "text": 1},
    ]

    [added] = added_latencies([10.53], timings)

    assert round(added, 6) == 0.03


def test_an_answer_prepared_before_the_end_of_the_turn_adds_only_its_transport() -> None:
    timings: list[dict[str, Any]] = [
        {"at": 9.50, "vendor": "openai", "event": "request"},
        {"at": 9.80, "vendor": "openai", "event": "delta", "requested_at": 9.50},
        {"at": 9.81, "vendor": "cartesia", "event": "input", "context_id": "c1"},
        {"at": 9.90, "vendor": "cartesia", "event": "first_audio", "context_id": "c1", "text": 1},
        {"at": 10.00, "vendor": "deepgram", "event": "end_of_turn"},
    ]

    assert [round(seconds, 6) for seconds in added_latencies([10.004], timings)] == [0.004]


def test_each_answer_has_the_time_of_its_own_request() -> None:
    """The second answer is one token long, and its text came while the first was still being spoken."""
    timings: list[dict[str, Any]] = [
        {"at": 10.00, "vendor": "deepgram", "event": "end_of_turn"},
        {"at": 10.01, "vendor": "openai", "event": "request"},
        {"at": 10.40, "vendor": "openai", "event": "first_delta", "requested_at": 10.01},
        {"at": 10.41, "vendor": "openai", "event": "delta", "requested_at": 10.01},
        {"at": 10.42, "vendor": "cartesia", "event": "input", "context_id": "c1"},
        {"at": 10.52, "vendor": "cartesia", "event": "first_audio", "context_id": "c1", "text": 1},
        {"at": 12.00, "vendor": "deepgram", "event": "end_of_turn"},
        {"at": 12.01, "vendor": "openai", "event": "request"},
        {"at": 12.37, "vendor": "openai", "event": "first_delta", "requested_at": 12.01},
        {"at": 12.38, "vendor": "cartesia", "event": "input", "context_id": "c2"},
        {"at": 12.50, "vendor": "cartesia", "event": "first_audio", "context_id": "c2", "text": 1},
    ]

    assert [round(seconds, 6) for seconds in added_latencies([10.53, 12.51], timings)] == [0.03, 0.03]


def test_sound_before_any_turn_is_not_an_answer() -> None:
    assert added_latencies([1.0], []) == []


async def test_sound_is_noted_before_it_is_sent() -> None:
    """Whoever hears it in another process may look at the notes before this one goes on."""
    stage = Stage(profile="instant")
    noted_at_chunk: list[bool] = []

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "chunk":
            noted_at_chunk.append("first_audio" in noted(stage))

    order = {"context_id": "c1:1", "model_id": "sonic-3", "transcript": "Yes.", "voice": {"id": "v"}, "language": "en"}
    output = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
    read = read_order({**order, "output_format": output}, asyncio.get_running_loop().time())
    context = Context(read, stage, send, Twist(None, status=400))
    context.add(read)
    await context.run()

    assert noted_at_chunk
    assert all(noted_at_chunk)


async def test_a_token_is_noted_before_it_is_sent_with_the_time_of_its_request() -> None:
    stage = Stage(profile="instant")
    stage.call("c1").answer(Reply("Yes, of course."))
    asked = Asked("m", [], "Hello", after_tool=False, tools={}, stream=True, include_usage=False, max_tokens=None)
    answering = Answering(stage, asked, "c1", 7.0, PromptCache(), breaks_off=False)

    seen = [len(noted(stage)) async for _ in answering.pieces()]

    assert seen == [1, 2, 3, 4]
    assert {timing["requested_at"] for timing in stage.call("c1").timings} == {7.0}


def noted(stage: Stage) -> list[str]:
    return [timing["event"] for timing in stage.call("c1").timings]
