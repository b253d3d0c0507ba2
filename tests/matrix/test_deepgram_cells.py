"""One wrong field of a message of Deepgram costs its caller nothing they notice, and other callers nothing at all."""

import asyncio
from typing import Any

import pytest

from app.clients.deepgram import flux_messages, nova_messages
from app.clients.deepgram.stream import DeepgramStream
from app.ports.streams import StreamLost, TurnEnded
from tests.clients.deepgram.listening import client_of
from tests.clients.deepgram.server import Message, deepgram, flux, hears, nova, utterance_end
from tests.matrix.cells import PARTS, Cell, hold_cells
from tests.matrix.spoiling import NO_JSON, WAYS, completed, encoded, fields_of, spoilt

FIRST, SECOND = "раз два", "три"
GUESS = "раз"
NOT_ASIDE = {"type", "event", "transcript", "channel", "alternatives", "is_final", "speech_final", "from_finalize"}
"""Without these a message says something else, or nothing."""
AUDIO = bytes(48_000)
"""A second and a half."""

FLUX: list[dict[str, Any]] = [
    flux("Update", GUESS, end=0.3),
    flux("EagerEndOfTurn", FIRST),
    flux("EndOfTurn", FIRST),
    flux("Update", turn_index=1),
    flux("StartOfTurn", SECOND, start=1.0, end=1.2, turn_index=1),
    flux("EndOfTurn", SECOND, start=1.0, end=1.3, turn_index=1),
    flux("Update", turn_index=2, end=1.4),
]
NOVA: list[dict[str, Any]] = [
    nova(GUESS, end=0.3),
    nova(FIRST, final=True, speech_final=True),
    utterance_end(0.5),
    nova("", start=0.5, end=1.0, final=True),
    nova(SECOND, start=1.0, end=1.2),
    nova(SECOND, start=1.0, end=1.3, final=True, speech_final=True),
    utterance_end(1.3),
]
SCRIPTS = {"flux-general-multi": FLUX, "nova-3": NOVA}
SPOILT_FIRST = 3
"""The first messages of a script are of the first turn, and are spoilt."""
MESSAGES = {"flux-general-multi": flux_messages.MESSAGES, "nova-3": nova_messages.MESSAGES}


def script(model: str, kind: str, position: int) -> tuple[list[dict[str, Any]], int]:
    """The messages, and which of them is to be spoilt: one of the script, or one of its kind before it."""
    messages = [dict(message) for message in SCRIPTS[model]]
    if messages[position]["type"] != kind:
        messages.insert(position, {"type": kind})
    messages[position] = completed(MESSAGES[model][kind], messages[position])
    return messages, position


def cells(model: str) -> list[Cell]:
    made = []
    for kind, described in MESSAGES[model].items():
        of_script = [at for at in range(SPOILT_FIRST) if SCRIPTS[model][at]["type"] == kind]
        for position in of_script or [1]:
            fields = [(), *fields_of(described)]
            made += [Cell(kind, position, field, way) for field in fields for way in WAYS if _is_wrong(field, way)]
    return made


def _is_wrong(field: tuple[str | int, ...], way: str) -> bool:
    """A flag that is a flag says something else, and cannot be seen through."""
    return not (field and field[-1] in ("is_final", "speech_final", "from_finalize") and way in ("true", "false"))


async def ends(stream: DeepgramStream) -> list[str]:
    """The texts of the next two turns."""
    texts: list[str] = []
    async for event in stream:
        match event:
            case TurnEnded(transcript):
                texts.append(transcript.text)
            case StreamLost(error, final=True):
                return [*texts, f"lost: {error}"]
            case _:
                pass
        if len(texts) == 2:
            break
    return texts


def allowed(cell: Cell) -> set[str]:
    """What may be left of the first turn."""
    texts = {FIRST}
    is_aside = cell.field and not NOT_ASIDE & {cell.field[-1]} and cell.field[-2:] != ("alternatives", 0)
    if cell.way in NO_JSON or not is_aside:
        texts.add(GUESS)
    if cell.field and cell.field[-1] == "transcript" and isinstance(said := WAYS[cell.way](FIRST), str):
        texts |= {said, said.strip(), WAYS[cell.way](GUESS)}
    return texts


async def hold(model: str, cell: Cell) -> str | None:
    messages, position = script(model, cell.kind, cell.position)
    right: list[Message] = list(SCRIPTS[model])
    wrong: list[Message] = [*messages]
    wrong[position] = encoded(spoilt(messages[position], cell.field, cell.way))
    stages = [hears(*((1.4, message) for message in each)) for each in (right, right, wrong)]
    async with deepgram(*stages, hears(*((0.0, message) for message in right))) as server:
        client = client_of(server, model=model)
        try:
            async with client.listen(call_id="b") as b:
                await server.until(lambda: len(server.sessions) == 1)
                async with client.listen(call_id="c") as c:
                    await server.until(lambda: len(server.sessions) == 2)
                    async with client.listen(call_id="a") as a:
                        for stream in (a, b, c):
                            stream.send(AUDIO)
                        (first, *later), *others = await asyncio.gather(ends(a), ends(b), ends(c))
        finally:
            await client.aclose()
    if others != [[FIRST, SECOND]] * 2:
        return f"others heard {others}"
    if later != [SECOND] or first not in allowed(cell):
        return f"heard {[first, *later]}"
    return None


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("model", list(SCRIPTS))
async def test_a_wrong_field_costs_no_turn_and_is_not_noticed_by_others(model: str, part: int) -> None:
    await hold_cells(cells(model), lambda cell: hold(model, cell), part)
