"""What Deepgram's two streaming APIs share."""

import uuid
from random import Random
from typing import Any, Protocol

from sandbox.vendors.hearing import Heard
from sandbox.vendors.wire import Message


class Send(Protocol):
    """Sends a message to the client."""

    async def __call__(self, message: Message, *, beat: bool = False) -> None:
        """Send; ``beat`` marks a message without news."""


class Fatal(Exception):
    """Raised after an error message was sent: the socket closes with 1011."""


class Stream(Protocol):
    """One client's stream: takes audio and messages, and sends messages through ``Send``."""

    request_id: str
    idle_seconds: float | None
    """The server closes the socket after this many seconds without a message; None: never."""

    async def open(self) -> None:
        """Send the first messages, if any."""

    async def hear(self, audio: bytes) -> None:
        """Process audio of any length, and send the resulting messages."""

    async def obey(self, message: Any) -> bool:
        """Handle a client's JSON message; False when the stream must close."""

    async def finish(self) -> None:
        """Send what is still due before a normal close."""


def transcript_of(words: list[Heard]) -> str:
    """The words as text."""
    return " ".join(word.text for word in words)


def languages_of(words: list[Heard]) -> list[str]:
    """The words' languages, the most frequent first."""
    spoken = [word.language for word in words]
    return sorted(set(spoken), key=lambda language: (-spoken.count(language), language))


def confidence_of(words: list[Heard]) -> float:
    """The mean confidence; 0 without words."""
    return round(sum(word.confidence for word in words) / len(words), 4) if words else 0.0


def new_request_id(chance: Random) -> str:
    """An id like Deepgram's."""
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))
