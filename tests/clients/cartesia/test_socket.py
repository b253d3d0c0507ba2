"""The socket by itself: what it reports to its listeners in edge cases."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.clients.cartesia.messages import Answer, AudioChunk, ContextDone, websocket_url
from app.clients.cartesia.socket import CartesiaSocket
from app.errors import ProviderError, ProviderProtocolError, ProviderUnavailable
from tests.clients.cartesia.server import CartesiaServer, cartesia_server


class Listener:
    """Keeps what it receives."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.errors: list[ProviderError] = []
        self.suspicions: list[ProviderError] = []

    def suspected(self, error: ProviderError) -> None:
        self.suspicions.append(error)

    def received(self, answer: Answer) -> None:
        self.answers.append(answer)

    def failed(self, error: ProviderError) -> None:
        self.errors.append(error)


class Broken(Listener):
    """Has a bug."""

    def received(self, answer: Answer) -> None:
        raise ZeroDivisionError


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


async def test_a_bug_in_taking_an_answer_costs_one_context() -> None:
    async with open_socket() as (server, socket):
        broken, listener = Broken(), Listener()
        socket.attach("a", broken)
        socket.attach("b", listener)
        for name in ("a", "b", "a"):
            await server.lines[0].sounds(name, b"12")
        await server.lines[0].closes(1000)
        await server.until(lambda: server.is_closed(0))
        await socket.aclose()

        assert [type(error) for error in broken.errors] == [ProviderProtocolError]
        assert listener.answers == [AudioChunk("b", b"12")]


async def test_an_error_without_context_is_a_suspicion_to_each_and_the_loss_of_none() -> None:
    async with open_socket() as (server, socket):
        listeners = [Listener(), Listener()]
        for name, listener in zip("ab", listeners, strict=True):
            socket.attach(name, listener)
        await server.lines[0].fails(None, 500, "internal_error")
        await server.lines[0].sounds("a", b"12")
        await server.lines[0].closes(1000)
        await server.until(lambda: server.is_closed(0))
        await socket.aclose()

        assert [len(listener.suspicions) for listener in listeners] == [1, 1]
        assert listeners[0].answers == [AudioChunk("a", b"12")]
