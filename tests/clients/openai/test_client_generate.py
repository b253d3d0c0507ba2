"""Answers for which no caller waits, by a schema."""

import pytest

from app.clients.prices import DEFAULT_PRICES
from app.errors import ContentRejected, ProviderError, ProviderUnavailable
from app.models import TokenUsage
from app.ports.vendors import GeneratedText
from tests.clients.openai.server import (
    DIALOGUE,
    Api,
    Refuse,
    answer,
    chat_chunk,
    client_of,
    event,
    responses_event,
    running,
)

BOTH = pytest.mark.parametrize("api", ["chat", "responses"])
SCHEMA = {"type": "object", "properties": {"summary": {"type": "string"}}}
ANSWER = '{"summary": "a <tool_call> b"}'


@BOTH
async def test_the_json_comes_whole_and_with_its_price(api: Api) -> None:
    async with running(answer(api, ANSWER[:9], ANSWER[9:])) as server, client_of(server, api) as client:
        generated = await client.generate(DIALOGUE, schema=SCHEMA, call_id="call-7")
    cost = DEFAULT_PRICES.llm_cost("gpt-6-luna", TokenUsage(1500, 1000, 12))
    assert generated == GeneratedText(ANSWER, TokenUsage(1500, 1000, 12, cost), "gpt-6-luna")

    [post] = server.posts
    written = {"name": "answer", "schema": SCHEMA, "strict": True}
    if api == "chat":
        assert post.body["response_format"] == {"type": "json_schema", "json_schema": written}
    else:
        assert post.body["text"] == {"verbosity": "low", "format": {"type": "json_schema", **written}}
    assert post.headers["x-call-id"] == "call-7"
    assert "tools" not in post.body


@BOTH
async def test_a_request_that_fails_is_made_again(api: Api) -> None:
    async with running(Refuse(503), answer(api, ANSWER)) as server, client_of(server, api) as client:
        assert (await client.generate(DIALOGUE, schema=SCHEMA)).text == ANSWER
    async with running(Refuse(503)) as server, client_of(server, api) as client:
        with pytest.raises(ProviderUnavailable):
            await client.generate(DIALOGUE, schema=SCHEMA)


async def test_a_model_that_refuses_is_not_asked_again() -> None:
    chat = [
        chat_chunk({"role": "assistant", "refusal": "I cannot"}),
        chat_chunk({}, "stop"),
        b"data: [DONE]\n\n",
    ]
    responses = [
        responses_event("response.refusal.delta", delta="I cannot"),
        event({"type": "response.completed", "response": {"output": []}}, "response.completed"),
    ]
    filtered = [chat_chunk({"content": "{"}), chat_chunk({}, "content_filter"), b"data: [DONE]\n\n"]
    scripts: list[tuple[Api, list[bytes]]] = [("chat", chat), ("responses", responses), ("chat", filtered)]
    for api, script in scripts:
        async with running(script) as server, client_of(server, api) as client:
            with pytest.raises(ContentRejected):
                await client.generate(DIALOGUE, schema=SCHEMA)
            assert len(server.posts) == 1


@BOTH
async def test_a_schema_that_the_server_does_not_take_is_an_error_of_the_vendor(api: Api) -> None:
    refused = Refuse(400, {"message": "Invalid schema", "code": "invalid_json_schema"})
    async with running(refused) as server, client_of(server, api) as client:
        with pytest.raises(ProviderError):
            await client.generate(DIALOGUE, schema=SCHEMA)
        assert len(server.posts) == 1
