"""A score: what a simulated caller does, step by step. Plain values, written in Python or read from JSON.

In JSON a step is an object whose ``do`` names it and whose other keys are its fields::

    {"name": "hours", "language": "en", "replies": [{"text": "From nine to five."}],
     "steps": [{"do": "waits_for_agent"},
               {"do": "says", "text": "When do you open?"},
               {"do": "interrupts", "text": "And on Sunday?", "after": 1.5},
               {"do": "waits_for_agent", "quiet": 0.8},
               {"do": "hangs_up"}]}
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol

from pydantic import ConfigDict, Field, TypeAdapter

from sandbox.caller.noises import BurstKind

Seconds = Annotated[float, Field(ge=0)]

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Says:
    """Speaks, whatever the agent is doing."""

    text: str
    language: str | None = None
    """Code such as ``ru``; None: the score's."""
    sound: str | None = None
    """A WAV file that says it in place of the voice."""
    do: Literal["says"] = field(default="says", kw_only=True)
    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class Interrupts:
    """Waits until the agent has been speaking for a while, then speaks over the agent to take the floor."""

    text: str
    after: Seconds = 1.0
    """Seconds of the agent's speech without a pause of 0.6 s; with ``over``, seconds after that clause has begun."""
    language: str | None = None
    over: str | None = None
    """Words of the agent's: waits for the clause that holds them."""
    sound: str | None = None
    or_after: bool = False
    """Speaks after the agent's words when they are too short; otherwise the step fails then."""
    do: Literal["interrupts"] = field(default="interrupts", kw_only=True)
    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class Backchannels:
    """Says a word of attention over the agent, without taking the floor."""

    text: str = "угу"
    after: Seconds = 1.0
    language: str | None = None
    over: str | None = None
    sound: str | None = None
    or_after: bool = False
    """Says nothing when the agent's words are too short; otherwise the step fails then."""
    do: Literal["backchannels"] = field(default="backchannels", kw_only=True)
    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class Coughs:
    """Makes a noise without words: over the agent's speech when ``after`` is given, at once when it is None."""

    after: Seconds | None = None
    seconds: Annotated[float, Field(gt=0, le=5)] = 0.18
    kind: BurstKind = "cough"
    over: str | None = None
    or_after: bool = False
    """Makes no noise when the agent's words are too short; otherwise the step fails then."""
    do: Literal["coughs"] = field(default="coughs", kw_only=True)
    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class Overhears:
    """Over the agent's speech, somebody else in the room says something that is not meant for the agent."""

    text: str
    after: Seconds = 1.0
    loss_db: Seconds = 15.0
    """How much quieter than the caller they are heard, in dB."""
    language: str | None = None
    over: str | None = None
    do: Literal["overhears"] = field(default="overhears", kw_only=True)
    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class WaitsForAgent:
    """Listens until the agent has spoken and then been quiet for ``quiet`` seconds."""

    quiet: Seconds = 0.6
    or_speaking: Seconds | None = None
    """Waits no longer once the agent has been speaking for this long."""
    at_most: Seconds | None = None
    """Waits no longer when the agent is silent after this long."""
    do: Literal["waits_for_agent"] = field(default="waits_for_agent", kw_only=True)
    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class Waits:
    """Stays silent for this long, whatever the agent does."""

    seconds: Seconds
    do: Literal["waits"] = field(default="waits", kw_only=True)
    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class Holds:
    """Puts the call on hold: sends no audio at all, not even silence, for this long."""

    seconds: Seconds
    do: Literal["holds"] = field(default="holds", kw_only=True)
    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class Presses:
    """Presses telephone keys, 0.2 s apart."""

    digits: Annotated[str, Field(pattern=r"^[0-9*#A-D]+$")]
    do: Literal["presses"] = field(default="presses", kw_only=True)
    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class WaitsForEnd:
    """Listens until the agent's side ends the call."""

    do: Literal["waits_for_end"] = field(default="waits_for_end", kw_only=True)
    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class HangsUp:
    """Ends the call. A caller at the end of the score hangs up anyway."""

    do: Literal["hangs_up"] = field(default="hangs_up", kw_only=True)
    __pydantic_config__ = _STRICT


Step = (
    Says
    | Interrupts
    | Backchannels
    | Coughs
    | Overhears
    | WaitsForAgent
    | Waits
    | Holds
    | Presses
    | WaitsForEnd
    | HangsUp
)

PASSIVE_STEPS = (WaitsForAgent, Waits, Holds, WaitsForEnd)
"""Steps in which the caller only listens."""


@dataclass(frozen=True, slots=True)
class Score:
    """A call as the caller plays it."""

    name: str
    language: str
    """Code of the language the caller speaks, such as ``ru``."""
    steps: tuple[Annotated[Step, Field(discriminator="do")], ...]
    replies: tuple[dict[str, Any], ...] = ()
    """What the sandbox's language model answers, in order: ``{"text"?, "tool_calls"?: [{"name", "arguments"}]}``.
    Empty: it answers by its own rules."""
    patience: Annotated[float, Field(gt=0)] = 20.0
    """After this many seconds of the agent's silence a step that waits for the agent fails."""
    __pydantic_config__ = _STRICT


class Improvises(Protocol):
    """A caller who decides during the call what to do next, after the steps of their score."""

    async def next(self, rows: Sequence[dict[str, Any]]) -> Step | None:
        """The next step; None to hang up. ``rows`` are those of the call's journal so far."""


_SCORE = TypeAdapter(Score)


def load_score(text: str | bytes) -> Score:
    """Read a score from JSON. Raises ValueError that names every wrong step and field."""
    return _SCORE.validate_json(text)


# A score reads as what the caller does: ``Score("hours", "en", (waits_for_agent(), says("When do you open?")))``.
says = Says
interrupts = Interrupts
backchannels = Backchannels
coughs = Coughs
overhears = Overhears
waits_for_agent = WaitsForAgent
waits = stays_silent = Waits
holds = Holds
presses = Presses
waits_for_end = WaitsForEnd
hangs_up = HangsUp
