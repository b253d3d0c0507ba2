"""Twilio's and LiveKit's doors: who gets in, and how those are refused who do not."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from routers.unstarted import Unstarted
from sandbox.caller.twilio_line import start, stream_of
from tests.end_to_end.lines import Line, ended_record_of, new_session, opened
from tests.end_to_end.service import RunningService, running_service, service_in_thread
from tests.routers.kept_calls import execute
from tests.support.slowness import slowness


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("dialects")) as running:
        yield running


@asynccontextmanager
async def twilio(service: RunningService, *messages: Any) -> AsyncIterator[Line]:
    async with opened(f"{service.media_url}/twilio") as line:
        for message in messages:
            await line.send(message)
        yield line


async def close_of(service: RunningService, *messages: Any) -> int:
    async with twilio(service, *messages) as line:
        code = await line.closed()
    assert (line.messages, line.audio) == ([], b"")
    return code


async def calls_of(service: RunningService) -> list[str]:
    async with service.async_client() as http:
        return [call["call_id"] for call in (await http.get("/calls")).json()["calls"]]


def egress_url(session: dict[str, Any]) -> str:
    url: str = session["url"]
    return url.replace("/media/", "/media/egress/")


async def refusal_of(url: str) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as refused:
        async with opened(url):
            pass
    return refused.value.response.status_code, json.loads(refused.value.response.body or b"")["code"]


# --- TwiML ------------------------------------------------------------------------------------------------------------


async def test_the_twiml_has_twilio_open_the_door_with_the_token_of_the_session(service: RunningService) -> None:
    session = await new_session(service)

    url, parameters = stream_of(session["twiml"])

    assert url == f"{service.media_url}/twilio"
    assert parameters["call_id"] == session["call_id"]
    assert session["url"].endswith(f"?token={parameters['token']}")


async def test_the_twiml_is_xml_whatever_host_was_asked(service: RunningService) -> None:
    async with service.async_client() as http:
        host = "a&lt;b';.example"
        answer = await http.post("/media/sessions", headers={"Host": host})
        none = await http.post("/media/sessions", headers={"Host": 'a"><Hangup/>&.example'})

    assert (answer.status_code, none.status_code) == (201, 400)
    assert stream_of(answer.json()["twiml"])[0] == f"ws://{host}/media/twilio"


# --- Twilio -----------------------------------------------------------------------------------------------------------


async def test_a_client_without_a_valid_token_is_closed_and_leaves_nothing(service: RunningService) -> None:
    session, other = await new_session(service), await new_session(service)
    _, right = stream_of(session["twiml"])
    _, of_other = stream_of(other["twiml"])
    before = await calls_of(service)

    for wrong in (
        {**right, "token": of_other["token"]},
        {**right, "token": f"{right['token']}x"},
        {**right, "call_id": "../../etc/passwd"},
        {**right, "call_id": "call_1'; DROP TABLE sessions; --".replace(" ", "")},
        {"call_id": right["call_id"]},
    ):
        assert await close_of(service, start(wrong)) == 1008, wrong
    assert await calls_of(service) == before

    async with twilio(service, start(right)) as line:
        await line.send({"event": "stop", "stop": {}})
        assert await line.closed() == 1000
    assert (await ended_record_of(service, session["call_id"]))["end_reason"] == "caller_hangup"
    assert await close_of(service, start(right)) == 1008


async def test_a_token_that_is_too_old_is_refused_at_every_door(service: RunningService) -> None:
    session = await new_session(service)
    execute(
        service.settings.data_dir,
        "UPDATE sessions SET expires_at = '2026-01-01T00:00:00.000Z' WHERE call_id = ?",
        (session["call_id"],),
    )

    assert await close_of(service, start(stream_of(session["twiml"])[1])) == 1008
    assert await refusal_of(egress_url(session)) == (403, "token_invalid")


async def test_a_stream_that_does_not_start_in_time_or_starts_wrong_is_closed(service: RunningService) -> None:
    connected = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    media = {"event": "media", "media": {"payload": "AAAA"}}
    right = stream_of((await new_session(service))["twiml"])[1]
    other_format = start(right)
    other_format["start"]["mediaFormat"]["sampleRate"] = 16000
    async with asyncio.timeout(8 * slowness()), asyncio.TaskGroup() as tasks:
        late = tasks.create_task(close_of(service, connected))
        early = tasks.create_task(close_of(service, connected, media))
        wrong = tasks.create_task(close_of(service, connected, other_format))
        no_json = tasks.create_task(close_of(service, "hello"))
        binary = tasks.create_task(close_of(service, b"\x00" * 160))
        huge = tasks.create_task(close_of(service, "x" * (10 << 20)))

    assert [each.result() for each in (late, early, wrong, no_json, binary, huge)] == [
        1008,
        1008,
        1003,
        1008,
        1008,
        1009,
    ]


async def test_of_too_many_streams_that_do_not_start_the_oldest_is_closed(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service:
        service.app.state.unstarted = Unstarted(limit=2)
        async with twilio(service) as first, twilio(service), twilio(service):
            assert await first.closed() == 1013
            right = stream_of((await new_session(service))["twiml"])[1]
            async with twilio(service, start(right), {"event": "stop", "stop": {}}) as honest:
                assert await honest.closed() == 1000


# --- LiveKit's egress -------------------------------------------------------------------------------------------------


async def test_an_egress_is_let_in_once_with_the_token_of_the_session(service: RunningService) -> None:
    session, other = await new_session(service), await new_session(service)

    assert await refusal_of(egress_url(session) + "x") == (403, "token_invalid")
    assert await refusal_of(egress_url(other).replace(other["call_id"], session["call_id"])) == (403, "token_invalid")
    async with opened(egress_url(session)) as line:
        assert await refusal_of(egress_url(session)) == (409, "token_used")
        assert await refusal_of(session["url"]) == (409, "token_used")
        await line.send(b"\x00" * 1920)
        await line.send("neither JSON nor sound")
        await line.send(b"\x00" * 1921)
        for _ in range(6):
            await line.send(b"\x00" * 129_999)
        assert await line.closed() == 1008
    record = await ended_record_of(service, session["call_id"])
    assert (record["end_reason"], record["fault"], record["turns"]) == ("media_lost", "carrier", [])


# --- a service that takes no more -------------------------------------------------------------------------------------


async def test_a_service_that_is_full_or_stops_refuses_before_the_upgrade(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with running_service(tmp_path_factory.mktemp("full"), max_concurrent_calls=1) as service:
        waiting, first, late = [await new_session(service) for _ in range(3)]
        async with twilio(service) as second, opened(egress_url(first)) as line:
            while not await calls_of(service):
                await asyncio.sleep(0.01)
            assert await refusal_of(f"{service.media_url}/twilio") == (503, "at_capacity")
            assert await refusal_of(egress_url(waiting)) == (503, "at_capacity")
            await second.send(start(stream_of(late["twiml"])[1]))
            assert await second.closed() == 1000
            await line.socket.close()
        await ended_record_of(service, first["call_id"])
        await service.services.dispatcher.drain(0.0)
        assert await refusal_of(f"{service.media_url}/twilio") == (503, "draining")
        assert await refusal_of(egress_url(waiting)) == (503, "draining")
