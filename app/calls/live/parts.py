"""What the event loop of a call drives, as narrow protocols.

In a live call these parts make and hear sound. In a text call (:mod:`app.calls.text`) they have words alone.
"""

from typing import Protocol

from app.calls.live.playback import PlaybackItem
from app.conversation import events as ev
from app.models import Message, Patience, VoiceConfig
from app.ports.streams import ToolCall


class Playback(Protocol):
    """Lets the caller hear the agent's utterances, one at a time."""

    def offer(self, item: PlaybackItem) -> None:
        """Queue an utterance."""

    def wake(self) -> None:
        """Look whether an utterance may begin now."""

    def pause(self, number: int) -> None:
        """Stop an utterance, and remember where."""

    def resume(self, number: int) -> None:
        """Go on where the caller stopped hearing."""

    def stop(self, number: int) -> None:
        """Stop an utterance and drop the rest. An event says what was heard of it."""

    def drain(self) -> ev.AgentInterrupted | None:
        """What was heard of a stopped utterance, if that was not emitted yet."""

    def silence(self) -> ev.AgentInterrupted | None:
        """Stop everything at the end of the call, and return what was heard of the last utterance."""


class Hearing(Protocol):
    """Hears the caller."""

    def set_patience(self, patience: Patience) -> None:
        """Set how long to wait in a pause."""

    def raise_threshold(self) -> None:
        """Require louder sounds."""

    def bill(self) -> list[ev.ProviderUsed]:
        """What hearing has cost."""


class Replies(Protocol):
    """Makes the agent's utterances. Each coroutine runs as a task."""

    async def reply(
        self, item: PlaybackItem, voice: VoiceConfig, messages: list[Message], first: ToolCall | None = None
    ) -> None:
        """Write an answer and have it heard. ``first`` is a tool that is run before the model is asked."""

    async def line(self, item: PlaybackItem, voice: VoiceConfig, text: str) -> None:
        """Say a fixed text."""

    def say_meanwhile(self, number: int, text: str) -> None:
        """Say a fixed text inside a reply that waits for a tool."""


class Messages(Protocol):
    """Keeps the sound of a message that the caller leaves."""

    def keep(self) -> None:
        """Keep the caller's sound from now on."""

    def transcribe(self) -> None:
        """Have what was kept transcribed."""
