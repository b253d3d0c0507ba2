"""A server on a socket of its own that answers each request with scripted bytes: what no web framework would send."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def page(
    body: bytes, *, status: str = "200 OK", content_type: str = "text/html", headers: tuple[str, ...] = ()
) -> Answer:
    """One whole answer."""
    lines = [f"HTTP/1.1 {status}", f"content-type: {content_type}", f"content-length: {len(body)}", *headers]

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    return send


async def nothing(_writer: asyncio.StreamWriter) -> None:
    """The request is taken, and no byte comes back."""
    await asyncio.get_running_loop().create_future()


async def dripping_headers(writer: asyncio.StreamWriter) -> None:
    """A header each few milliseconds, and never the last one: the connection is alive, the answer never comes."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    number = 0
    while True:
        number += 1
        writer.write(f"x-{number % 50}: y\r\n".encode())
        await writer.drain()
        await asyncio.sleep(0.02)


def dripping_body(content_type: str) -> Answer:
    """One byte each few milliseconds."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: 1000000\r\n\r\n".encode())
        while True:
            writer.write(b"\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    return send


def endless_body(content_type: str, *, status: str = "200 OK") -> Answer:
    """As much as the client takes."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n".encode())
        while True:
            writer.write(bytes(256 * 1024))
            await writer.drain()

    return send


def _content_length(head: bytes) -> int:
    lengths = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(lengths[0]) if lengths else 0


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    """Serve it on a port of its own; gives the address."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0
                )
                await reader.readexactly(length)
                await answer(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        except asyncio.CancelledError:
            return  # asyncio's server would log it as an error
        finally:
            writer.close()
            connections.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        if connections:
            await asyncio.wait(connections)
