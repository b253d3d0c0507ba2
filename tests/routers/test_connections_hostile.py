"""Clients that break or stretch HTTP and the websocket protocol, against the service's own connections."""

import asyncio
import json
import logging
import random
import re
import resource
from typing import Any

import pytest

from routers.client_watch import UNFINISHED_MAX, within_files
from tests.routers.bare_server import bare_server, everything

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
KEY = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + KEY
READ_BYTES = 256 * 1024
"""What a loop reads at once at most."""


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def seen(answer: bytes) -> Any:
    """Method, headers and body as the application saw them."""
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])


# Many requests at once.


async def test_of_a_hundred_thousand_requests_at_once_a_handful_waits() -> None:
    async with bare_server() as server, server.connected() as (_, writer):
        writer.write(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n" + GET * 100_000)
        await server.until(lambda: server.asked == 1)
        assert 0 < len(server.http.pipeline) < 30
        assert len(server.http._unparsed) <= READ_BYTES
        assert not server.http.transport.is_reading()
        assert len(server.state.tasks) == 1


async def test_and_no_more_while_they_are_answered() -> None:
    count, most = 5000, 0
    async with bare_server() as server, server.connected() as (reader, writer):
        writer.write(GET * count + LAST)
        answers = b""
        while piece := await reader.read(4096):
            answers += piece
            most = max(most, *(len(each.pipeline) for each in server.connections), 0)
        assert answers.count(b"HTTP/1.1 200 OK") == count + 1
        assert most < 30


async def test_a_body_that_comes_with_the_request_behind_another_one_is_read() -> None:
    body = b"x" * 60_000
    post = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 60000\r\n\r\n" + body
    async with bare_server() as server:
        answer = await server.asks(GET * 40 + post)
        assert answer.count(b"HTTP/1.1 200 OK") == 41
        assert answer.endswith(b'"' + body + b'"]')


async def test_a_client_that_goes_leaves_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async with bare_server() as server:
        async with server.connected() as (_, writer):
            writer.write(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n" + GET * 5)
            await server.until(lambda: server.asked == 1)
        server.may_answer.set()
        await server.until(lambda: not server.state.connections and not server.state.tasks)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# Clients that do not read.


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n" * 20,
        b"GET /big HTTP/1.0\r\n\r\n",
    ],
    ids=["one", "many", "and the server wants to close"],
)
async def test_a_client_that_reads_nothing_is_closed(request_: bytes) -> None:
    async with bare_server(reading_seconds=0.05) as server:
        with server.silent_client() as client:
            client.sendall(request_)
            await server.until(lambda: server.asked == 1)
            await server.until(lambda: not server.state.connections)


async def test_neither_may_a_websocket_s_client_leave_everything_unread() -> None:
    async with bare_server(reading_seconds=0.05) as server:
        with server.silent_client() as client:
            client.sendall(b"GET /flood HTTP/1.1\r\nHost: a\r\n" + UPGRADE + b"\r\n")
            await server.until(lambda: server.asked == 1)
            client.sendall(b"\x82\x80\0\0\0\0")
            await server.until(lambda: not server.state.connections)


async def test_a_client_that_reads_slowly_gets_everything() -> None:
    async with bare_server() as server:
        assert len(await server.asks(b"GET /big HTTP/1.0\r\n\r\n")) > 16 << 20


# Upgrades that no websocket begins with.


def upgrade(more: bytes = b"", *, line: bytes = b"GET /ws HTTP/1.1") -> bytes:
    return line + b"\r\nHost: here\r\n" + UPGRADE + more + b"\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        upgrade(b"Content-Length: 5\r\n") + b"hello",
        upgrade(b"Content-Length: 500000\r\n"),
        upgrade(b"Transfer-Encoding: chunked\r\n") + b"5\r\nhello\r\n0\r\n\r\n",
        upgrade(line=b"POST /ws HTTP/1.1"),
        upgrade(b"Content-Length: 5\r\n", line=b"POST /ws HTTP/1.1"),
        upgrade(line=b"HEAD /ws HTTP/1.1"),
        upgrade(line=b"GET /ws HTTP/1.0"),
        upgrade(b"X-A: " + b"a" * 9000 + b"\r\n"),
        upgrade(line=b"GET /ws?" + b"a" * 9000 + b" HTTP/1.1"),
        upgrade().replace(KEY, b""),
        upgrade().replace(b"13", b"12"),
        upgrade().replace(b"AAA=", b"A\xff="),
    ],
    ids=["body", "body to come", "chunks", "POST", "POST with a body", "HEAD", "HTTP/1.0", "long header", "long path",
         "no key", "old version", "wrong key"],
)  # fmt: skip
async def test_an_upgrade_that_is_none_is_answered_and_closed(request_: bytes) -> None:
    async with bare_server() as server:
        answer = await server.asks(request_)
        assert status(answer) in {400, 426}
        assert server.asked == 0
        await server.until(lambda: not server.state.connections)
        assert len(server.unfinished) == 0


@pytest.mark.parametrize("more", [b"", UPGRADE], ids=["plain", "upgrade"])
async def test_more_than_a_hundred_headers_are_refused(more: bytes) -> None:
    async with bare_server() as server:
        answer = await server.asks(b"GET /ws HTTP/1.1\r\nHost: a\r\n" + more + b"X-A: b\r\n" * 130 + b"\r\n")
        assert status(answer) == 431
        assert b"send 100 headers at most" in answer


async def test_an_upgrade_counts_until_it_is_accepted() -> None:
    async with bare_server() as server:
        async with server.connected() as (_, never), server.connected() as (reader, writer):
            never.write(upgrade(line=b"GET /never HTTP/1.1"))
            await server.until(lambda: server.asked == 1)
            writer.write(upgrade())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            assert len(server.unfinished) == 1
        await server.until(lambda: not server.state.connections)
        assert len(server.unfinished) == 0


async def test_so_does_a_websocket_that_its_client_does_not_close() -> None:
    async with bare_server() as server:
        async with server.connected() as (reader, writer):
            writer.write(upgrade(line=b"GET /bye HTTP/1.1"))
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(4) == b"\x88\x02\x03\xe8"
            await server.until(lambda: len(server.unfinished) == 1)
        await server.until(lambda: not server.state.connections)
        assert len(server.unfinished) == 0


async def test_and_is_closed_when_nobody_accepts_it() -> None:
    async with bare_server(request_seconds=0.05) as server:
        assert await server.asks(upgrade(line=b"GET /never HTTP/1.1")) == b""


async def test_a_websocket_does_not_begin_amid_another_answer() -> None:
    async with bare_server() as server, server.connected() as (reader, writer):
        writer.write(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n" + upgrade())
        await server.until(lambda: server.asked == 1)
        server.may_answer.set()
        answer = await everything(reader)
        assert answer.index(b"HTTP/1.1 200 ") < answer.index(b"HTTP/1.1 400 ")
        assert b"101" not in answer


@pytest.mark.parametrize("protocol", [b"h2c", b"TLS/1.0", b"websocket2"])
async def test_a_client_that_wants_another_protocol_gets_an_answer_in_this_one(protocol: bytes) -> None:
    async with bare_server() as server:
        answer = await server.asks(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n" + GET
        )
        assert answer.count(b"HTTP/1.1 200 ") == 1


@pytest.mark.parametrize(
    ("frames", "close"),
    [
        (b"\x81\x82\0\0\0\0\xff\xfe", b"\x88\x02\x03\xef"),
        (b"\x01\x81\0\0\0\0\xff" + b"\x80\x81\0\0\0\0\xfe", b"\x88\x02\x03\xef"),
        (b"\x81\x82\0\0\0\0\xff\xfe" + b"\x88\x80\0\0\0\0", b"\x88\x00"),
        (b"\x81\x82\0\0\0\0\xff\xfe" * 3, b"\x88\x02\x03\xef"),
    ],
    ids=["alone", "in pieces", "with a close", "again and again"],
)
async def test_text_that_is_none_closes_the_websocket_without_a_traceback(
    caplog: pytest.LogCaptureFixture, frames: bytes, close: bytes
) -> None:
    async with bare_server() as server, server.connected() as (reader, writer):
        writer.write(upgrade())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(frames)
        answer = await everything(reader)
    assert answer == close
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# What follows a body.


async def test_headers_behind_a_body_are_none() -> None:
    trailers = b"Authorization: Bearer x\r\nX-Forwarded-For: 1.2.3.4\r\n"
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
    head += b"Trailer: Authorization\r\n\r\n"
    async with bare_server() as server:
        method, headers, body = seen(await server.asks(head + b"2\r\nab\r\n0\r\n" + trailers + b"\r\n"))
    assert (method, body) == ("POST", "ab")
    assert [name for name, _ in headers] == ["host", "connection", "transfer-encoding", "trailer"]


# Requests that two readers would read differently.


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n",
        b"GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX A: b\r\n\r\n",
        b"GET  HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-Host: a\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: b@a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: a\r\n\r\n",
        upgrade().replace(b"Host: here\r\n", b""),
        b"GET / HTTP/2.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
async def test_a_request_that_is_malformed_is_answered_and_closed(
    request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with bare_server() as server:
        answer = await server.asks(request_)
        assert status(answer) == 400
        assert b'"code": "malformed_request"' in answer
        await server.until(lambda: not server.state.connections and not server.state.tasks)
        assert len(server.unfinished) == 0
    assert caplog.records == []


async def test_it_is_refused_behind_the_answers_that_are_due() -> None:
    async with bare_server() as server, server.connected() as (reader, writer):
        writer.write(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n" + GET + b"nonsense\r\n\r\n")
        await server.until(lambda: server.asked == 1)
        server.may_answer.set()
        answer = await everything(reader)
        assert re.findall(rb"HTTP/1.1 (\d+) ", answer) == [b"200", b"200", b"400"]


@pytest.mark.parametrize(
    "request_",
    [
        b"GET http://elsewhere/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [::1]:8000\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: voice_agent.example.org:8000\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"\r\n\r\n" + LAST,
    ],
)
async def test_what_is_unusual_is_answered_once_and_closed(request_: bytes) -> None:
    async with bare_server() as server:
        answer = await server.asks(request_)
        assert answer.count(b"HTTP/1.1 200 ") == 1


@pytest.mark.parametrize(
    "request_", [b"CONNECT there:443 HTTP/1.1\r\nHost: a\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"]
)
async def test_what_is_for_proxies_leaves_no_connection_open(request_: bytes) -> None:
    async with bare_server(request_seconds=0.05) as server:
        answer = await server.asks(request_ + b"x" * 100)
        assert answer.count(b"HTTP/1.1 ") >= 1


# Connections on which nothing happens.


async def test_a_connection_between_two_requests_counts() -> None:
    async with bare_server() as server, server.connected() as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        await server.until(lambda: len(server.unfinished) == 1)


async def test_new_lines_do_not_keep_it_open() -> None:
    async with bare_server(request_seconds=0.05) as server, server.connected() as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        while server.connections:
            writer.write(b"\r\n")
            await asyncio.sleep(0)


async def test_a_thousand_that_say_nothing_leave_room_for_others() -> None:
    async with bare_server() as server:
        clients = [server.silent_client() for _ in range(100)]
        try:
            server.unfinished._limit = 10
            for client in clients:
                client.sendall(GET)
            await server.until(lambda: server.asked > 0 and len(server.state.connections) <= 10)
            assert status(await server.asks(LAST)) == 200
        finally:
            for client in clients:
                client.close()
    assert UNFINISHED_MAX == 500


@pytest.mark.parametrize(
    ("files", "waiting"), [(65_536, 500), (resource.RLIM_INFINITY, 500), (1024, 256), (260, 65), (3, 1)]
)
def test_where_few_files_may_be_open_fewer_wait(files: int, waiting: int) -> None:
    assert within_files(500, files) == waiting


LINES = [
    b"GET / HTTP/1.1\r\n",
    b"POST / HTTP/1.1\r\n",
    b"HEAD / HTTP/1.1\r\n",
    b"GET /bye HTTP/1.1\r\n",
    b"GET / HTTP/1.0\r\n",
]
PIECES = [
    *LINES, b"OPTIONS * HTTP/1.1\r\n", b"CONNECT a:1 HTTP/1.1\r\n", b"GET /\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"Connection: Upgrade\r\n", b"Connection: close\r\n", b"Connection: keep-alive, Upgrade\r\n",
    b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\n", KEY, UPGRADE, b"Sec-WebSocket-Protocol: a,b\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content-Length: 70000\r\n",
    b"Content-Length: 99999999999999999999\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n",
    b"Expect: 100-continue\r\n", b"X: \x01\r\n", b"X: \xff\r\n", b"\r\n", b"\r\n\r\n", b"hello",
    b"5\r\nhello\r\n0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"ffffffff\r\n", b"\x81\x85\0\0\0\0hello", b"\x88\x80\0\0\0\0",
    b"\x89\xff", b"\0", b"\r", b"\n", b" ", b":", b"Host: b\r\n",
]  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_is_sent_is_answered_or_closed(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """Requests of pieces that are right and wrong, in any order; what of them is whole does not matter."""
    chance = random.Random(seed)  # noqa: S311 - it keeps nothing secret

    def request() -> bytes:
        line = chance.choice(LINES) + b"Host: here\r\n" if chance.random() < 0.7 else b""
        return line + b"".join(chance.choices(PIECES, k=chance.randint(1, 14))) + b"\r\n"

    async with bare_server(request_seconds=1) as server, asyncio.TaskGroup() as tasks:
        for number in range(400):
            tasks.create_task(server.asks(request()), name=f"client-{number}")
    assert len(server.unfinished) == 0
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
