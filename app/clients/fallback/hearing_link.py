"""A link of the chain that hears, and the part it has in one call."""

import asyncio
from dataclasses import dataclass, field, replace

from app.clients.entry import LinkStream, SttSession
from app.clients.fallback.chain import Link
from app.ports.streams import Transcript
from app.ports.vendors import Charge

_RECONNECT_SECONDS = 0.4
"""How long a link may take to replace a lost connection before another link is asked, too."""
_CONNECT_SECONDS = 1.0
"""How long a link may take until its first connection works."""
_UNPROVEN_SECONDS = 0.6
"""How long a link that has not heard a turn of this call to its end may owe a message about the caller's speech."""
_STEADY_SECONDS = 1.5
"""A connection that follows several that were lost counts as steady after this time."""


@dataclass(slots=True, eq=False)
class SttLink(Link[SttSession]):
    """One way to hear."""

    late_seconds: float = 1.5
    """How long the vendor may owe a message while the caller speaks, before another link is asked, too."""


@dataclass(slots=True, eq=False)
class Listener:
    """A link that hears the call."""

    link: SttLink
    stream: LinkStream
    began_at: float
    offset: float
    """Where its audio begins, in seconds of the call's audio."""
    kept: Transcript
    """The words of the open turn before that."""
    is_lost: bool = False
    """Whether it replaces a lost connection now."""
    lost_at: float = 0.0
    """Since when."""
    is_late: bool = False
    works: bool = False
    """Whether it has had a connection that worked."""
    served: bool = False
    """Whether any of its words were used."""
    losses: int = 0
    """How often it has lost its connection in the open turn."""
    has_heard_turn: bool = False
    """Whether it has reported the end of a turn: one that has not may stall after its first words."""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def charges(self) -> list[Charge]:
        """What it has cost so far."""
        return [replace(each, way=self.link.name, served=self.served) for each in self.stream.charges()]

    @property
    def is_unsteady(self) -> bool:
        """Whether its new connections are lost, too, so that another link must be asked."""
        return self.losses > 1

    def has_lasted(self, now: float) -> bool:
        """Whether it was unsteady, and has kept its present connection for long enough."""
        return self.is_unsteady and not self.is_lost and now - self.lost_at >= _STEADY_SECONDS

    def owes_for_long(self, now: float, *, is_awaited: bool, is_first: bool) -> bool:
        """Whether it has owed a connection or a message for too long, so that another link must be asked.

        ``is_awaited``: the caller has said something, or may have; ``is_first``: it is the first choice.
        """
        if self.is_lost:  # its new connections may be lost at once, too, and owe nothing meanwhile
            return now - self.lost_at >= _RECONNECT_SECONDS
        patience = self.link.late_seconds
        if not self.works:
            patience = _UNPROVEN_SECONDS if is_awaited else _CONNECT_SECONDS
        elif not self.has_heard_turn and not is_first:
            patience = min(patience, _UNPROVEN_SECONDS)
        return self.stream.owed_seconds >= patience
