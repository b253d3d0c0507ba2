"""Every content fault of the sandbox, as the service's own client meets it, through both interfaces."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.clients.openai.client import OpenAILLMClient, OpenAIOptions
from app.errors import ContentRejected, ProviderError, ProviderRejected
from app.models import Message
from app.ports.streams import ModelFinished, TextDelta, TextRetracted, ToolCall, ToolSpec
from sandbox.running import RunningSandbox, running_sandbox
from sandbox.vendors.faults import NAMED, Fault
from sandbox.vendors.stage import Reply, ScriptedToolCall
from tests.clients.openai.server import Api

TEXT = "Of course, I have a place at ten."
ARGUMENTS = {"day": "friday", "note": 'a } and a " too'}
SCRIPT = Reply(TEXT, (ScriptedToolCall("book", ARGUMENTS), ScriptedToolCall("look", {"x": 1})))
TOOLS = [ToolSpec(name, "A tool.", {"type": "object"}) for name in ("book", "look")]
BOTH = ["book", "look"]


@dataclass(frozen=True)
class Expected:
    """What the service makes of the answer."""

    text: str = TEXT
    calls: list[str] = field(default_factory=lambda: list(BOTH))
    arguments: Any = field(default_factory=lambda: ARGUMENTS)
    """Of the first call; a text is one that cannot be read."""
    reason: str = "tool_calls"


EXPECTED: dict[str, Expected | type[ProviderError]] = {
    "refused_content": ContentRejected,
    "refused_in_stream": ContentRejected,
    "strict_history": Expected(),
    "no_choices": Expected(),
    "null_usage": Expected(),
    "content_parts": Expected(),
    "comment_lines": Expected(),
    "odd_finish_reason": Expected(),
    "no_finish_reason": Expected(),
    "two_calls_index_zero": Expected(),
    "calls_without_numbers": Expected(),
    "no_arguments": Expected(arguments={}),
    "blank_arguments": Expected(arguments={}),
    "object_arguments": Expected(),
    "broken_arguments": Expected(arguments=json.dumps(ARGUMENTS)[: len(json.dumps(ARGUMENTS)) // 2]),
    "call_in_text": Expected(calls=[], reason="stop"),
    "call_beside_text": Expected(),
    "thinking_tags": Expected(),
    "thinking_reasoning_tags": Expected(),
    "thinking_without_end": Expected(text="", calls=[], reason="stop"),
    "thinking_without_beginning": Expected(),
    "thinking_field": Expected(),
    "cut_by_filter": Expected(text="Of course, I have a place", calls=[], reason="content_filter"),
    "cut_by_length": Expected(text="Of course, I have a place", calls=[], reason="length"),
    "empty_answer": Expected(text="", calls=[], reason="stop"),
}


@asynccontextmanager
async def asking(api: Api) -> AsyncIterator[tuple[RunningSandbox, OpenAILLMClient]]:
    async with running_sandbox(profile="instant") as sandbox:
        client = OpenAILLMClient(
            api_key="key", base_url=sandbox.openai_base_url, options=OpenAIOptions(api=api, max_output_tokens=400)
        )
        try:
            yield sandbox, client
        finally:
            await client.aclose()


@dataclass
class Received:
    """An answer as it came."""

    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    finished: ModelFinished | None = None


async def answer(client: OpenAILLMClient, messages: list[Message], call_id: str = "c1") -> Received:
    received = Received()
    async for event in client.stream_reply(messages, tools=TOOLS, call_id=call_id):
        match event:
            case TextDelta(text):
                received.text += text
            case TextRetracted():
                received.text = ""
            case ToolCall():
                received.calls.append(event)
            case ModelFinished():
                received.finished = event
    return received


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("kind", NAMED["openai"])
async def test_the_answer_is_what_it_would_be_without_the_fault_or_honestly_less(kind: str, api: Api) -> None:
    expected = EXPECTED[kind]
    async with asking(api) as (sandbox, client):
        sandbox.stage.call("c1").answer(SCRIPT)
        sandbox.stage.faults.add(Fault("openai", kind))
        messages = [Message("user", "Book me in")]
        if not isinstance(expected, Expected):
            with pytest.raises(expected):
                await answer(client, messages)
            assert client.get_metrics().failures == 0
            return
        received = await answer(client, messages)

        assert received.text.strip() == expected.text
        assert [call.name for call in received.calls] == expected.calls
        if expected.calls:
            arguments = received.calls[0].arguments
            assert (json.loads(arguments) if isinstance(expected.arguments, dict) else arguments) == expected.arguments
        assert received.finished is not None
        assert received.finished.reason == expected.reason
        assert received.finished.usage.prompt > 0, "a bill that cannot be read is estimated"
        assert client.get_metrics().failures == 0


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize(
    "kind", ["no_arguments", "blank_arguments", "object_arguments", "broken_arguments", "calls_without_numbers"]
)
async def test_a_server_that_refuses_unreadable_histories_takes_every_later_request(kind: str, api: Api) -> None:
    async with asking(api) as (sandbox, client):
        sandbox.stage.call("c1").answer(SCRIPT, Reply("Done."))
        sandbox.stage.faults.add(Fault("openai", kind))
        messages = [Message("user", "Book me in")]
        called = (await answer(client, messages)).calls
        sandbox.stage.faults.add(Fault("openai", "strict_history", times=None))
        for call in called:
            asked = {"id": call.id or "tool", "name": call.name, "arguments": call.arguments}
            messages.append(Message("assistant", "", metadata={"tool_calls": [asked]}))
            messages.append(Message("tool", "not run", metadata={"tool_call_id": asked["id"]}))
        assert (await answer(client, messages)).text == "Done."


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_a_history_that_no_one_can_read_is_refused_by_the_strict_server(api: Api) -> None:
    """What the test above would see if the service sent back what it was sent."""
    bad = {"function": {"name": "book", "arguments": "{"}}
    body = {
        "chat": {"messages": [{"role": "assistant", "tool_calls": [bad]}]},
        "responses": {"input": [{"type": "function_call", "name": "book", "arguments": "{"}]},
    }[api]
    path = "/chat/completions" if api == "chat" else "/responses"
    async with asking(api) as (sandbox, client):
        sandbox.stage.faults.add(Fault("openai", "strict_history"))
        connections = await client._connections.get()
        with pytest.raises(ProviderRejected):
            await connections.send(path, {"model": "gpt-6-luna", "stream": True} | body, {})


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_a_phrase_is_refused_only_where_it_is_said(api: Api) -> None:
    async with asking(api) as (sandbox, client):
        sandbox.stage.faults.add(Fault("openai", "refused_content", times=None, phrase="слово"))
        with pytest.raises(ContentRejected):
            await answer(client, [Message("user", "тайное слово")])
        assert (await answer(client, [Message("user", "Hello")])).text


async def test_what_is_unusual_is_told_once() -> None:
    with capture_logs() as logs:
        async with asking("chat") as (sandbox, client):
            for kind in ("odd_finish_reason", "call_in_text", "thinking_without_beginning"):
                sandbox.stage.faults.clear()
                sandbox.stage.faults.add(Fault("openai", kind, times=None))
                for turn in range(3):
                    sandbox.stage.call("c1").answer(SCRIPT)
                    await answer(client, [Message("user", f"Book me in {turn}")])
    assert [line["detail"] for line in logs if line["event"] == "model.unusual_answer"] == [
        "the finish reason is eos",
        "a tool call is written into the text, and not run",
        "thoughts without a beginning are in the text",
    ]


async def test_a_thought_without_a_beginning_delays_no_other_call() -> None:
    async with asking("chat") as (sandbox, client):
        sandbox.stage.faults.add(Fault("openai", "thinking_without_beginning", call_id="c1"))
        await answer(client, [Message("user", "Hello")], "c1")
        assert list(client._think_first) == ["c1"]
        for number in range(1100):
            client._think_first[f"call-{number}"] = None
        sandbox.stage.faults.add(Fault("openai", "thinking_without_beginning", call_id="c2"))
        await answer(client, [Message("user", "Hello")], "c2")
        assert "c1" not in client._think_first


async def test_a_model_that_thinks_first_is_waited_for_from_the_second_answer_on() -> None:
    async with asking("chat") as (sandbox, client):
        sandbox.stage.faults.add(Fault("openai", "thinking_without_beginning", times=2))
        retractions = []
        for turn in range(4):
            sandbox.stage.call("c1").answer(Reply(TEXT))
            messages = [Message("user", f"Hello {turn}")]
            events = [event async for event in client.stream_reply(messages, call_id="c1")]
            retractions.append(sum(isinstance(event, TextRetracted) for event in events))
            last = max((place for place, event in enumerate(events) if isinstance(event, TextRetracted)), default=-1)
            assert "".join(event.text for event in events[last + 1 :] if isinstance(event, TextDelta)) == TEXT
        assert retractions == [1, 0, 0, 0]
        assert not client._think_first, "its answers begin without a thought again"
