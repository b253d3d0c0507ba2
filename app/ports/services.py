"""What a call needs from the outside, as narrow protocols, which the clients and legs implement."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from app.models import JournalRow
from media.formats import AudioFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnding:
    """How a call ended. It is committed in one transaction with the last journal row."""

    ended_at: str
    duration_seconds: float | None
    end_reason: str
    fault: str
    language: str | None = None
    summary: dict[str, Any] | None = None
    said: tuple[str, ...] = ()
    """What caller and agent said, by which the call is found."""
    is_analysed: bool = True
    """Whether it is to be worked out what came of the call, if anything was said."""
    answers: tuple[Mapping[str, float], ...] = ()
    """The latencies of each answer in seconds, by stage, for the figures of all calls."""


class CallLeg(Protocol):
    """The far end of a call. Its methods do not wait: a leg deals by itself with a far end that does not read."""

    @property
    def audio_format(self) -> AudioFormat:
        """The audio format of both directions."""

    @property
    def wants_events(self) -> bool:
        """Whether the far end receives the journal's rows."""

    @property
    def can_send_digits(self) -> bool:
        """Whether the far end is a telephone line, on which keys can be pressed."""

    @property
    def output_latency_seconds(self) -> float:
        """How much later the caller hears what is played at this end, in seconds, as far as that is known."""

    async def answer(self, call_id: str) -> None:
        """Connect the sound of both directions, and return when it flows. Raises NotAnswered."""

    def send_audio(self, audio: bytes) -> None:
        """Send the next sound to the caller."""

    def send_clear(self) -> None:
        """Discard the sound that has not been played."""

    def send_mark(self, name: str) -> None:
        """Ask the far end to report when the audio sent so far has been played."""

    def send_event(self, row: Mapping[str, Any]) -> None:
        """Send a journal row as a JSON object."""

    def send_digits(self, digits: str) -> None:
        """Press these keys one after another: ``0-9*#A-D``, and ``w``, which waits half a second.

        Only for legs that ``can_send_digits``.
        """

    async def hang_up(self, reason: str) -> None:
        """End the leg, and return when it is closed.

        After ``transferred``, the caller may be talking to a human in the same room: the agent leaves, and the leg does
        not end the room. After ``crashed``, another process owns the call and the room: the agent leaves at once.
        """


TransferMethod = Literal["refer", "dialled"]
"""``refer``: the telephone network connected the caller; ``dialled``: a human was called into the caller's room."""


class Telephony(Protocol):
    """What a telephone call can do besides carrying sound. A websocket call has no telephony."""

    async def transfer(self, to: str, on_dial: Callable[[], None]) -> TransferMethod:
        """Transfer the caller to ``to``, and return when the human has answered.

        ``to`` is ``+`` and digits, or a ``sip:`` address. The agent is silent meanwhile, and the caller must hear the
        ringing. The core cancels a transfer that takes longer than ``CallPolicy.transfer_seconds``. Cancelling stops
        calling the human, and does not wait. Raises TransferFailed; then the caller is with the agent as before.

        ``on_dial`` is called when a human is being called into the room. Before that, a caller who leaves may have been
        connected by the network: the leg may report it up to 2 s before this method returns. After it, a caller who
        leaves has hung up.
        """

    async def follow_dial(self) -> None:
        """Return when the human has answered whom a process that has died was calling into the room.

        Raises TransferFailed when nobody is being called, or nobody answers.
        """


class Journal(Protocol):
    """Writes a call's rows."""

    def append(self, call_id: str, fence: int, row: JournalRow, ending: CallEnding | None = None) -> None:
        """Queue a row; does not wait. The last row comes with the call's ending."""

    async def flush(self, call_id: str) -> None:
        """Return when all rows so far are committed. Raises OwnershipLost or StorageError."""

    def waiting(self) -> Collection[str]:
        """Calls with rows that are not committed yet."""


class JournalReader(Protocol):
    """Reads a call's rows."""

    async def rows(self, call_id: str, after_seq: int = 0) -> list[JournalRow]:
        """The committed rows. Raises StorageError."""
