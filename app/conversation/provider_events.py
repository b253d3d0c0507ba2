"""Events of the vendors: one has failed, works again, or will bill something. See :mod:`app.conversation.events`."""

from dataclasses import dataclass
from typing import ClassVar, Self

from app.errors import ProviderError


@dataclass(frozen=True, slots=True)
class ProviderFailed:
    """A vendor failed."""

    type: ClassVar[str] = "provider.failed"
    provider: str
    stage: str
    """``listen``, ``think``, ``speak`` or ``act``."""
    code: str
    final: bool
    """False while the client still tries by itself."""
    turn: int | None = None
    speech: int | None = None
    answer: str = "lost"
    """What becomes of the answer. ``lost``: nothing of it will come. ``cut``: it ends early, what was written is said,
    and ``code`` says why. ``refused``: the vendor refuses what the caller said, and their turn leaves the prompt; the
    vendor has not failed then. ``taken_over``: another model writes it, or the rest of it. ``late``: another model was
    asked too, and the first to begin writes it; this vendor has not failed then either."""
    reason: str = ""
    """What happened, for people; the vendor's own words if it gave any. Empty in old rows."""
    request_id: str | None = None
    """The vendor's id of the request that failed, if it is known."""

    @classmethod
    def of(
        cls,
        error: ProviderError,
        stage: str,
        *,
        final: bool,
        turn: int | None = None,
        speech: int | None = None,
        answer: str = "lost",
    ) -> Self:
        """The event of an error that a vendor's client raised."""
        return cls(
            error.provider,
            stage,
            error.code,
            final,
            turn,
            speech,
            answer=answer,
            reason=error.reason,
            request_id=error.request_id,
        )


@dataclass(frozen=True, slots=True)
class ProviderRestored:
    """A vendor that failed works again."""

    type: ClassVar[str] = "provider.restored"
    provider: str
    stage: str


@dataclass(frozen=True, slots=True)
class ProviderUsed:
    """What a vendor will bill."""

    type: ClassVar[str] = "provider.used"
    provider: str
    model: str
    turn: int | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    characters: int = 0
    seconds: float = 0.0
    cost: float | None = None
    """US dollars; None when the price is unknown."""
    request_id: str | None = None
    """The last of ``request_ids``."""
    stage: str = ""
    """``listen``, ``think`` or ``speak``; empty in old rows, where the units show it."""
    request_ids: tuple[str, ...] = ()
    """The vendor's ids of all requests that it covers; empty in old rows, which have only the last one."""
    way: str = ""
    """Which link of a chain was asked, by its name in the registry; empty where there is only one."""
    served: bool = True
    """Whether any of it was used. Vendors also bill an answer that another link overtook."""
