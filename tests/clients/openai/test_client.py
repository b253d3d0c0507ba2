import asyncio
import threading
from datetime import UTC, datetime

import pytest

from app.clients.openai import client as openai_llm
from app.clients.openai.client import OpenAILLMClient, OpenAIOptions
from app.clients.prices import DEFAULT_PRICES
from app.errors import ProviderUnavailable
from app.models import CallContext, ConversationContext, Message, TokenUsage
from app.ports.streams import ModelAccepted, ModelFinished, TextDelta, ToolCall, ToolSpec
from tests.clients.openai.server import (
    DIALOGUE,
    Api,
    Hang,
    Refuse,
    Step,
    answer,
    chat_chunk,
    chat_text,
    client_of,
    event,
    first_words,
    reply_of,
    responses_event,
    running,
)

BOTH = pytest.mark.parametrize("api", ["chat", "responses"])
CONTEXT = ConversationContext(CallContext("call-1", None, datetime(2026, 11, 22, tzinfo=UTC)))
BOOK = ToolSpec("book", "Book a visit", {"type": "object", "properties": {"time": {"type": "string"}}})
QUICK = OpenAIOptions(first_token_seconds=0.1, token_gap_seconds=0.1)


@BOTH
async def test_text_comes_in_pieces_then_the_finish_with_reported_tokens_and_their_price(api: Api) -> None:
    async with running(answer(api, "Hel", "lo")) as server, client_of(server, api) as client:
        events = await reply_of(client)
    assert events[:2] == [TextDelta("Hel"), TextDelta("lo")]
    cost = DEFAULT_PRICES.llm_cost("gpt-6-luna", TokenUsage(1500, 1000, 12))
    assert events[2:] == [ModelFinished("stop", TokenUsage(1500, 1000, 12, cost), "req_1", "openai", "gpt-6-luna")]


@BOTH
async def test_the_request_names_the_call_in_a_header_and_carries_the_api_key(api: Api) -> None:
    async with running(answer(api, "Hi")) as server, client_of(server, api) as client:
        await reply_of(client, call_id="call-7")
    post = server.posts[0]
    assert post.path == ("/v1/chat/completions" if api == "chat" else "/v1/responses")
    assert post.headers["x-call-id"] == "call-7"
    assert post.headers["authorization"] == "Bearer sk-test"
    assert post.headers["accept-encoding"] == "identity"
    assert post.body["model"] == "gpt-6-luna"


async def test_a_tool_call_split_amid_its_json_is_given_whole_by_chat() -> None:
    parts = [{"id": "call_1", "type": "function", "function": {"name": "book", "arguments": ""}}]
    parts += [{"function": {"arguments": piece}} for piece in ('{"ti', 'me":"10', ':00"}')]
    script = [chat_chunk({"tool_calls": [{"index": 0} | part]}) for part in parts]
    script += [chat_chunk({}, "tool_calls"), event("[DONE]")]
    async with running(script) as server, client_of(server, "chat") as client:
        events = await reply_of(client, tools=[BOOK])
    assert events[0] == ToolCall("call_1", "book", '{"time":"10:00"}')
    assert isinstance(events[1], ModelFinished)
    assert events[1].reason == "tool_calls"


async def test_a_tool_call_split_amid_its_json_is_given_whole_by_responses() -> None:
    item = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "book", "arguments": ""}
    script = [
        responses_event("response.output_item.added", item=item),
        responses_event("response.function_call_arguments.delta", delta='{"ti'),
        responses_event("response.function_call_arguments.delta", delta='me":"10:00"}'),
        responses_event("response.output_item.done", item=item | {"arguments": '{"time":"10:00"}'}),
        responses_event("response.completed", response={"usage": None}),
    ]
    async with running(script) as server, client_of(server) as client:
        events = await reply_of(client, tools=[BOOK])
    assert events[0] == ToolCall("call_1", "book", '{"time":"10:00"}')
    assert isinstance(events[1], ModelFinished)
    assert events[1].reason == "tool_calls"


@BOTH
async def test_tokens_are_estimated_when_the_vendor_reports_none(api: Api) -> None:
    async with running(answer(api, "Hello ", "there", usage=None)) as server, client_of(server, api) as client:
        events = await reply_of(client, tools=[BOOK])
        expected = client.calculate_token_usage([*DIALOGUE, Message("assistant", "Hello there")])
    finished = events[-1]
    assert isinstance(finished, ModelFinished)
    assert finished.usage.prompt > expected.prompt  # the tools are tokens too
    assert finished.usage.completion == expected.completion == 2
    assert finished.usage.cost is not None


async def test_an_answer_whose_usage_never_comes_is_still_finished() -> None:
    script: list[Step] = [*chat_text("Hi", usage=None)[:-1], Hang()]
    async with running(script) as server, client_of(server, "chat") as client, asyncio.timeout(1):
        events = await reply_of(client)
    assert events[0] == TextDelta("Hi")
    assert isinstance(events[1], ModelFinished)


async def test_the_time_that_the_reader_takes_is_not_counted() -> None:
    script = answer("chat", "a", "b", "c")
    async with running(script) as server, client_of(server, "chat", QUICK) as client:
        texts = []
        async for item in client.stream_reply(DIALOGUE):
            texts.append(item)
            if len(texts) == 2:
                await asyncio.sleep(0.15)
    assert len(texts) == 5


async def test_a_filtered_answer_is_finished_as_such() -> None:
    async with running(chat_text("Hi", finish_reason="content_filter")) as server, client_of(server, "chat") as client:
        finished = (await reply_of(client))[-1]
    assert isinstance(finished, ModelFinished)
    assert finished.reason == "content_filter"


@BOTH
async def test_a_reply_is_tried_once_and_a_generated_response_again(api: Api) -> None:
    async with running(Refuse(500), answer(api, "Hello", " there")) as server, client_of(server, api) as client:
        assert await client.generate_response(DIALOGUE, CONTEXT) == "Hello there"
        assert [post.headers["x-call-id"] for post in server.posts] == ["call-1", "call-1"]
        assert client.get_metrics().retries == 1
    async with running(Refuse(500)) as server, client_of(server, api) as client:
        with pytest.raises(ProviderUnavailable):
            await reply_of(client)
        assert len(server.posts) == 1


async def test_a_response_can_be_streamed_as_bare_text() -> None:
    async with running(answer("responses", "Hel", "lo")) as server, client_of(server) as client:
        assert [piece async for piece in client.stream_response(DIALOGUE)] == ["Hel", "lo"]


async def test_leaving_a_bare_text_stream_closes_the_request() -> None:
    async with running([*first_words("responses"), Hang()]) as server, client_of(server) as client:
        stream = client.stream_response(DIALOGUE)
        assert await anext(stream) == "Hel"
        await stream.aclose()
        async with asyncio.timeout(0.5):
            await server.client_left.wait()


@BOTH
@pytest.mark.parametrize("scripted", ["before the first token", "amid the answer"])
async def test_cancelling_the_reader_closes_the_request_and_the_next_works(api: Api, scripted: str) -> None:
    begun = first_words(api) if scripted == "amid the answer" else []
    async with running([*begun, Hang()], answer(api, "Hello")) as server, client_of(server, api) as client:
        received = asyncio.Event()

        async def read() -> None:
            async for _ in client.stream_reply(DIALOGUE):
                received.set()

        async with asyncio.TaskGroup() as group:
            reader = group.create_task(read(), name="reader")
            await (received if begun else server.arrived["POST"]).wait()
            reader.cancel()
        async with asyncio.timeout(0.5):
            await server.client_left.wait()
        assert client.get_metrics().failures == 0
        assert (await reply_of(client))[0] == TextDelta("Hello")


async def test_closing_the_reply_closes_the_request_and_replaces_the_connection() -> None:
    begun: list[Step] = [*first_words("chat"), Hang()]
    async with running(begun, answer("chat", "Hello")) as server, client_of(server, "chat") as client:
        reply = client.stream_reply(DIALOGUE)
        assert [await anext(reply), await anext(reply)] == [ModelAccepted("req_1"), TextDelta("Hel")]
        await reply.aclose()
        async with asyncio.timeout(0.5):
            await server.client_left.wait()
            await asyncio.wait([task for task in asyncio.all_tasks() if task.get_name() == "openai.spare_connection"])
        await reply_of(client)
        assert server.posts[1].connection == server.received[1].connection == 2


@BOTH
async def test_whole_answers_and_the_warm_up_share_one_connection(api: Api) -> None:
    async with running(answer(api, "Hello")) as server, client_of(server, api) as client:
        await client.warm_up()
        await reply_of(client)
        await reply_of(client)
        await client.generate_response(DIALOGUE, CONTEXT)
        assert server.received[0].path == "/v1/models"
        assert (server.connections, len(server.posts)) == (1, 3)


async def test_a_client_that_is_closed_while_it_loads_the_library_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load, held = openai_llm._load, threading.Event()
    monkeypatch.setattr(openai_llm, "_load", lambda: held.wait(5) and load())
    async with running() as server:
        async with client_of(server) as client:
            warming = asyncio.get_running_loop().create_task(client.warm_up(), name="warming")
            await asyncio.sleep(0)
            warming.cancel()
            await asyncio.wait([warming])
            assert "openai.connecting" in {task.get_name() for task in asyncio.all_tasks()}
            held.set()
        assert "openai.connecting" not in {task.get_name() for task in asyncio.all_tasks()}
        assert server.connections == 0


async def test_a_library_that_cannot_be_loaded_is_the_vendors_failure_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load, faults = openai_llm._load, [OSError("too many files"), OSError("too many files")]
    monkeypatch.setattr(openai_llm, "_load", lambda: _raise(faults.pop()) if faults else load())
    async with running(answer("responses", "Hello")) as server, client_of(server) as client:
        with pytest.raises(ProviderUnavailable, match=r"its library cannot be loaded \(OSError\)"):
            await reply_of(client)
        assert (client.get_metrics().failures, (await client.health_check()).status) == (1, "degraded")
        with pytest.raises(ProviderUnavailable):
            await reply_of(client)
        assert (await reply_of(client))[0] == TextDelta("Hello")


async def test_a_client_whose_library_cannot_be_loaded_is_closed_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_llm, "_load", lambda: _raise(ImportError("none")))
    async with running() as server:
        async with client_of(server) as client:
            with pytest.raises(ProviderUnavailable):
                await client.warm_up()
        with pytest.raises(ProviderUnavailable, match="the client is closed"):
            await reply_of(client)


def _raise(error: Exception) -> None:
    raise error


async def test_a_body_without_an_end_does_not_hold_up_the_reader_for_long() -> None:
    async with running([*answer("responses", "Hi"), Hang()]) as server, client_of(server) as client:
        async with asyncio.timeout(0.5):
            assert isinstance((await reply_of(client))[-1], ModelFinished)
            await server.client_left.wait()


async def test_old_messages_are_left_out_of_the_request() -> None:
    old = [Message("user" if turn % 2 == 0 else "assistant", f"number {turn} " * 50) for turn in range(21)]
    options = OpenAIOptions(context_window_size=500)
    async with running(answer("responses", "Hi")) as server, client_of(server, options=options) as client:
        assert [piece async for piece in client.stream_response([DIALOGUE[0], *old])] == ["Hi"]
    body = server.posts[0].body
    assert body["instructions"] == "You are brief."
    assert 1 <= len(body["input"]) < 10
    assert body["input"][-1]["content"] == old[-1].content


def test_tokens_of_an_interrupted_answer_can_be_estimated() -> None:
    client = OpenAILLMClient(api_key="sk-test", base_url="http://127.0.0.1:9/v1")
    asked = client.calculate_token_usage(DIALOGUE)
    answered = client.calculate_token_usage([*DIALOGUE, Message("assistant", "One moment, let me check.")])
    assert (asked.prompt, asked.completion) == (answered.prompt, 0)
    assert 4 <= answered.completion <= 8
    assert asked.cost is not None
    assert answered.cost is not None
    assert answered.cost > asked.cost
    unknown = OpenAILLMClient(
        api_key="sk-test", base_url="http://127.0.0.1:9/v1", options=OpenAIOptions(model="our-own")
    )
    assert unknown.calculate_token_usage(DIALOGUE).cost is None
