"""The bodies of ``/calls/simulated`` as pydantic models."""

from typing import Annotated

from pydantic import BaseModel, Field

from routers.schemas import Metadata


class SimulatedCallRequest(BaseModel):
    """What a simulated caller does, and whom they call."""

    score: Annotated[str, Field(max_length=64)]
    """A name of ``GET /calls/simulated``."""
    agent: str | None = None
    """The name of the agent that answers; the default agent when left out."""
    variables: Metadata = Field(default_factory=dict)
    """Values for the agent's variables."""


class SimulatedCall(BaseModel):
    """A call that has begun."""

    call_id: str


class CallerScore(BaseModel):
    """Something that a simulated caller can do."""

    name: str
    language: str = Field(description="Code of the language that the caller speaks.")
    about: str


class CallerScores(BaseModel):
    """All that a simulated caller can do. ``limit`` is how many such calls there may be at once in a process."""

    scores: list[CallerScore]
    limit: int
