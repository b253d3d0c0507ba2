"""Whatever answers in LiveKit's place, each request ends in time, as a failure of the vendor."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from livekit import api

from app.clients.livekit.sip_admin import LiveKitSIPClient
from app.clients.livekit.trunks import DispatchRule, InboundTrunk, OutboundTrunk
from app.clients.resilient import RetryPolicy
from app.errors import DialFailed, ProviderError, ProviderProtocolError, ProviderTimeout, ProviderUnavailable
from tests.clients.livekit.test_api import DIAL, ROOM
from tests.clients.livekit.twirp import KEY, SECRET
from tests.clients.raw_http import (
    Answer,
    answering,
    dripping_body,
    dripping_headers,
    endless_body,
    nothing,
    page,
)

PROTOBUF = "application/protobuf"
HTML = b"<html><body><h1>Down for maintenance</h1></body></html>"
LISTED = api.ListRoomsResponse(rooms=[api.Room(name="call_1", sid="RM_1")]).SerializeToString()

RINGLESS = replace(DIAL, ring_seconds=0)

REQUESTS: dict[str, Callable[[LiveKitSIPClient], Awaitable[Any]]] = {
    "list_rooms": lambda client: client.list_rooms(),
    "create_room": lambda client: client.create_room("call_1", empty_seconds=60),
    "list_callers": lambda client: client.list_callers(ROOM),
    "count_telephones": lambda client: client.count_telephones(ROOM),
    "has_agent": lambda client: client.has_agent(ROOM),
    "remove_participant": lambda client: client.remove_participant("call_1", "sip_1"),
    "delete_room": lambda client: client.delete_room("call_1"),
    "outbound_trunk": lambda client: client.outbound_trunk("call-out"),
    "dial": lambda client: client.dial(RINGLESS),
    "refer": lambda client: client.refer("call_1", "sip_1", "tel:+7999", ring_seconds=0),
    "sip_objects": lambda client: client.sip_objects(),
    "save_inbound": lambda client: client.save_inbound(InboundTrunk("in", ("+7999",), ("10.0.0.1",))),
    "save_rule": lambda client: client.save_rule(DispatchRule("rule", (), "individual", "call")),
    "save_outbound": lambda client: client.save_outbound(OutboundTrunk("out", "sip.example.org", ("+7999",))),
}
"""Everything that is asked of LiveKit's interface."""

UNANSWERED: dict[str, Answer] = {
    "nothing": nothing,
    "dripping headers": dripping_headers,
    "dripping body": dripping_body(PROTOBUF),
    "dripping page": dripping_body("text/html"),
}
UNREADABLE: dict[str, Answer] = {
    "html": page(HTML),
    "html that calls itself protobuf": page(HTML, content_type=PROTOBUF),
    "garbage": page(b"\xff\xfe\x00garbage\x9c", content_type=PROTOBUF),
    "half a message": page(LISTED[:-3], content_type=PROTOBUF),
    "an empty page": page(b""),
    "json": page(b"{}", content_type="application/json"),
    "no content": page(b"", status="204 No Content"),
    "created": page(HTML, status="201 Created"),
    "not modified": page(b"", status="304 Not Modified"),
    "found, here": page(HTML, status="302 Found", headers=("location: /login",)),
    "moved, nowhere": page(HTML, status="301 Moved Permanently"),
    "not found": page(HTML, status="404 Not Found"),
    "bad gateway": page(HTML, status="502 Bad Gateway"),
    "unavailable": page(HTML, status="503 Service Unavailable"),
    "broken compression": page(b"no gzip", content_type=PROTOBUF, headers=("content-encoding: gzip",)),
    "no HTTP": lambda writer: _write(writer, b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
}
ENDLESS: dict[str, Answer] = {
    "message": endless_body(PROTOBUF),
    "page": endless_body("text/html"),
    "error": endless_body("application/json", status="500 Internal Server Error"),
}
ERRORS: dict[str, Any] = {
    "a list": [1, 2],
    "a text": "internal",
    "null": None,
    "a number as code": {"code": 5, "msg": "x"},
    "a list as code": {"code": ["internal"], "msg": "x"},
    "an object as code": {"code": {"a": 1}},
    "no code": {"error": "oops"},
    "a code of nobody": {"code": "its broken", "msg": "x"},
    "a list as meta": {"code": "internal", "msg": "x", "meta": [1]},
    "a list as status": {"code": "internal", "msg": "x", "meta": {"sip_status_code": [486]}},
    "a word as status": {"code": "internal", "msg": "x", "meta": {"sip_status_code": "busy"}},
    "numbers as msg": {"code": "internal", "msg": 12, "meta": {"a": 1}},
}


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)


async def failure(answer: Answer, name: str, **seconds: float) -> ProviderError | DialFailed:
    """The error of a request, which the client's health then shows."""
    async with answering(answer) as url:
        client = LiveKitSIPClient(url=url, api_key=KEY, api_secret=SECRET, retry=RetryPolicy(attempts=1), **seconds)
        try:
            with pytest.raises((ProviderError, DialFailed)) as failed:
                async with asyncio.timeout(60):
                    await REQUESTS[name](client)
            status = (await client.health_check()).status
            assert status == ("ok" if isinstance(failed.value, DialFailed) else "degraded")
        finally:
            await client.aclose()
    return failed.value


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("answer", UNANSWERED.values(), ids=UNANSWERED)
async def test_no_request_waits_for_ever(answer: Answer, name: str) -> None:
    error = await failure(answer, name, request_seconds=0.2, answer_seconds=0.2)

    assert isinstance(error, ProviderTimeout | ProviderProtocolError)


async def test_the_deadline_is_there_without_anybody_asking_for_it() -> None:
    assert isinstance(await failure(nothing, "delete_room"), ProviderTimeout)


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE)
async def test_what_is_not_an_answer_of_livekits_is_its_failure(answer: Answer, name: str) -> None:
    error = await failure(answer, name)

    assert isinstance(error, ProviderProtocolError | ProviderUnavailable)


@pytest.mark.parametrize("name", ["list_rooms", "dial"])
@pytest.mark.parametrize("answer", ENDLESS.values(), ids=ENDLESS)
async def test_no_more_is_read_of_an_answer_than_any_answer_has(answer: Answer, name: str) -> None:
    assert isinstance(await failure(answer, name, request_seconds=60, answer_seconds=60), ProviderProtocolError)


@pytest.mark.parametrize("name", ["list_rooms", "delete_room", "dial", "refer"])
@pytest.mark.parametrize("status", ["400 Bad Request", "412 Precondition Failed", "500 Internal Server Error"])
@pytest.mark.parametrize("body", ERRORS.values(), ids=ERRORS)
async def test_an_error_of_any_shape_is_a_failure_of_livekits_or_of_the_call(body: Any, status: str, name: str) -> None:
    answer = json.dumps(body).encode()

    error = await failure(page(answer, status=status, content_type="application/json"), name)

    assert isinstance(error, ProviderError | DialFailed)


async def test_a_page_of_a_proxy_is_held_against_livekit_and_not_against_the_telephone() -> None:
    assert isinstance(await failure(UNREADABLE["bad gateway"], "dial"), ProviderProtocolError)


async def test_what_was_sent_instead_is_in_no_error() -> None:
    for name in ("list_rooms", "dial"):
        answer = json.dumps({"code": "+79991234567", "msg": "+79991234567", "meta": {"sip_status": "+79991234567"}})
        error = await failure(page(answer.encode(), status="500 X", content_type="application/json"), name)
        assert "7999" not in str(error)
