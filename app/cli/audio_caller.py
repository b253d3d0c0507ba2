"""The caller of a scenario over sound: its script as a score of the simulated caller, or a persona who improvises."""

from collections.abc import Iterator, Sequence
from typing import Any

from app.agent_tests.persona import PersonaLines
from app.agent_tests.prepared import Prepared
from app.agent_tests.shape import Step as Line
from app.agent_tests.shape import TelephoneShape
from app.agent_tests.transcript import being_said
from app.models import JournalRow
from sandbox.caller.echo_path import EchoPath
from sandbox.caller.media_format import MediaFormat
from sandbox.caller.score import (
    Backchannels,
    Coughs,
    HangsUp,
    Interrupts,
    Presses,
    Says,
    Score,
    Step,
    Waits,
    WaitsForAgent,
)
from sandbox.carrier.telephone import Telephone

_LISTENS_SECONDS = 0.6
"""A caller speaks when the agent has been silent for so long, unless the script says otherwise."""
_TURN_SECONDS = 15.0
"""A caller who hears nothing for so long goes on."""
_AFTER_OVER_SECONDS = 6.0
"""The same after words over the agent, which may not call for an answer."""
_NARROW = MediaFormat("mulaw", 8000)


def score_of(prepared: Prepared) -> Score:
    """What the caller does, step by step; of a persona, nothing yet."""
    caller = prepared.scenario.caller
    steps: list[Step] = []
    if caller.lines is not None:
        steps += _steps(prepared, caller.lines)
        steps += [] if isinstance(steps[-1], HangsUp) else [_listens(_after(steps)), Waits(caller.listens)]
    return Score(prepared.scenario.name, prepared.language, tuple(steps), patience=2 * _TURN_SECONDS)


def telephone_of(shape: TelephoneShape | None) -> Telephone:
    """The caller's telephone."""
    if shape is None:
        return Telephone()
    return Telephone(
        format=_NARROW if shape.encoding == "narrow" else MediaFormat(),
        noise_dbfs=None if shape.noise is None else shape.noise_level,
        noise=shape.noise or "white",
        echo=None if shape.echo_delay is None else EchoPath(shape.echo_delay, shape.echo_loss),
    )


def _steps(prepared: Prepared, lines: Sequence[str | Line]) -> Iterator[Step]:
    steps: list[Step] = []
    for line in lines:
        made = list(_step(prepared, line, _after(steps)))
        steps += made
        yield from made


def _step(prepared: Prepared, line: str | Line, at_most: float) -> Iterator[Step]:
    own = None if isinstance(line, str) else prepared.file.sound(line)
    sound = None if own is None else str(own)
    match line:
        case str(text):
            yield from (_listens(at_most), Says(text))
        case Line(say=str(text), pause=pause):
            yield from (_listens(at_most, pause), Says(text, sound=sound))
        case Line(over=str(text), after=after, optional=True):
            yield Backchannels(text, after, sound=sound, or_after=True)
        case Line(over=str(text), after=after):
            yield Interrupts(text, after, sound=sound, or_after=True)
        case Line(noise=float(after)):
            yield Coughs(after, or_after=True)
        case Line(silence=float(seconds)):
            yield from (_listens(at_most), Waits(seconds))
        case Line(press=str(digits)):
            yield from (_listens(at_most), Presses(digits))
        case _:
            yield from (_listens(at_most), HangsUp())


def _listens(at_most: float, quiet: float | None = None) -> WaitsForAgent:
    return WaitsForAgent(_LISTENS_SECONDS if quiet is None else quiet, at_most=at_most)


def _after(steps: Sequence[Step]) -> float:
    """How long the caller waits at most for the agent to speak after these steps."""
    match steps[-1:]:
        case [Waits()]:
            return 0.0
        case [Interrupts() | Coughs() | Backchannels()]:
            return _AFTER_OVER_SECONDS
        case _:
            return _TURN_SECONDS


class AudioPersona:
    """A persona as the simulated caller; see :class:`sandbox.caller.score.Improvises`."""

    def __init__(self, lines: PersonaLines, *, listens_seconds: float) -> None:
        """``listens_seconds``: how long they stay on the line after their last line."""
        self._lines = lines
        self._listens_seconds = listens_seconds
        self._listens = False
        """Whether they have listened since they said something."""
        self._has_ended = False
        self.failure: Exception | None = None
        """Why the model did not give a line. The caller has hung up then."""

    async def next(self, rows: Sequence[dict[str, Any]]) -> Step | None:
        """The next step; None to hang up."""
        if not self._listens:
            self._listens = True
            may_interrupt = self._lines.may_interrupt
            return WaitsForAgent(
                or_speaking=self._lines.patience_seconds if may_interrupt else None, at_most=_TURN_SECONDS
            )
        if self._lines.is_done:
            is_over, self._has_ended = self._has_ended, True
            return None if is_over else Waits(self._listens_seconds)
        try:
            return await self._line([JournalRow(**row) for row in rows])
        except Exception as error:  # noqa: BLE001 - raised by whoever holds the call, when the line is closed
            self.failure = error
            return None

    async def _line(self, rows: Sequence[JournalRow]) -> Step | None:
        if self._lines.may_interrupt and being_said(rows):
            text = await self._lines.interruption(rows)
            self._listens = text is None
            return Says(text) if text is not None else WaitsForAgent(at_most=_TURN_SECONDS)
        line = await self._lines.next(rows)
        self._listens = False
        return Says(line.text) if line.text else None
