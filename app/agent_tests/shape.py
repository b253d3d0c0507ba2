"""The shape of a file of tests: what it may say, as pydantic checks it."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.errors import TransferFailure

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Digits = Annotated[str, StringConstraints(pattern=r"^[0-9*#A-D]+$")]
Seconds = Annotated[float, Field(ge=0, le=600)]
SCENARIOS_MAX = 500
_STEP_KINDS = ("say", "over", "noise", "silence", "press", "hang_up")
EXPECTATIONS = (
    "said", "not_said", "tool", "no_tool", "outcome", "end_reason", "latency", "interrupts", "turns", "cost",
)  # fmt: skip
"""The kinds of expectations, by their keys."""


def _pattern(text: str) -> str:
    if is_pattern(text):
        try:
            re.compile(text[1:-1])
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
    return text


def is_pattern(text: str) -> bool:
    """Whether it is written as ``/regular expression/``."""
    return len(text) > 2 and text.startswith("/") and text.endswith("/")


Wording = Annotated[Text, AfterValidator(_pattern)]
"""A text, or ``/a regular expression/``."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Question(_Shape):
    """A question that a model answers with yes or no from what was said."""

    judge: Text


class Step(_Shape):
    """What the caller does: one of the keys, and ``after`` beside ``over``."""

    say: Text | None = None
    pause: Seconds | None = None
    """Of ``say``: how long the agent has been silent before it; only sound has it."""
    sound: Text | None = None
    """Of ``say`` and ``over``: a WAV file, beside the file of tests, that says it in place of a voice."""
    over: Text | None = None
    """Said over the agent's next words."""
    after: Seconds = 1.0
    """Seconds of the agent's words before it."""
    optional: bool = False
    """Of ``over``: not said when the agent's words are too short for it, as a word of attention would not be."""
    noise: Seconds | None = None
    """A cough over the agent's next words, after so many seconds of them."""
    silence: Seconds | None = None
    press: Digits | None = None
    hang_up: Literal[True] | None = None

    @model_validator(mode="after")
    def _one(self) -> "Step":
        given = [name for name in _STEP_KINDS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"is one of {', '.join(_STEP_KINDS)}")
        if self.optional and self.over is None:
            raise ValueError("optional belongs to over")
        if self.pause is not None and self.say is None:
            raise ValueError("pause belongs to say")
        if self.sound is not None and self.say is None and self.over is None:
            raise ValueError("sound belongs to say and over")
        return self


class Persona(_Shape):
    """A caller whom a model plays."""

    goal: Text
    facts: dict[str, str | int | float | bool] = {}
    """What they know, and say when they are asked."""
    manner: Text | None = None
    """How they talk."""
    turns: Annotated[int, Field(ge=1, le=100)] = 12
    """After so many lines they hang up."""
    interrupts: Annotated[int, Field(ge=0, le=100)] = 0
    """How often they may interrupt the agent."""
    patience: Seconds = 4.0
    """Seconds of the agent's words before they may interrupt."""


class TelephoneShape(_Shape):
    """What the caller calls with. A call in text has none of it."""

    encoding: Literal["wide", "narrow"] = "wide"
    """``narrow``: G.711 at 8 kHz, as most telephones; ``wide``: 16 kHz."""
    noise: Literal["street", "white"] | None = None
    """What is heard behind the caller all the time."""
    noise_level: Annotated[float, Field(ge=-90, le=0)] = -45.0
    """Of the noise: dBFS (RMS)."""
    echo_delay: Annotated[float, Field(ge=0.02, le=2)] | None = None
    """Seconds after which the caller's line returns the agent's sound; no echo when left out."""
    echo_loss: Annotated[float, Field(ge=0, le=90)] = 20.0
    """Of the echo: how much quieter it comes back, in dB."""


class CallerShape(_Shape):
    """Who calls: a script of lines, or a persona."""

    lines: list[Text | Step] | None = None
    persona: Persona | None = None
    listens: Seconds = 8.0
    """How long they stay on the line after their last line, so that the agent can hang up first."""

    @model_validator(mode="after")
    def _one(self) -> "CallerShape":
        if (self.lines is None) == (self.persona is None):
            raise ValueError("has either lines or a persona")
        return self


class ToolAnswerShape(_Shape):
    """What a tool answers."""

    when: dict[str, Any] = {}
    answer: Any = "ok"
    """A text, or a value that is sent as JSON."""
    status: Annotated[int, Field(ge=100, le=599)] = 200


class Expectation(_Shape):
    """One thing that must be true after the call: exactly one of the kinds."""

    said: Wording | Question | None = None
    not_said: Wording | Question | None = None
    tool: Text | None = None
    arguments: dict[str, Any] = {}
    """Of ``tool``: arguments that one of its calls has; texts may be ``/regular expressions/``."""
    times: Annotated[int, Field(ge=1)] | None = None
    """Of ``tool``: how often it is called with them; at least once when left out."""
    no_tool: Text | None = None
    outcome: dict[str, Any] | None = None
    """Fields of the agent's outcome with their values, as the analysis after the call finds them."""
    end_reason: Text | None = None
    latency: Seconds | None = None
    """The most seconds that an answer may take."""
    interrupts: Annotated[int, Field(ge=0)] | None = None
    """How often the agent may begin an answer although the caller has not finished."""
    turns: Annotated[int, Field(ge=0)] | None = None
    """How many turns of the caller the call may take."""
    cost: Annotated[float, Field(ge=0)] | None = None
    """US dollars that the call may cost."""

    @property
    def kind(self) -> str:
        """Which one it is."""
        return next(name for name in EXPECTATIONS if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _one(self) -> "Expectation":
        given = [name for name in EXPECTATIONS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"is one of {', '.join(EXPECTATIONS)}")
        if (self.arguments or self.times is not None) and self.tool is None:
            raise ValueError("arguments and times belong to tool")
        return self


class RecordedExchange(_Shape):
    """What was said in a call, from the caller's words to their next ones; the first is the opening."""

    caller: str = ""
    agent: str = ""
    answer: Seconds | None = None
    """From the end of the caller's words to the answer."""
    first_token: Seconds | None = None
    """Of that, until the model's first word."""
    tools: list[str] = []
    interrupted: bool = False


Tools = dict[str, ToolAnswerShape | list[ToolAnswerShape]]


class ScenarioShape(_Shape):
    """One call and what is expected of it."""

    name: Text
    caller: CallerShape
    language: Text | None = None
    variables: dict[str, str | int | float | bool] = {}
    caller_number: Text | None = None
    now: datetime | None = None
    """When the call begins, in the agent's time zone unless it names one; the present time when left out."""
    tools: Tools = {}
    transfer: TransferFailure | Literal["answered"] = "answered"
    """What comes of a transfer."""
    telephone: TelephoneShape | None = None
    recorded: list[RecordedExchange] = []
    """The call that the scenario was made of, to compare with."""
    expect: Annotated[list[Expectation], Field(min_length=1)]


class FileShape(_Shape):
    """The whole file."""

    agent: Text | None = None
    language: Text | None = None
    now: datetime | None = None
    environment: dict[str, str] = {}
    """Values for ``${NAME}`` of the agent's file that the environment lacks, such as keys of tools that are fixed."""
    judge_model: Text | None = None
    """The model that judges, and plays personas; the agent's own when left out."""
    telephone: TelephoneShape | None = None
    tools: Tools = {}
    scenarios: Annotated[list[ScenarioShape], Field(min_length=1, max_length=SCENARIOS_MAX)]
