"""A line that a simulated caller calls over, whatever carries it."""

from collections.abc import AsyncIterator
from typing import Protocol

from sandbox.caller.media_client import ServiceMessage


class Line(Protocol):
    """One call that has been answered. Sending after its end does nothing: :meth:`messages` tells of it."""

    @property
    def call_id(self) -> str:
        """The service's name of the call."""

    @property
    def ready_at(self) -> float:
        """The loop's clock when sound began to flow."""

    @property
    def close_code(self) -> int | None:
        """The websocket's, if it is one that has been closed."""

    def messages(self) -> AsyncIterator[ServiceMessage]:
        """What comes from the service, to the end of the call. Raises CallBroken when the end was not announced."""

    async def send_audio(self, audio: bytes) -> None:
        """Send sound in the format of the telephone, 20 ms each 20 ms."""

    async def send_digit(self, digit: str) -> None:
        """Press a key."""

    async def send_mark(self, name: str) -> None:
        """Tell that the sound before a mark has been played."""

    async def send_cleared(self, played_samples: int) -> None:
        """Tell how much had been played when the rest was thrown away."""

    async def send_stop(self) -> None:
        """Hang up."""

    async def close(self) -> None:
        """Leave, whatever the service thinks of it."""
