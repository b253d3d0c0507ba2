"""Tools over HTTP, asked at a real endpoint."""

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.clients.http_tools import (
    ANSWER_BYTES_MAX,
    HttpEndpoint,
    HttpToolClient,
    HttpToolClients,
    Method,
    ToolAnswer,
    tool_connections,
    url_problem,
)
from app.clients.resilient import NoObserver, RetryPolicy
from app.errors import (
    BreakerOpen,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from tests.clients.test_resilient import Ledger
from tests.support.tool_endpoint import Says, ToolEndpoint, tool_endpoint

QUICK = RetryPolicy(attempts=3, initial_seconds=0.01, max_seconds=0.02, jitter_seconds=0.0)
SECRET = "Bearer s3cret"
SAID = "Иван Петров"
DAY = {"day": "2026-11-26", "patient": SAID}
CUT = Says(cuts=True)


@asynccontextmanager
async def a_tool(
    server: ToolEndpoint, method: Method = "POST", *, path: str = "/visits", seconds: float = 5.0, **more: Any
) -> AsyncIterator[HttpToolClient]:
    headers = {"Authorization": SecretStr(SECRET)}
    endpoint = HttpEndpoint("book_visit", method, server.url + path, headers, seconds)
    async with tool_connections() as connections:
        yield HttpToolClient(endpoint, connections, retry=QUICK, **more)


async def ask(tool: HttpToolClient, arguments: dict[str, Any] = DAY, *, key: str = "tool-1") -> ToolAnswer:
    return await tool.call(arguments, call_id="call-1", tool_call_id=key)


async def refusal(server: ToolEndpoint, method: Method = "POST", **options: Any) -> ProviderError:
    async with a_tool(server, method, **options) as tool:
        with pytest.raises(ProviderError) as caught:
            await ask(tool)
    return caught.value


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_arguments_are_a_json_body(method: Method) -> None:
    async with tool_endpoint(Says('{"number": 7}')) as server, a_tool(server, method) as tool:
        answer = await ask(tool)

    assert answer == ToolAnswer(200, '{"number": 7}')
    assert answer.ok
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.query) == (method, "/visits", [])
    assert json.loads(asked.body) == DAY
    assert asked.headers["content-type"] == "application/json"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_arguments_of_a_question_are_its_query_beside_what_the_address_has(method: Method) -> None:
    arguments = {"day": "a&b=c/../?", "who": ["x", 2], "whole": True, "none": None, "where": {"room": 1}}
    async with tool_endpoint() as server, a_tool(server, method, path="/times?branch=3") as tool:
        await ask(tool, arguments)

    (asked,) = server.asked
    assert (asked.method, asked.path, asked.body) == (method, "/times", "")
    expected = [("branch", "3"), ("day", "a&b=c/../?"), ("who", "x"), ("who", "2"), ("whole", "true")]
    assert asked.query == [*expected, ("where", '{"room": 1}')]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_the_address_fixes_stays_whatever_the_model_makes_up(method: Method) -> None:
    arguments = {"branch": 8, "Branch": 9, "branch[]": [1], "day": "x"}
    async with tool_endpoint() as server, a_tool(server, method, path="/times?branch=3") as tool:
        await ask(tool, arguments)

    (asked,) = server.asked
    assert asked.query == [("branch", "3"), ("day", "x")][: 2 if method == "GET" else 1]
    assert asked.body == ("" if method == "GET" else '{"day":"x"}')


async def test_an_endpoint_can_tell_the_call_and_a_repetition() -> None:
    async with tool_endpoint() as server, a_tool(server) as tool:
        await ask(tool)

    (asked,) = server.asked
    assert asked.headers["x-call-id"] == "call-1"
    assert asked.headers["idempotency-key"] == "call-1:tool-1"
    assert asked.headers["authorization"] == SECRET
    assert asked.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("status", [400, 404, 409, 422])
async def test_a_no_is_an_answer(status: int) -> None:
    async with tool_endpoint(Says("not on Sundays", status)) as server, a_tool(server) as tool:
        answer = await ask(tool)
        health = await tool.health_check()

    assert answer == ToolAnswer(status, "not on Sundays")
    assert not answer.ok
    assert health.status == "ok"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Says("trouble", 500), ProviderUnavailable),
        (CUT, ProviderUnavailable),
        (Says("slow down", 429, {"retry-after": "7"}), ProviderRateLimited),
        (Says("who are you?", 401), ProviderRejected),
        (Says("", 302, {"location": "/elsewhere"}), ProviderRejected),
        (Says("x" * (ANSWER_BYTES_MAX + 1)), ProviderProtocolError),
        (Says(gzip.compress(b"x" * 10**6), headers={"content-encoding": "gzip"}), ProviderProtocolError),
    ],
)
async def test_trouble_is_told_in_the_words_of_the_service(answer: Says, error: type[ProviderError]) -> None:
    async with tool_endpoint(answer) as server:
        raised = await refusal(server)

    assert type(raised) is error
    assert len(server.asked) == 1, "what is not known to be harmless is sent once"
    assert raised.__cause__ is None
    assert SAID not in str(raised)


async def test_nobody_at_the_address_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = ToolEndpoint()
        server.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    assert type(await refusal(server)) is ProviderUnavailable


async def test_the_longest_answer_is_taken() -> None:
    async with tool_endpoint(Says("x" * ANSWER_BYTES_MAX)) as server, a_tool(server) as tool:
        assert len((await ask(tool)).text) == ANSWER_BYTES_MAX


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", "да".encode()),
        ("text/plain; charset=windows-1251", "да".encode("cp1251")),
        ("text/plain; charset=nonsense", "да".encode()),
        ("text/plain; charset=idna", "да".encode()),
        ("text/plain; charset=undefined", "да".encode()),
    ],
)
async def test_an_answer_is_read_as_it_is_written(content_type: str, body: bytes) -> None:
    async with tool_endpoint(Says(body, headers={"content-type": content_type})) as server, a_tool(server) as tool:
        assert (await ask(tool)).text == "да"


async def test_half_a_character_is_none() -> None:
    said = Says(b"a\\ud800b", headers={"content-type": "text/plain; charset=unicode_escape"})
    async with tool_endpoint(said) as server, a_tool(server) as tool:
        assert (await ask(tool)).text == "a?b"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_what_is_harmless_is_asked_again(method: Method) -> None:
    async with tool_endpoint(Says("", 503), CUT, Says("here")) as server, a_tool(server, method) as tool:
        answer = await ask(tool)

    assert answer.text == "here"
    assert [asked.headers["idempotency-key"] for asked in server.asked] == ["call-1:tool-1"] * 3


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_late_answer_is_given_up_at_the_deadline(method: Method) -> None:
    async with tool_endpoint(Says(after=2.0)) as server:
        began = asyncio.get_running_loop().time()
        raised = await refusal(server, method, seconds=0.2)
        took = asyncio.get_running_loop().time() - began
        assert len(server.asked) == 1

    assert type(raised) is ProviderTimeout
    assert 0.2 <= took < 1.5


async def test_the_deadline_is_one_for_all_attempts() -> None:
    async with tool_endpoint(Says("", 503, after=0.15)) as server:
        raised = await refusal(server, "GET", seconds=0.2)

    assert type(raised) is ProviderTimeout
    assert len(server.asked) == 2


async def test_a_tool_that_always_fails_is_spared_and_others_are_not() -> None:
    async with tool_endpoint(Says("", 500)) as server, a_tool(server) as tool:
        other = HttpToolClient(replace(tool.endpoint, name="other", url=f"{server.url}/other"), tool._connections)
        for _ in range(5):
            with pytest.raises(ProviderUnavailable):
                await ask(tool)
        with pytest.raises(BreakerOpen):
            await ask(tool)
        server.answers = [Says("here")]
        assert (await ask(other)).text == "here"

    assert len(server.asked) == 6


async def test_calls_do_not_know_of_each_other() -> None:
    async with tool_endpoint(Says(headers={"set-cookie": "caller=first; Path=/"})) as server, a_tool(server) as tool:
        await ask(tool)
        await ask(tool)

    assert "cookie" not in server.asked[1].headers


async def test_no_log_line_holds_what_was_said_or_a_secret() -> None:
    ledger = Ledger()
    with capture_logs() as lines:
        async with tool_endpoint(Says(SAID, 500), Says(SAID)) as server, a_tool(server, observer=ledger) as tool:
            with pytest.raises(ProviderUnavailable):
                await ask(tool)
            await ask(tool)

    assert ledger.attempts == [
        ("tools", "book_visit", "provider_unavailable"),
        ("tools", "book_visit", "ok"),
    ]
    assert lines
    assert SAID not in repr(lines)
    assert SECRET not in repr(lines)
    assert SECRET not in repr(tool.endpoint)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://example.org/a?b=c", None),
        ("http://localhost:8080", None),
        ("example.org", "not an address"),
        ("ftp://example.org", "not an address"),
        ("https://", "not an address"),
        ("https://exa mple.org", "not an address"),
        ("https://example.org:port", "not an address"),
        ("file:///etc/passwd", "not an address"),
        ("https://user:word@example.org", "password"),
        ("https://example.org/#part", "fragment"),
    ],
)
def test_an_address_is_one_or_it_is_said_why_not(url: str, problem: str | None) -> None:
    found = url_problem(url)

    assert found is None if problem is None else problem in (found or "")


# --- the clients of all agents ---------------------------------------------------------------------------------------


async def test_agents_with_the_same_endpoint_share_its_client_and_others_have_their_own() -> None:
    async with tool_endpoint() as server:
        tools = HttpToolClients(retry=QUICK, observer=NoObserver())
        assert tools.names == []
        mine, same, others = (
            HttpEndpoint("book_visit", "POST", server.url + path, {"Authorization": SecretStr(secret)})
            for path, secret in (("/visits", SECRET), ("/visits", SECRET), ("/visits", "another"))
        )

        assert tools.client(mine) is tools.client(same)
        assert tools.client(mine) is not tools.client(others)
        assert (await ask(tools.client(mine))).ok
        assert tools.names == ["book_visit"]
        await tools.aclose()


async def test_tools_of_one_name_are_as_well_as_the_worst_of_them() -> None:
    async with tool_endpoint() as server:
        tools = HttpToolClients(retry=QUICK, observer=NoObserver())
        well = tools.client(HttpEndpoint("book_visit", "POST", server.url + "/visits"))
        away = tools.client(HttpEndpoint("book_visit", "POST", "http://127.0.0.1:9/visits"))
        await ask(well)
        assert (await tools.health_check("book_visit")).status == "ok"

        with pytest.raises(ProviderError):
            await ask(away)
        assert (await tools.health_check("book_visit")).status == "degraded"
        assert (await well.health_check()).status == "ok"

        tools.keep_only([well.endpoint])
        assert tools.client(well.endpoint) is well
        assert (await tools.health_check("book_visit")).status == "ok"
        tools.keep_only([])
        assert (await tools.health_check("book_visit")).status == "ok"
        await tools.aclose()
