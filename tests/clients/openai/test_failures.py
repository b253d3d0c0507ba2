import asyncio
import logging

import pytest
from structlog.testing import capture_logs

from app.clients.openai.client import OpenAIOptions
from app.errors import (
    BreakerOpen,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    Throttled,
)
from tests.clients.openai.server import (
    Api,
    Cut,
    Hang,
    Refuse,
    Script,
    Step,
    answer,
    client_of,
    event,
    first_words,
    reply_of,
    running,
)

BOTH = pytest.mark.parametrize("api", ["chat", "responses"])
USED_UP = {"limit": "30000", "remaining": "0", "reset": "30s"}
QUICK = OpenAIOptions(first_token_seconds=0.1, token_gap_seconds=0.1)


async def failure_of(script: Script, api: Api = "responses", options: OpenAIOptions | None = None) -> ProviderError:
    """The error that a reply ends with."""
    async with running(script) as server, client_of(server, api, options) as client:
        with pytest.raises(ProviderError) as caught:
            await reply_of(client)
    return caught.value


@pytest.mark.parametrize(
    ("given", "kept"), [("req-7.a:b", "req-7.a:b"), ("what a caller said", None), ("x" * 5000, None)]
)
async def test_a_request_id_that_is_none_is_not_kept(given: str, kept: str | None) -> None:
    error = await failure_of(Refuse(500, {"message": "no"}, {"x-request-id": given}))
    assert error.request_id == kept


@BOTH
@pytest.mark.parametrize("before", ["nothing", "only the frame of the answer"])
async def test_no_first_token_before_the_deadline_is_a_timeout(api: Api, before: str) -> None:
    script: list[Step] = [*answer(api, "Hi")[: 0 if before == "nothing" else 1], Hang()]
    error = await failure_of(script, api, QUICK)
    assert isinstance(error, ProviderTimeout)
    assert "no first token" in str(error)


@BOTH
async def test_a_stall_amid_the_answer_is_a_timeout(api: Api) -> None:
    error = await failure_of([*first_words(api), Hang()], api, QUICK)
    assert isinstance(error, ProviderTimeout)
    assert "no next token" in str(error)


async def test_comments_that_keep_the_connection_alive_are_no_tokens() -> None:
    beats = [b": keep-alive\n\n"] * 5
    error = await failure_of([*beats, Hang()], "responses", QUICK)
    assert isinstance(error, ProviderTimeout)


@BOTH
async def test_a_connection_cut_amid_the_answer_is_unavailable(api: Api) -> None:
    assert isinstance(await failure_of([*first_words(api), Cut()], api), ProviderUnavailable)


@BOTH
async def test_a_body_that_ends_before_the_answer_does_is_unavailable(api: Api) -> None:
    assert isinstance(await failure_of(first_words(api), api), ProviderUnavailable)


@BOTH
@pytest.mark.parametrize(
    "garbage",
    [
        b"data: {half\n\n",
        b"data: [1]\n\n",
        b'data: {"choices": 7, "type": 7, "delta": 3}\n\n',
        b"\xff\xfe\x00",
        b"<html>",
    ],
)
async def test_garbage_is_a_protocol_error_and_is_not_quoted(api: Api, garbage: bytes) -> None:
    if garbage.startswith(b'data: {"choices"') and api == "responses":
        garbage = b'data: {"type": "response.output_text.delta", "delta": 3}\n\n'
    error = await failure_of([garbage], api)
    assert isinstance(error, ProviderProtocolError)
    assert "half" not in str(error)
    assert error.__cause__ is None


@BOTH
async def test_an_error_inside_the_stream_is_told_by_its_code(api: Api) -> None:
    def reported(code: str | None) -> list[bytes]:
        error = {"message": "your text: секретное слово", "type": "some_type", "code": code, "param": None}
        return [*first_words(api), event({"error": error} if api == "chat" else error | {"type": "error"})]

    assert isinstance(await failure_of(reported("rate_limit_exceeded"), api), ProviderRateLimited)
    assert isinstance(await failure_of(reported("server_error"), api), ProviderUnavailable)
    assert isinstance(await failure_of(reported("invalid_prompt"), api), ProviderRejected)
    error = await failure_of(reported("insufficient_quota"), api)
    assert isinstance(error, ProviderRejected)
    assert "секретное" not in str(error)
    assert error.request_id == "req_1"


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422])
async def test_a_refusal_is_final_and_names_status_and_code(status: int) -> None:
    error = await failure_of(Refuse(status, {"message": "секретное слово", "code": "some_code"}))
    assert isinstance(error, ProviderRejected)
    assert (error.status, error.request_id) == (status, "req_1")
    assert f"HTTP {status} some_code" in str(error)
    assert "секретное" not in str(error)


async def test_a_region_that_is_not_served_is_said_to_be_one() -> None:
    error = await failure_of(Refuse(403, {"message": "x", "code": "unsupported_country_region_territory"}))
    assert isinstance(error, ProviderRejected)
    assert "region" in str(error)


async def test_429_carries_the_wished_wait_and_no_credit_is_final() -> None:
    limited = await failure_of(Refuse(429, {"code": "rate_limit_exceeded"}, {"Retry-After": "7"}))
    assert isinstance(limited, ProviderRateLimited)
    assert limited.retry_after == 7.0
    assert isinstance(await failure_of(Refuse(429, {"code": "insufficient_quota"})), ProviderRejected)
    assert isinstance(await failure_of(Refuse(429, "not an object", {"Retry-After": "soon"})), ProviderRateLimited)


async def test_after_429_the_breaker_is_open_for_the_wished_time() -> None:
    async with running(Refuse(429, {}, {"Retry-After": "30"})) as server, client_of(server) as client:
        with pytest.raises(ProviderRateLimited):
            await reply_of(client)
        with pytest.raises(BreakerOpen):
            await reply_of(client)
        assert len(server.posts) == 1


async def test_a_short_429_is_waited_for_and_opens_no_breaker() -> None:
    loop = asyncio.get_running_loop()
    limited = Refuse(429, {}, {"Retry-After": "20", "Retry-After-Ms": "300"})
    async with running(limited, answer("chat", "Hi")) as server, client_of(server, "chat") as client:
        with pytest.raises(ProviderRateLimited):
            await reply_of(client)
        began = loop.time()
        assert "Hi" in str(await reply_of(client))
        assert 0.25 <= loop.time() - began < 0.6
        assert (await client.health_check()).breaker == "closed"


async def test_the_allowance_in_the_headers_is_kept() -> None:
    async with running(answer("chat", "Hi")) as server, client_of(server, "chat") as client:
        server.headers = {f"x-ratelimit-{name}-tokens": value for name, value in USED_UP.items()}
        assert "Hi" in str(await reply_of(client))
        with pytest.raises(Throttled) as refused:
            await reply_of(client)
        assert refused.value.retry_after == pytest.approx(30, abs=5)
        assert len(server.posts) == 1


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with running(answer("chat", "Hi")) as server:
        pass
    async with client_of(server) as client:
        with pytest.raises(ProviderUnavailable):
            await reply_of(client)


async def test_warming_up_passes_without_a_list_of_models_and_fails_without_a_server() -> None:
    async with running(answer("chat", "Hi"), models=Refuse(404)) as server, client_of(server) as client:
        await client.warm_up()
    async with client_of(server) as gone:
        with pytest.raises(ProviderUnavailable):
            await gone.warm_up()


async def test_warming_up_with_a_wrong_key_says_so() -> None:
    refusal = Refuse(401, {"code": "invalid_api_key"})
    async with running(answer("chat", "Hi"), models=refusal) as server, client_of(server) as client:
        with pytest.raises(ProviderRejected, match="HTTP 401 invalid_api_key"):
            await client.warm_up()


@BOTH
async def test_no_word_and_no_key_reaches_a_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    refusal = Refuse(400, {"message": "your text: секретное слово", "code": "секретное"})
    secret_answer = answer(api, "тайный ", "ответ")
    with capture_logs() as logs:
        broken = [b'data: {"x": "\xd1\x82"\n\n']
        async with running(refusal, secret_answer, broken) as server, client_of(server, api) as client:
            for _ in range(3):
                try:
                    await reply_of(client, call_id="call-1")
                except ProviderError as error:
                    logs.append({"event": "raised", "error": repr(error)})
    everything = repr(logs) + caplog.text
    assert "model.finished" in everything
    for word in ("секретное", "тайный", "ответ", "sk-test", "brief"):
        assert word not in everything
