"""What a call needs of the world, as narrow protocols; wiring shows that the clients and legs fit."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from app.models import JournalRow
from media.formats import AudioFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnding:
    """How a call ended; committed together with its last journal row."""

    ended_at: str
    duration_seconds: float | None
    end_reason: str
    fault: str
    language: str | None = None
    summary: dict[str, Any] | None = None


class CallLeg(Protocol):
    """Where the agent's voice goes. Nothing here waits; a far end that does not read is the leg's affair."""

    @property
    def audio_format(self) -> AudioFormat:
        """Of both directions."""

    @property
    def wants_events(self) -> bool:
        """Whether the far end is to be shown the journal."""

    @property
    def can_send_digits(self) -> bool:
        """Whether the far end is a telephone line, on which keys can be pressed."""

    @property
    def output_latency_seconds(self) -> float:
        """How much later than it is played at this end sound is heard by the caller, as far as that is known."""

    async def answer(self, call_id: str) -> None:
        """Let sound flow both ways; returns once it does. Raises NotAnswered."""

    def send_audio(self, audio: bytes) -> None:
        """The next sound for the caller."""

    def send_clear(self) -> None:
        """Throw away what has not been played."""

    def send_mark(self, name: str) -> None:
        """Tell when the audio so far has been played."""

    def send_event(self, row: Mapping[str, Any]) -> None:
        """A journal row as a JSON object."""

    def send_digits(self, digits: str) -> None:
        """Press these keys one after another: ``0-9*#A-D``, and ``w``, which waits half a second.

        Only for legs that ``can_send_digits``.
        """

    async def hang_up(self, reason: str) -> None:
        """End the leg; returns once it is closed.

        After ``transferred`` the caller may be talking to a human in the same room: the agent leaves, and nobody ends
        the room, neither now nor later; it is over when they hang up. After ``crashed`` another process owns the call,
        and with it the room: the agent leaves at once.
        """


TransferMethod = Literal["refer", "dialled"]
"""``refer``: the telephone network took the caller along; ``dialled``: a human was called into the caller's room."""


class Telephony(Protocol):
    """What a telephone call can do besides carrying sound; a websocket call has none."""

    async def transfer(self, to: str, on_dial: Callable[[], None]) -> TransferMethod:
        """Hand the caller over to ``to``, ``+`` and digits or a ``sip:`` address, and return once he is with him.

        The agent is silent meanwhile, and the caller must hear it ring. Takes a minute at most; then the core calls it
        off (``CallPolicy.transfer_seconds``). Raises TransferFailed; then the caller is with the agent as before.
        ``on_dial`` is called when a human is being called into the room. Cancelling calls the human off, and waits for
        nothing. That the caller leaves, as they do when the network takes them along, may be told up to 2 s before it
        returns; once ``on_dial`` was called, a caller who leaves has hung up.
        """


class Journal(Protocol):
    """Where facts are kept."""

    def append(self, call_id: str, fence: int, row: JournalRow, ending: CallEnding | None = None) -> None:
        """Keep a row soon; never waits. The last row comes with the call's ending."""

    async def flush(self, call_id: str) -> None:
        """Return once every row so far is safe. Raises OwnershipLost or StorageError."""

    def waiting(self) -> Collection[str]:
        """Calls with rows that are not committed yet."""


class JournalReader(Protocol):
    """Where facts are found again."""

    async def rows(self, call_id: str, after_seq: int = 0) -> list[JournalRow]:
        """The committed rows. Raises StorageError."""
