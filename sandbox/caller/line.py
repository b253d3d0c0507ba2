"""The interface of every line that a simulated caller can call over."""

from collections.abc import AsyncIterator
from typing import Protocol

from sandbox.caller.media_client import ServiceMessage


class Line(Protocol):
    """One answered call. Sending after its end does nothing; :meth:`messages` reports the end."""

    @property
    def call_id(self) -> str:
        """The service's id of the call."""

    @property
    def ready_at(self) -> float:
        """The loop's clock when sound began to flow."""

    @property
    def close_code(self) -> int | None:
        """The close code, if the line is a websocket that has been closed."""

    def messages(self) -> AsyncIterator[ServiceMessage]:
        """The service's messages, to the end of the call. Raises CallBroken when the end was not announced."""

    async def send_audio(self, audio: bytes) -> None:
        """Send sound in the format of the telephone, 20 ms every 20 ms."""

    async def send_digit(self, digit: str) -> None:
        """Press a key."""

    async def send_mark(self, name: str) -> None:
        """Report that the sound before a mark has been played."""

    async def send_cleared(self, played_samples: int) -> None:
        """Report how much had been played when the rest was discarded."""

    async def send_stop(self) -> None:
        """Hang up."""

    async def close(self) -> None:
        """Close the line at once."""
