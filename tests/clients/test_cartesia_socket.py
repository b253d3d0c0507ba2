"""The socket by itself: what it tells its listeners at the edges."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.clients.cartesia_messages import Answer, AudioChunk, ContextDone, websocket_url
from app.clients.cartesia_socket import CartesiaSocket
from app.errors import ProviderError, ProviderUnavailable
from tests.clients.cartesia_server import CartesiaServer, cartesia_server


class Listener:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.errors: list[ProviderError] = []

    def received(self, answer: Answer) -> None:
        self.answers.append(answer)

    def failed(self, error: ProviderError) -> None:
        self.errors.append(error)


@asynccontextmanager
async def open_socket() -> AsyncIterator[tuple[CartesiaServer, CartesiaSocket]]:
    async with cartesia_server() as server:
        socket = await CartesiaSocket.open(websocket_url(server.url), api_key="key-1", seconds=2.0)
        await server.until(lambda: len(server.lines) == 1)
        try:
            yield server, socket
        finally:
            await socket.aclose()


async def test_a_context_is_told_until_it_is_done() -> None:
    async with open_socket() as (server, socket):
        listener, next_listener = Listener(), Listener()
        socket.attach("c", listener)
        await server.lines[0].sounds("c", b"12")
        await server.lines[0].ends("c")
        await server.lines[0].sounds("c", b"34")
        await server.lines[0].closes(1000)
        await server.until(lambda: server.is_closed(0))
        await socket.aclose()
        socket.attach("d", next_listener)

        assert listener.answers == [AudioChunk("c", b"12"), ContextDone("c")]
        assert listener.errors == []
        assert socket.chunks_dropped == 1
        assert [type(error) for error in next_listener.errors] == [ProviderUnavailable]


async def test_a_vendor_that_takes_no_more_text_costs_the_socket_and_not_the_memory() -> None:
    async with open_socket() as (server, socket):
        listener = Listener()
        socket.attach("c", listener)
        for _ in range(1025):
            socket.post("{}")
        assert [type(error) for error in listener.errors] == [ProviderUnavailable]
        assert not socket.is_open
        await server.until(lambda: server.is_closed(0))


async def test_a_retired_socket_closes_with_its_last_context() -> None:
    async with open_socket() as (server, socket):
        for name in ("c", "d"):
            socket.attach(name, Listener())
        socket.retire()
        assert not socket.is_open
        socket.detach("c")
        assert repr(socket) == "<CartesiaSocket retired, 1 contexts, 0 chunks dropped>"
        socket.detach("d")
        await server.until(lambda: server.is_closed(0))
