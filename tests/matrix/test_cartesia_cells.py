"""One wrong field of a message of Cartesia costs its context at most, which is said anew, and other calls nothing."""

from typing import Any

import pytest

from app.clients.cartesia import messages as cartesia_messages
from app.clients.cartesia.client import CartesiaTTSClient
from app.errors import ProviderError
from app.ports.streams import VoiceEvent
from tests.clients.cartesia.server import CartesiaServer, Line, Script, Speaker, sound_of
from tests.clients.cartesia.voice import VOICE, heard, sound, voice, words
from tests.matrix.cells import PARTS, Cell, hold_cells
from tests.matrix.spoiling import WAYS, completed, encoded, fields_of, spoilt

MESSAGES = cartesia_messages.MESSAGES
STRUCK, OTHER = "Беда пришла.", "Раз, два."
OTHER_SOUND = {("data",): {"long"}}
"""Ways that leave whole base64, so that the sound is another one."""


class SpoiltLine(Line):
    """The line of one context, one message of which is spoilt."""

    def __init__(self, line: Line, cell: Cell) -> None:
        super().__init__(line.connection, line.number)
        self._cell = cell
        self._is_spent = False

    async def sends(self, message: dict[str, Any]) -> None:
        if message["type"] != self._cell.kind or self._is_spent:
            await super().sends(message)
            return
        self._is_spent = True
        whole = completed(MESSAGES[self._cell.kind], message)
        await self.connection.send(encoded(spoilt(whole, self._cell.field, self._cell.way)), text=True)


def spoils(cell: Cell) -> Script:
    """Speaks; the first context with the text that is struck gets one wrong message."""
    speaker = Speaker()
    lines: dict[str, Line] = {}

    async def script(line: Line, request: dict[str, Any]) -> None:
        if request.get("cancel"):
            return
        if request.get("transcript") == STRUCK and not lines:
            lines[request["context_id"]] = SpoiltLine(line, cell)
            if cell.kind == "error":
                await lines[request["context_id"]].fails(request["context_id"], 500, "internal_error")
        await speaker(lines.get(request["context_id"], line), request)

    return script


async def says(client: CartesiaTTSClient, after: ProviderError | None = None) -> tuple[bytes, ProviderError | None]:
    """The sound of the text that is struck, and how it failed, if it did."""
    events: list[VoiceEvent] = []
    utterance = client.utterance(VOICE, call_id="a", after=after)
    try:
        await utterance.say(STRUCK)
        await utterance.finish()
        async for event in utterance:
            events.append(event)
    except ProviderError as error:
        return sound(events), error
    return sound(events), None


async def hold(cell: Cell) -> str | None:
    async with voice(spoils(cell)) as (server, client):
        others = [client.utterance(VOICE, call_id=name) for name in ("b", "c")]
        for other in others:
            await other.say("Раз, ")
        first, error = await says(client)
        for other in others:
            await other.say("два.")
            await other.finish()
            events = await heard(other)
            if sound(events) != sound_of(OTHER) or not all(word.is_exact for word in words(events)):
                return f"others heard {len(sound(events))} bytes"
        return await _complaint(cell, server, client, first, error)


async def _complaint(
    cell: Cell, server: CartesiaServer, client: CartesiaTTSClient, first: bytes, error: ProviderError | None
) -> str | None:
    if error is not None:
        if not error.retryable and cell.kind != "error":
            return f"not tried again: {error!r}"
        first, error = await says(client, error)
    if error is not None:
        return f"failed twice: {error!r}"
    if len(server.handshakes) > 1:
        return f"{len(server.handshakes)} sockets"
    is_other_sound = cell.kind == "chunk" and cell.way in OTHER_SOUND.get(cell.field, ())
    if first != sound_of(STRUCK) and not is_other_sound:
        return f"heard {len(first)} of {len(sound_of(STRUCK))} bytes"
    return None


def cells() -> list[Cell]:
    return [
        Cell(kind, 0, field, way)
        for kind, described in MESSAGES.items()
        for field in [(), *fields_of(described)]
        for way in WAYS
    ]


@pytest.mark.parametrize("part", PARTS)
async def test_a_wrong_field_costs_its_context_at_most(part: int) -> None:
    await hold_cells(cells(), hold, part)
