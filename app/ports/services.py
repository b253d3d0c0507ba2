"""What a call needs of the world, as narrow protocols; wiring shows that the clients and legs fit."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

from app.errors import ProviderError
from app.models import JournalRow, Message, TokenUsage, VoiceConfig
from app.ports.streams import ModelEvent, SpeechEvent, ToolSpec, VoiceEvent
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


Handover = Literal["refer", "dialled"]
"""``refer``: the telephone network took the caller along; ``dialled``: a human was called into the caller's room."""


class Telephony(Protocol):
    """What a telephone call can do besides carrying sound; a websocket call has none."""

    async def transfer(self, to: str, on_dial: Callable[[], None]) -> Handover:
        """Hand the caller over to ``to``, ``+`` and digits or a ``sip:`` address, and return once he is with him.

        The agent is silent meanwhile, and the caller must hear it ring. Takes a minute at most; then the core calls it
        off (``CallPolicy.transfer_seconds``). Raises TransferFailed; then the caller is with the agent as before.
        ``on_dial`` is called when a human is being called into the room. Cancelling calls the human off, and waits for
        nothing. That the caller leaves, as they do when the network takes them along, may be told up to 2 s before it
        returns; once ``on_dial`` was called, a caller who leaves has hung up.
        """


class SpeechStream(Protocol):
    """The caller's words as they are heard."""

    @property
    def audio_seconds_sent(self) -> float:
        """What is on the bill."""

    @property
    def dropped_seconds(self) -> float:
        """How much of the caller was given up and never heard."""

    @property
    def request_ids(self) -> list[str]:
        """The vendor's, one a connection."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc_info: object) -> None: ...
    def send(self, audio: bytes) -> None:
        """Audio in the leg's format; never waits."""

    def note_sound(self, *, is_heard: bool) -> None:
        """The caller began, or ceased, to make a sound: a vendor who says nothing of it does not hear."""

    def __aiter__(self) -> AsyncIterator[SpeechEvent]: ...


class SpeechToText(Protocol):
    """A vendor that hears."""

    def listen(self, *, call_id: str) -> SpeechStream:
        """A stream for one call."""


class LanguageModel(Protocol):
    """A vendor that thinks."""

    def stream_reply(
        self, messages: list[Message], *, tools: Sequence[ToolSpec] = (), call_id: str | None = None
    ) -> AsyncGenerator[ModelEvent, None]:
        """The answer as it is written; raises ProviderError."""

    def calculate_token_usage(self, messages: list[Message]) -> TokenUsage:
        """An estimate, for answers whose usage is never told."""


class Utterance(Protocol):
    """A text on its way to becoming sound."""

    @property
    def characters_sent(self) -> int:
        """What is on the bill."""

    async def say(self, text: str) -> None:
        """The next clause."""

    async def finish(self) -> None:
        """No more text."""

    def cancel(self) -> None:
        """The rest is not wanted."""

    def __aiter__(self) -> AsyncIterator[VoiceEvent]: ...


class TextToSpeech(Protocol):
    """A vendor that speaks."""

    def utterance(self, voice: VoiceConfig, *, call_id: str, after: ProviderError | None = None) -> Utterance:
        """An utterance for one turn of one call; ``after`` is the failure of one that this one makes good."""


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
