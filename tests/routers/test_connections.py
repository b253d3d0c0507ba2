"""Strangers at the socket itself, with no key and no token."""

import asyncio
import base64
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from routers.client_watch import ConnectionLimits, Unfinished
from routers.connections import bounded_http
from tests.end_to_end.service import RunningService, service_in_thread

PATIENCE_SECONDS = 20
HEAD = b"GET /health/live HTTP/1.1\r\nHost: here\r\n"
POST = b"POST /session HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
PING, EMPTY, REST = b"\x89\x80\0\0\0\0", b"\x82\x80\0\0\0\0", b"\x00\x80\0\0\0\0"
UNKNOWN = b"\x81\x8d\0\0\0\0" + b'{"event":"x"}'
POLICY_VIOLATION = b"\x88\x11\x03\xf0"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("connections")) as running:
        yield running


@contextmanager
def impatient(service: RunningService) -> Iterator[None]:
    """A request must be there within 50 ms on new connections."""
    config = service.server.config
    usual, config.http_protocol_class = config.http_protocol_class, bounded_http(ConnectionLimits(request_seconds=0.05))
    try:
        yield
    finally:
        config.http_protocol_class = usual


def connected(service: RunningService) -> socket.socket:
    host, _, port = service.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS)


def everything(client: socket.socket) -> bytes:
    """Until the service closes the connection."""
    read = b""
    try:
        while piece := client.recv(65536):
            read += piece
    except ConnectionResetError:
        pass
    return read


def upgraded(service: RunningService) -> socket.socket:
    client = connected(service)
    key = base64.b64encode(os.urandom(16))
    head = b"GET /media/twilio HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    client.sendall(head + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n")
    assert client.recv(65536).startswith(b"HTTP/1.1 101 ")
    return client


@pytest.mark.parametrize("frame", [PING, EMPTY, UNKNOWN], ids=["pings", "empty", "unknown"])
def test_a_websocket_with_a_thousand_frames_at_once_is_closed(service: RunningService, frame: bytes) -> None:
    with upgraded(service) as client:
        client.sendall(frame * 1000)
        assert everything(client)[-19:-15] == POLICY_VIOLATION


def test_so_is_one_whose_message_has_a_thousand_pieces(service: RunningService) -> None:
    with upgraded(service) as client:
        client.sendall(b"\x01\x80\0\0\0\0" + REST * 1000)
        assert everything(client)[-19:-15] == POLICY_VIOLATION


def test_a_backlog_of_some_seconds_of_speech_is_none(service: RunningService) -> None:
    with upgraded(service) as client:
        client.sendall(PING * 250)
        answers = b""
        while len(answers) < 2 * 250:
            answers += client.recv(65536)
        assert answers == b"\x8a\x00" * 250


def send_without_end(client: socket.socket, piece: bytes) -> None:
    """Raises ConnectionError as soon as the other side has had enough."""
    for _ in range(200_000_000 // len(piece)):
        client.sendall(piece)


@pytest.mark.parametrize("piece", [b"X-A: b\r\n" * 1000, b"b" * 10_000], ids=["many", "one"])
def test_a_head_without_end_is_refused(service: RunningService, piece: bytes) -> None:
    with connected(service) as client:
        client.sendall(HEAD + b"X-A: ")
        with pytest.raises(ConnectionError):
            send_without_end(client, piece)


def test_neither_may_a_body_in_chunks_have_headers_without_end_behind_it(service: RunningService) -> None:
    with connected(service) as client:
        client.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
        with pytest.raises(ConnectionError):
            send_without_end(client, b"X-A: b\r\n" * 1000)


@pytest.mark.parametrize(
    "beginning",
    [b"", HEAD, POST + b"Content-Length: 1000\r\n\r\n{", HEAD + b"\r\n" + HEAD],
    ids=["nothing", "half a head", "half a body", "a second request"],
)
def test_a_client_that_does_not_finish_its_request_is_closed(service: RunningService, beginning: bytes) -> None:
    with impatient(service), connected(service) as client:
        client.sendall(beginning)
        everything(client)


def test_a_whole_request_may_be_answered_for_as_long_as_it_takes(service: RunningService) -> None:
    with impatient(service), upgraded(service) as client:
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(PATIENCE_SECONDS)
        client.sendall(PING)
        assert client.recv(2) == b"\x8a\x00"


class Connection(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.is_closed = False

    def abort(self) -> None:
        self.is_closed = True


def test_of_too_many_unfinished_requests_the_oldest_is_given_up() -> None:
    unfinished = Unfinished(limit=2)
    first, second, third, fourth = (Connection() for _ in range(4))
    unfinished.add(first)
    unfinished.add(second)
    unfinished.discard(first)
    unfinished.add(third)
    unfinished.add(fourth)

    assert [each.is_closed for each in (first, second, third, fourth)] == [False, True, False, False]
    assert len(unfinished) == 2
