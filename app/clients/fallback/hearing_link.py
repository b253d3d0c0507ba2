"""A link of the chain that hears, and the part it has in one call."""

import asyncio
from dataclasses import dataclass, field

from app.clients.entry import LinkStream, SttSession
from app.clients.fallback.chain import Link
from app.ports.streams import Transcript


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

    @property
    def is_unsteady(self) -> bool:
        """Whether its new connections are lost, too, so that another link must be asked."""
        return self.losses > 1
