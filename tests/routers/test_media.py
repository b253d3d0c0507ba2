"""Who may open a media websocket, how often and for how long."""

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.exceptions import InvalidStatus

from tests.end_to_end.lines import START, ended_record_of, new_line, new_session, opened
from tests.end_to_end.service import RunningService, running_service, service_in_thread
from tests.routers.kept_calls import execute


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("media")) as running:
        yield running


async def refusal_of(url: str) -> tuple[int, dict[str, Any]]:
    """The status and problem with which the upgrade is refused."""
    with pytest.raises(InvalidStatus) as refused:
        async with opened(url):
            pass
    response = refused.value.response
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, json.loads(response.body or b"")


async def status_of(service: RunningService, call_id: str) -> int:
    async with service.async_client() as http:
        return (await http.get(f"/calls/{call_id}")).status_code


async def test_a_wrong_token_opens_nothing_and_does_not_spend_the_right_one(service: RunningService) -> None:
    session, other = await new_session(service), await new_session(service)
    base, _, token = session["url"].partition("?token=")
    of_other = other["url"].partition("?token=")[2]
    wrong = ["", "?token=", f"?token={of_other}", f"?token={token}x", f"?token={token[:-1]}", "?token=%00%ff", "?x=1"]
    for query in wrong:
        status, problem = await refusal_of(base + query)
        assert (status, problem["code"]) == (403, "token_invalid"), query
        assert token not in json.dumps(problem)
    assert (await refusal_of(f"{service.media_url}/call_unknown?token={token}"))[0] == 403
    async with opened(session["url"]) as line:
        await line.send(START)
        assert (await line.until("ready"))["call_id"] == session["call_id"]


async def test_a_refusal_is_not_an_error_of_ours(service: RunningService, caplog: pytest.LogCaptureFixture) -> None:
    session = await new_session(service)

    assert await refusal_of(session["url"] + "x")

    async with service.async_client() as http:
        figures = (await http.get("/metrics")).text
    refused = re.search(r'security_rejects_total{reason="token_invalid",surface="media"} (\d+)', figures)
    assert refused
    assert int(refused[1]) >= 1
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_token_is_good_for_a_minute(service: RunningService) -> None:
    session = await new_session(service)
    execute(
        service.settings.data_dir,
        "UPDATE sessions SET expires_at = '2026-01-01T00:00:00.000Z' WHERE call_id = ?",
        (session["call_id"],),
    )
    status, problem = await refusal_of(session["url"])
    assert (status, problem["code"]) == (403, "token_invalid")


async def test_a_token_opens_one_socket(service: RunningService) -> None:
    session = await new_session(service)
    async with opened(session["url"]) as line:
        status, problem = await refusal_of(session["url"])
        assert (status, problem["code"]) == (409, "token_used")
        await line.send(START)
        await line.until("ready")
        assert (await refusal_of(session["url"]))[0] == 409
        await line.send({"type": "stop"})
        assert await line.closed() == 1000
    assert (await refusal_of(session["url"]))[0] == 409


async def test_of_many_sockets_at_once_one_gets_the_call(service: RunningService) -> None:
    session = await new_session(service)

    async def attempt() -> int:
        try:
            async with opened(session["url"]) as line:
                await line.send(START)
                await line.until("ready")
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    async with asyncio.TaskGroup() as tasks:
        attempts = [tasks.create_task(attempt(), name=f"attempt-{number}") for number in range(8)]
    assert sorted(each.result() for each in attempts) == [101] + [409] * 7


async def test_a_session_that_is_not_used_leaves_nothing(service: RunningService) -> None:
    session = await new_session(service, caller="+79990001122", metadata={"order": 7})
    call_id = session["call_id"]
    assert await status_of(service, call_id) == 404
    async with opened(session["url"]):
        assert await status_of(service, call_id) == 404
    assert await status_of(service, call_id) == 404
    data = service.settings.data_dir
    execute(data, "UPDATE sessions SET expires_at = '2026-01-01T00:00:00.000Z' WHERE call_id = ?", (call_id,))
    await new_session(service)
    assert execute(data, "SELECT * FROM sessions WHERE call_id = ?", (call_id,)) == []
    assert not (data / "recordings" / call_id).exists()


async def test_the_token_itself_is_stored_nowhere(service: RunningService) -> None:
    session = await new_session(service)
    token = parse_qs(urlsplit(session["url"]).query)["token"][0]
    assert len(token) >= 32
    files = [path for path in service.settings.data_dir.rglob("*") if path.is_file()]
    assert files
    assert all(token.encode() not in path.read_bytes() for path in files)


async def test_what_the_session_was_asked_with_is_in_the_record(service: RunningService) -> None:
    session = await new_session(service, caller="+79990001122", metadata={"order": 7, "language_hint": "en"})
    async with opened(session["url"]) as line:
        await line.send(START)
        await line.until("ready")
        await line.send({"type": "stop"})
        assert await line.until("end") == {"type": "end", "reason": "caller_hangup"}
        assert await line.closed() == 1000
    record = await ended_record_of(service, session["call_id"])
    assert record["caller_number"] == "+79990001122"
    assert record["metadata"] == {"order": 7, "language_hint": "en"}
    assert (record["direction"], record["end_reason"], record["fault"]) == ("web", "caller_hangup", "none")


async def test_a_full_service_takes_no_more_calls_but_its_sessions_stay_good(tmp_path: Path) -> None:
    async with running_service(tmp_path, max_concurrent_calls=1) as service:
        waiting, too_late = await new_session(service), await new_session(service)
        async with opened(too_late["url"]) as second, new_line(service, START) as first:
            status, problem = await refusal_of(waiting["url"])
            assert (status, problem["code"]) == (503, "at_capacity")
            await second.send(START)
            assert await second.until("end") == {"type": "end", "reason": "rejected_capacity"}
            assert await second.closed() == 1000
            assert await status_of(service, too_late["call_id"]) == 404
            await first.send({"type": "stop"})
            assert await first.closed() == 1000
        async with opened(waiting["url"]) as line:
            await line.send(START)
            await line.until("ready")
        async with service.async_client() as http:
            assert 'voice_admission_rejected_total{reason="at_capacity"} 2.0' in (await http.get("/metrics")).text


async def test_a_service_that_drains_takes_no_call_and_is_not_ready(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service:
        session, early = await new_session(service), await new_session(service)
        async with opened(early["url"]) as line:
            await service.services.dispatcher.drain(0.0)
            status, problem = await refusal_of(session["url"])
            assert (status, problem["code"]) == (503, "draining")
            await line.send(START)
            assert (await line.until("end"))["reason"] == "rejected_capacity"
            assert await line.closed() == 1000
        async with service.async_client() as http:
            ready = await http.get("/health/ready")
            assert (ready.status_code, ready.json()["status"]) == (503, "draining")
            assert (await http.get("/health/live")).status_code == 200


@pytest.mark.parametrize("events", ["conversation", "all"])
async def test_the_whole_journal_is_for_those_who_asked_with_the_key(service: RunningService, events: str) -> None:
    session = await new_session(service, events=events)
    async with opened(session["url"], session["call_id"]) as line:
        await line.send({**START, "events": True})
        await line.until("ready")
        await line.send({"type": "stop"})
        await line.closed()
    rows = [message["event"] for message in line.messages if message["type"] == "event"]
    types = {row["type"] for row in rows}
    assert {"call.answered", "call.ended"} <= types
    assert ("call.created" in types) == (events == "all")
    assert ("prompt" in json.dumps(rows)) == (events == "all")


async def test_a_session_is_made_without_events_for_callers(service: RunningService) -> None:
    async with service.async_client() as http:
        session = (await http.post("/media/sessions", json={})).json()
        wrong = await http.post("/media/sessions", json={"events": "some"})
    assert wrong.status_code == 422
    async with opened(session["url"]) as line:
        await line.send({**START, "events": True})
        await line.until("ready")
        await line.send({"type": "stop"})
        await line.closed()
    assert "call.created" not in {message.get("event", {}).get("type") for message in line.messages}
