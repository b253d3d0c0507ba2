"""What ``routers/connections.py`` takes for granted of uvicorn's inside, which no version promises."""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

KNOWN = {
    HttpToolsProtocol.connection_made: "6efb565ff3d3",
    HttpToolsProtocol.connection_lost: "c91a4c9bf2e2",
    HttpToolsProtocol.data_received: "010a7ae59a5d",
    HttpToolsProtocol._should_upgrade: "8fcad1ab8e09",
    HttpToolsProtocol._unset_keepalive_if_required: "00a6a4e47214",
    HttpToolsProtocol.handle_websocket_upgrade: "179c4f769386",
    HttpToolsProtocol.on_message_begin: "96d377fdc7c2",
    HttpToolsProtocol.on_header: "65d62c044f61",
    HttpToolsProtocol.on_headers_complete: "1ea8589acfad",
    HttpToolsProtocol.on_body: "dba9c32aeba3",
    HttpToolsProtocol.on_message_complete: "1fbad42dc31f",
    HttpToolsProtocol.on_response_complete: "64e254f28e38",
    HttpToolsProtocol._start_asgi_task: "9c08c2571ae9",
    HttpToolsProtocol.resume_writing: "7844bbaa8cce",
    RequestResponseCycle.send: "abdd8601b326",
    RequestResponseCycle.receive: "8124ae006be7",
    RequestResponseCycle.run_asgi: "0f33f2449a44",
    WebSocketsSansIOProtocol.__init__: "631dcd744eab",
    WebSocketsSansIOProtocol.connection_lost: "dd116afc4d80",
    WebSocketsSansIOProtocol.resume_writing: "ef79384e5fff",
    WebSocketsSansIOProtocol.data_received: "c89d394077d8",
    WebSocketsSansIOProtocol.handle_events: "b2c9351a5d13",
    WebSocketsSansIOProtocol.handle_connect: "fc648c2161ff",
    WebSocketsSansIOProtocol.send: "d4919ed760ce",
    WebSocketsSansIOProtocol.send_receive_event_to_app: "a2b10de91477",
    WebSocketsSansIOProtocol.handle_ping: "41bcf345d372",
    WebSocketsSansIOProtocol.handle_parser_exception: "ff5cf13c764f",
    FlowControl: "126debcdaa89",
}
"""Beginnings of the SHA-256 of the source that was read when the code was written."""


@pytest.mark.parametrize("part", KNOWN, ids=lambda part: part.__qualname__)
def test_uvicorn_does_inside_what_our_connections_were_written_for(part: Callable[..., Any]) -> None:
    assert digest(part) == KNOWN[part], (
        f"uvicorn's {part.__qualname__} has changed. Read what changed in it, and whether routers/connections.py still "
        "does what its docstrings say: BoundedHttp overrides or calls it, or reads what it sets. Run "
        f"tests/routers/test_connections_hostile.py; then write {digest(part)!r} here. Until then stay on the version "
        "of uvicorn before it."
    )


def digest(part: Callable[..., Any]) -> str:
    return hashlib.sha256(inspect.getsource(part).encode()).hexdigest()[:12]
