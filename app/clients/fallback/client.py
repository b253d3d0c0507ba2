"""What all clients with fallbacks have in common: to calls, each looks like the first link of its chain."""

from typing import Generic, Self, TypeVar

from app.clients.entry import Session
from app.clients.fallback.chain import Chain

SessionT = TypeVar("SessionT", bound=Session)


class FallbackClient(Generic[SessionT]):
    """One kind of service over a chain of clients."""

    def __init__(self, chain: Chain[SessionT]) -> None:
        self._chain = chain

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._chain!r}>"

    @property
    def provider(self) -> str:
        """The first choice's."""
        return self.first.provider

    @property
    def first(self) -> SessionT:
        """The client of the first choice."""
        return self._chain.first.client

    @property
    def links(self) -> tuple[str, ...]:
        """The names of all links, in the order of choice."""
        return tuple(link.name for link in self._chain.links)

    @property
    def given(self) -> Self | SessionT:
        """What a call gets: without fallbacks, the only client itself."""
        return self if len(self._chain.links) > 1 else self.first

    @property
    def sessions(self) -> list[SessionT]:
        """The clients of all links, each once."""
        return list(dict.fromkeys(link.client for link in self._chain.links))
