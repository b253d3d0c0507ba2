"""Tools of real MCP servers: listed, called, and what comes of servers that fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.clients.http_tools import HttpEndpoint, RequestValues, ToolAnswer
from app.clients.mcp_tools import ListedTool, McpServerClient, McpServers, checked
from app.clients.resilient import NoObserver, RetryPolicy
from app.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from tests.support.mcp_endpoint import McpEndpoint, mcp_endpoint

LEAPING_TIME = True

TOKEN = "secret-of-the-schedule"
OLDER = ("2025-03-26", "2025-06-18", "2025-11-25")
"""The versions with a handshake that streamable HTTP has."""


@asynccontextmanager
async def a_server(
    *, seconds: float = 5.0, stateless: bool = False, speaks: str | None = None
) -> AsyncIterator[tuple[McpEndpoint, McpServerClient]]:
    servers = McpServers(version="1.2", retry=RetryPolicy(), observer=NoObserver())
    async with mcp_endpoint(stateless=stateless, speaks=speaks) as endpoint:
        headers = {"Authorization": SecretStr(f"Bearer {TOKEN}")}
        client = servers.client(HttpEndpoint("schedule", "POST", endpoint.url, headers, seconds))
        try:
            await client.refresh()
            yield endpoint, client
        finally:
            await servers.aclose()


async def call(client: McpServerClient, name: str, values: RequestValues | None = None, **arguments: Any) -> ToolAnswer:
    [tool] = [tool for tool in client.tools or () if tool.name == name]
    return await client.call(
        tool, arguments, call_id="call_1", tool_call_id="t1", values=values if values is not None else RequestValues()
    )


@pytest.mark.parametrize("speaks", [None, *OLDER])
@pytest.mark.parametrize("stateless", [False, True])
async def test_tools_are_listed_with_what_they_say_of_themselves_and_called(
    stateless: bool, speaks: str | None
) -> None:
    async with a_server(stateless=stateless, speaks=speaks) as (endpoint, client):
        listed = {tool.name: tool for tool in client.tools or ()}
        answers = [await call(client, "find_times", day="Friday"), await call(client, "book", day="Friday")]

    assert listed["find_times"].description == "Free times of a day."
    assert listed["find_times"].parameters["required"] == ["day"]
    hints = {name: (tool.is_read_only, tool.is_idempotent) for name, tool in listed.items()}
    assert hints["find_times"] == (True, False)
    assert hints["cancel"] == (False, True)
    assert hints["book"] == (False, False)
    assert [(answer.ok, answer.text) for answer in answers] == [(True, "On Friday: ten, eleven"), (True, "booked")]
    assert endpoint.called == ["find_times", "book"]
    assert endpoint.began == (0 if speaks is None else 3)
    versions = {request.get("mcp-protocol-version") for request in endpoint.requests[len(endpoint.requests) // 2 :]}
    assert versions - {None} == {speaks or "2026-07-28"}


@pytest.mark.parametrize("stateless", [False, True])
async def test_a_server_that_changes_its_version_fails_once_at_most(stateless: bool) -> None:
    outcomes: list[bool] = []
    async with a_server(stateless=stateless) as (endpoint, client):
        for speaks in (OLDER[0], OLDER[0], OLDER[-1], OLDER[-1], None, None):
            endpoint.speaks = speaks
            try:
                outcomes.append((await call(client, "find_times", day="Friday")).ok)
            except ProviderError:
                outcomes.append(False)

    assert outcomes[1::2] == [True, True, True]


async def test_each_request_has_the_headers_of_the_server_and_of_its_call() -> None:
    async with a_server() as (endpoint, client):
        before = len(endpoint.requests)
        await call(client, "book", RequestValues(headers={"X-Caller": SecretStr("+1")}), day="Friday")
        of_list, of_call = endpoint.requests[:before], endpoint.requests[before:]

    assert {request["authorization"] for request in endpoint.requests} == {f"Bearer {TOKEN}"}
    assert not any("x-caller" in request for request in of_list)
    for request in of_call:
        assert request["x-caller"] == "+1"
        assert (request["x-call-id"], request["idempotency-key"]) == ("call_1", "call_1:t1")


async def test_an_error_of_the_tool_is_an_answer_and_its_server_is_well() -> None:
    async with a_server() as (_, client):
        answer = await call(client, "refuse")
        health = await client.health_check()

    assert not answer.ok
    assert "refuse" in answer.text
    assert (health.name, health.status) == ("mcp:schedule", "ok")


async def test_a_tool_that_is_gone_is_an_answer_too() -> None:
    async with a_server() as (endpoint, client):
        endpoint.server.remove_tool("book")
        answer = await call(client, "book", day="Friday")

    assert not answer.ok
    assert "book" in answer.text


@pytest.mark.parametrize("speaks", [None, OLDER[0]])
@pytest.mark.parametrize(("name", "called"), [("find_times", 2), ("cancel", 2), ("book", 1)])
async def test_only_a_call_that_does_no_harm_twice_is_repeated(name: str, called: int, speaks: str | None) -> None:
    async with a_server(speaks=speaks) as (endpoint, client):
        endpoint.fails_first = 1
        try:
            answer = await call(client, name, day="Friday")
        except ProviderError as error:
            assert isinstance(error, ProviderUnavailable)
            assert called == 1
        else:
            assert answer.ok
            assert called == 2

    assert endpoint.called == [name] * called


@pytest.mark.parametrize("speaks", [None, OLDER[0]])
async def test_a_server_that_hangs_is_given_up_at_the_deadline(speaks: str | None) -> None:
    loop = asyncio.get_running_loop()
    async with a_server(seconds=2.0, speaks=speaks) as (_, client):
        began = loop.time()
        with pytest.raises(ProviderTimeout):
            await call(client, "hang")
        waited = loop.time() - began
        after = await call(client, "book", day="Friday")

    assert waited == pytest.approx(2.0, abs=0.1)
    assert after.ok


@pytest.mark.parametrize("speaks", [None, OLDER[0]])
async def test_a_cancelled_call_leaves_nothing_behind(speaks: str | None) -> None:
    async with a_server(seconds=60.0, speaks=speaks) as (endpoint, client):
        calling = asyncio.get_running_loop().create_task(call(client, "hang"), name="calling")
        await endpoint.hangs.wait()
        calling.cancel()
        await asyncio.wait([calling])
        assert calling.cancelled()
        assert (await call(client, "book", day="Friday")).ok


@pytest.mark.parametrize("speaks", [None, OLDER[0]])
@pytest.mark.parametrize("letters", [16 * 1024 + 1, 2 * 1024 * 1024])
async def test_a_huge_result_is_refused(letters: int, speaks: str | None) -> None:
    async with a_server(speaks=speaks) as (_, client):
        with pytest.raises(ProviderProtocolError, match="answered more than"):
            await call(client, "tell_all", letters=letters)
        assert (await call(client, "tell_all", letters=16 * 1024)).ok


@pytest.mark.parametrize("speaks", [None, OLDER[0]])
@pytest.mark.parametrize(("status", "error"), [(503, ProviderUnavailable), (401, ProviderRejected)])
async def test_a_server_that_refuses_is_told_by_its_status(
    status: int, error: type[ProviderError], speaks: str | None
) -> None:
    async with a_server(speaks=speaks) as (endpoint, client):
        endpoint.refuses = status
        with pytest.raises(error, match=str(status)):
            await call(client, "book", day="Friday")

    assert endpoint.called == []


async def test_a_list_that_changes_is_read_again_within_a_minute() -> None:
    async def call_back(number: str) -> str:
        """Call somebody back."""
        return number

    async with a_server() as (endpoint, client):
        before = client.tools or ()
        endpoint.add(call_back)
        endpoint.server.remove_tool("hang")
        assert await client.refresh() is False
        await asyncio.sleep(60)
        assert await client.refresh() is True
        after = client.tools or ()
        client.list_soon()
        assert await client.refresh() is False

    names = [{tool.name for tool in tools} for tools in (before, after)]
    assert names[1] == names[0] - {"hang"} | {"call_back"}


async def test_a_server_that_is_down_is_degraded_and_tried_again_with_growing_waits() -> None:
    async with a_server() as (endpoint, client):
        endpoint.refuses = 503
        before = client.tools
        with capture_logs() as logged:
            await asyncio.sleep(60)
            await client.refresh()
            health = await client.health_check()
            tried = len(endpoint.requests)
            await client.refresh()
            assert len(endpoint.requests) == tried
            await asyncio.sleep(1)
            await client.refresh()
            assert len(endpoint.requests) == tried + 1
            endpoint.refuses = None
            await asyncio.sleep(2)
            await client.refresh()

    assert (health.status, health.detail) == ("degraded", "its tools cannot be listed: provider_unavailable")
    assert client.tools == before
    assert (await client.health_check()).status == "ok"
    assert [entry["event"] for entry in logged if entry["event"].startswith("mcp.")] == ["mcp.not_listed", "mcp.listed"]
    assert TOKEN not in str(logged)


async def test_what_callers_said_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    words = "the words of the caller"
    with capture_logs() as logged:
        async with a_server() as (endpoint, client):
            await call(client, "find_times", day=words)
            endpoint.fails_first = 1
            with pytest.raises(ProviderError) as raised:
                await call(client, "book", day=words)

    ours = [record for record in caplog.records if record.name.split(".")[0] in ("mcp", "httpx2", "app")]
    assert words not in str(logged) + str(raised.value) + str([record.getMessage() for record in ours])


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}}, None),
        ({"type": "strin"}, "its arguments have no valid JSON schema"),
        ({"type": "string"}, "its arguments are no object"),
        (
            {"type": "object", "allOf": [{"$ref": "https://x.example/y"}]},
            "the schema of its arguments refers to another document",
        ),
    ],
)
def test_a_schema_that_no_model_can_be_given_is_named(schema: dict[str, Any], problem: str | None) -> None:
    [tool] = checked([ListedTool("a", "A", schema)])

    assert tool.problem == problem
