"""The bodies of what can be had of one call besides its record, as pydantic models."""

from typing import Literal

from pydantic import BaseModel, Field


class ExplanationLine(BaseModel):
    """A line: who speaks in it, or `wrong` for what should not have happened."""

    text: str
    tone: Literal["heading", "plain", "caller", "agent", "quiet", "wrong"]


class Explanation(BaseModel):
    """What happened in a call: its head, what went wrong, its timeline, its turns, and its figures."""

    lines: list[ExplanationLine]


class Waveform(BaseModel):
    """The loudest sample, 0 to 1, of each part of the recording, which begins at the answer."""

    seconds: float = Field(description="Of all parts together.")
    caller: list[float]
    agent: list[float]
