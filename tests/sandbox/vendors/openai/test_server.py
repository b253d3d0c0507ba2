"""The stand-in for OpenAI, as OpenAI's own SDK sees it."""

import asyncio
import json
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from sandbox.running import RunningSandbox, running_sandbox
from sandbox.vendors.faults import Fault
from sandbox.vendors.openai.answer import PromptCache
from sandbox.vendors.stage import Reply, ScriptedToolCall

MODEL = "gpt-6-luna"
PARAMETERS = {"type": "object", "properties": {"time": {"type": "string"}}, "required": ["time"]}
BOOK = {"type": "function", "function": {"name": "book", "parameters": PARAMETERS}}
END_CALL = {"type": "function", "function": {"name": "end_call", "parameters": {}}}
BOOKING = Reply("Записываю.", (ScriptedToolCall("book", {"time": "десять утра"}),))


def client(sandbox: RunningSandbox, key: str = "key", **options: Any) -> AsyncOpenAI:
    return AsyncOpenAI(api_key=key, base_url=sandbox.openai_base_url, max_retries=0, **options)


def said(text: str) -> list[Any]:
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


async def chat(sdk: AsyncOpenAI, text: str = "hello", **options: Any) -> list[Any]:
    stream = await sdk.chat.completions.create(
        model=MODEL, messages=said(text), stream=True, reasoning_effort="none", **options
    )
    return [chunk async for chunk in stream]


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


async def test_chat_streams_words_a_finish_and_what_it_cost() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        chunks = await chat(sdk, "Сколько стоит приём у врача?", stream_options={"include_usage": True})
        assert text_of(chunks).startswith("Первичный приём стоит")
        assert len(chunks) > 10
        assert chunks[0].choices[0].delta.role == "assistant"
        assert chunks[-2].choices[0].finish_reason == "stop"
        assert chunks[-1].choices == []
        assert {chunk.usage for chunk in chunks[:-1]} == {None}
        usage = chunks[-1].usage
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
        assert usage.completion_tokens == len(chunks) - 3


async def test_without_being_asked_chat_does_not_tell_the_cost() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        assert all(chunk.choices for chunk in await chat(sdk))


async def test_chat_calls_a_tool_with_arguments_in_fragments() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        sandbox.stage.call("c1").answer(BOOKING)
        chunks = await chat(sdk, tools=[BOOK], extra_body={"metadata": {"call_id": "c1"}})
        deltas = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
        assert text_of(chunks) == "Записываю."
        assert (deltas[0].function.name, deltas[0].function.arguments) == ("book", "")
        assert {delta.id for delta in deltas[1:]} == {None}
        fragments = [delta.function.arguments for delta in deltas[1:]]
        assert json.loads("".join(fragments)) == {"time": "десять утра"}
        with pytest.raises(ValueError, match="line 1"):
            json.loads(fragments[0])
        assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_chat_answers_whole_when_it_is_not_streamed() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        sandbox.stage.call("c1").answer(BOOKING)
        whole = await sdk.chat.completions.create(
            model=MODEL, messages=said("hello"), extra_headers={"X-Call-ID": "c1"}
        )
        assert whole.choices[0].message.content == "Записываю."
        assert whole.choices[0].message.tool_calls
        assert whole.usage


async def test_an_answer_ends_where_the_budget_does() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        chunks = await chat(sdk, max_completion_tokens=3)
        assert text_of(chunks) == "Hello! This is"
        assert chunks[-1].choices[0].finish_reason == "length"
        response = await sdk.responses.create(model=MODEL, input="hello", max_output_tokens=3)
        assert response.status == "incomplete"
        assert response.incomplete_details
        assert response.incomplete_details.reason == "max_output_tokens"


async def test_responses_stream_the_documented_events_in_order() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        sandbox.stage.call("c1").answer(BOOKING)
        tool: Any = {"type": "function", "name": "book", "parameters": PARAMETERS, "strict": False}
        stream = await sdk.responses.create(
            model=MODEL, instructions="Be brief.", input="hello", stream=True, tools=[tool], metadata={"call_id": "c1"}
        )
        events: list[Any] = [event async for event in stream]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        kinds = [event.type.removeprefix("response.") for event in events]
        collapsed = [kind for kind, before in zip(kinds, ["", *kinds], strict=False) if kind != before]
        assert collapsed == [
            "created", "in_progress",
            "output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done",
            "output_item.done",
            "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
            "completed",
        ]  # fmt: skip
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert "".join(deltas) == "Записываю."
        finished = events[-1].response
        assert finished.output_text == "Записываю."
        assert json.loads(finished.output[1].arguments) == {"time": "десять утра"}
        assert finished.usage.total_tokens == finished.usage.input_tokens + finished.usage.output_tokens


async def test_responses_answer_whole_when_they_are_not_streamed() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        whole = await sdk.responses.create(model=MODEL, input=[{"role": "user", "content": "Спасибо"}])
        assert whole.output_text == "Пожалуйста! Могу ли я ещё чем-нибудь помочь?"
        assert whole.status == "completed"


async def test_a_caller_without_a_script_gets_a_receptionist() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        for heard, expected in (
            ("Здравствуйте!", "Здравствуйте!"),
            ("До скольки вы работаете?", "Мы работаем каждый день"),
            ("How much is it?", "A first visit costs"),
            ("What a strange day", "I see."),
        ):
            assert text_of(await chat(sdk, heard)).startswith(expected)


async def test_a_goodbye_ends_the_call_where_that_is_offered() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        for tools, finish in (([END_CALL], "tool_calls"), ([BOOK], "stop")):
            chunks = await chat(sdk, "Всё, до свидания", tools=tools)
            assert text_of(chunks) == "Спасибо за звонок. До свидания!"
            assert chunks[-1].choices[0].finish_reason == finish


async def test_a_prompt_that_begins_like_an_earlier_one_is_cached() -> None:
    cache = PromptCache()
    prompt = [{"role": "system", "content": "a" * 7000}, {"role": "user", "content": "hello"}]
    assert cache.cached_tokens(prompt, {}) == 0
    again = cache.cached_tokens([*prompt, {"role": "user", "content": "more"}], {})
    assert again >= 1920
    assert again % 128 == 0
    assert cache.cached_tokens(prompt, {"tool": {}}) == 0
    assert cache.cached_tokens([{"role": "system", "content": "b"}] * 2, {}) == 0


async def test_a_scripted_error_and_a_scripted_delay_are_obeyed() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        error = Reply(error={"status": 500, "code": "server_error", "message": "boom"})
        sandbox.stage.call("c1").answer(error, Reply("Да.", delay=0.1))
        with pytest.raises(openai.InternalServerError, match="boom"):
            await chat(sdk, extra_headers={"X-Call-ID": "c1"})
        await chat(sdk, extra_headers={"X-Call-ID": "c1"})
        timings = {timing["event"]: timing for timing in sandbox.stage.call("c1").timings}
        first = timings["first_delta"]
        assert round(first["at"] - first["requested_at"], 6) >= 0.1
        assert timings["done"]["chars"] == len("Да.")


async def test_who_asks_again_when_the_caller_went_on_gets_the_same_answer() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        sandbox.stage.call("c1").answer(Reply("Раз."), Reply("Два."), Reply("Три."))
        heard = [
            text_of(await chat(sdk, text, extra_headers={"X-Call-ID": "c1"})) for text in ("А", "А вот", "А вот", "Б")
        ]
        assert heard == ["Раз.", "Раз.", "Два.", "Три."]


async def test_an_answer_that_a_fault_broke_off_is_given_to_who_asks_again() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        sandbox.stage.call("c1").answer(Reply("Раз."), Reply("Два."))
        sandbox.stage.faults.add(Fault("openai", "cut"))
        with pytest.raises(openai.APIConnectionError):
            await chat(sdk, extra_headers={"X-Call-ID": "c1"})
        assert text_of(await chat(sdk, extra_headers={"X-Call-ID": "c1"})) == "Раз."


async def test_bad_requests_get_openais_errors() -> None:
    async with (
        running_sandbox() as sandbox,
        client(sandbox) as sdk,
        client(sandbox, default_headers={"Authorization": "none"}) as stranger,
    ):
        with pytest.raises(openai.AuthenticationError):
            await stranger.models.list()
        with pytest.raises(openai.BadRequestError, match="reasoning_effort"):
            await sdk.chat.completions.create(model=MODEL, messages=said("hello"), tools=[BOOK])  # type: ignore[list-item]
        with pytest.raises(openai.BadRequestError, match="messages"):
            await sdk.chat.completions.create(model=MODEL, messages=[])
        with pytest.raises(openai.NotFoundError) as missing:
            await sdk.responses.create(model="no-such-model", input="hello")
        assert missing.value.code == "model_not_found"
        assert missing.value.request_id
        assert MODEL in [model.id async for model in sdk.models.list()]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("refuse", openai.InternalServerError),
        ("unauthorized", openai.AuthenticationError),
        ("rate_limit", openai.RateLimitError),
        ("hang", openai.APITimeoutError),
        ("stall", openai.APITimeoutError),
        ("cut", openai.APIConnectionError),
        ("error_event", openai.APIError),
        ("garbage", json.JSONDecodeError),
    ],
)
async def test_a_fault_breaks_a_stream_in_its_own_way(kind: Any, error: type[Exception]) -> None:
    patience = 0.1 if error is openai.APITimeoutError else 5.0
    async with running_sandbox() as sandbox, client(sandbox, timeout=patience) as sdk:
        for ask in (chat, respond):
            if (kind, ask) == ("error_event", respond):
                continue  # an event like others, below
            sandbox.stage.faults.add(Fault("openai", kind, retry_after=3))
            with pytest.raises(error) as broken:
                await ask(sdk)
            if isinstance(broken.value, openai.RateLimitError):
                assert broken.value.response.headers["retry-after"] == "3"
                assert broken.value.code == "rate_limit_exceeded"
            assert await ask(sdk.with_options(timeout=5.0))


async def test_an_error_in_a_stream_of_responses_is_its_last_event() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        sandbox.stage.faults.add(Fault("openai", "error_event", after_items=3))
        events = await respond(sdk)
        assert [event.type for event in events][2:] == ["response.output_item.added", "error"]


async def respond(sdk: AsyncOpenAI) -> list[Any]:
    return [event async for event in await sdk.responses.create(model=MODEL, input="hello", stream=True)]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("stall", openai.APITimeoutError),
        ("cut", openai.APIConnectionError),
        ("error_event", openai.InternalServerError),
    ],
)
async def test_a_fault_strikes_a_whole_answer_too(kind: Any, error: type[Exception]) -> None:
    patience = 0.1 if error is openai.APITimeoutError else 5.0
    async with running_sandbox() as sandbox, client(sandbox, timeout=patience) as sdk:
        sandbox.stage.faults.add(Fault("openai", kind))
        with pytest.raises(error):
            await sdk.chat.completions.create(model=MODEL, messages=said("hello"))


async def test_a_slow_stream_drips() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        sandbox.stage.faults.add(Fault("openai", "slow", seconds_per_item=0.01))
        loop = asyncio.get_running_loop()
        began = loop.time()
        chunks = await chat(sdk)
        assert loop.time() - began >= 0.01 * len(chunks)


async def test_a_fault_can_be_for_one_model_one_route_or_one_call() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        for narrow in ({"model": "gpt-4o"}, {"route": "responses"}, {"call_id": "c9"}):
            sandbox.stage.faults.add(Fault("openai", "refuse", **narrow))  # type: ignore[arg-type]
        assert await chat(sdk)
        assert len(sandbox.stage.faults.listed()) == 3
        with pytest.raises(openai.InternalServerError):
            await respond(sdk)
        with pytest.raises(openai.InternalServerError):
            await chat(sdk, extra_headers={"X-Call-ID": "c9"})
        assert len(sandbox.stage.faults.listed()) == 1


async def test_a_lasting_outage_takes_the_list_of_models_with_it_and_a_passing_one_does_not() -> None:
    async with running_sandbox() as sandbox, client(sandbox) as sdk:
        sandbox.stage.faults.add(Fault("openai", "refuse", times=1))
        assert (await sdk.models.list()).data
        sandbox.stage.faults.add(Fault("openai", "refuse", times=None))
        with pytest.raises(openai.InternalServerError):
            await sdk.models.list()


async def test_leaving_in_the_middle_of_an_answer_leaves_nothing_behind() -> None:
    async with running_sandbox(profile="slow") as sandbox, client(sandbox) as sdk:
        sandbox.stage.call("c1").answer(Reply("слово " * 200, delay=0))
        stream = await sdk.chat.completions.create(
            model=MODEL, messages=said("hello"), stream=True, extra_headers={"X-Call-ID": "c1"}
        )
        async for _ in stream:
            break
        await stream.close()
    assert [timing["event"] for timing in sandbox.stage.call("c1").timings if timing["event"] == "done"] == []
